// A run of a training program from its first step, or from where it is resumed, to the saved model: progress,
// records, evaluations, checkpoints, signals. What is trained, and how it is evaluated, is the program's.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "apps/model_folder.h"
#include "apps/run_log.h"
#include "bertie/nn/training.h"

namespace bertie {

// The options of a program that trains, whatever it trains.
struct RunOptions {
  std::string output = "bertie-model";
  bool overwrite = false, resume = false, tensorboard = false;
  std::optional<int64_t> parts;  // that each step's batch is cut into
  std::optional<int64_t> evaluate_steps;
  int64_t checkpoint_steps = 0;
  double checkpoint_minutes = 10;
  std::string command;  // that continues the run, for people
};

// "--parts", "--output" and what follows; `evaluations`: when they are made by default.
void declare_run_options(CLI::App& app, RunOptions& options, const std::string& evaluations);
// The command line without --overwrite, with --resume.
std::string resuming_command(int argc, char** argv);

std::string checkpoints_of(const RunOptions& options);  // their folder
bool resumes(const RunOptions& options);                // a run that has a checkpoint
// The parts of the run that is resumed; none where there is none, or it doesn't tell.
std::optional<int64_t> parts_in_checkpoint(const RunOptions& options);
// Before anything is read: the checkpoints of another run are only replaced where that was asked for.
void check_checkpoints(const RunOptions& options);

struct Evaluation {
  Record record;  // of kind "evaluation"
  double score;   // the lower the better: decides which checkpoint is the best
};

struct TrainingRun {
  const RunOptions& options;
  ModelFolder& folder;
  ParameterBlock& parameters;
  Optimizer& optimizer;
  Objective& objective;
  TrainingOptions training;  // all but its checkpoints and start
  double sgemm_gflops;       // what the machine reaches (ops/sgemm_rate.h)
  std::string settings;      // what a resumed run must have in common with this one, a JSON object
  RunFacts facts;            // of the report; the planned steps and the machine are added
  std::function<MeteredStep(const StepReport&)> metered;
  std::function<Evaluation(int64_t steps)> evaluate;   // while training
  std::function<Record(int64_t steps)> evaluate_last;  // of the weights after so many steps, which are saved
  std::function<std::string(const ModelFolder::Run&)> save;  // ModelFolder::save()
  // The weights with the best score are those that are saved, so the last ones are evaluated as well, and no
  // checkpoint is of use after the run's end. With a patience above 0, the run ends where so many evaluations
  // in a row weren't better than the best.
  bool keep_best = false;
  int64_t patience = 0;
};

// Trains, unless the checkpoint says that all is done, saves, and evaluates. Returns false where a signal
// ended it before. Throws what train() does, with what the run has learned till then saved.
bool run_training(const TrainingRun& run);

}  // namespace bertie
