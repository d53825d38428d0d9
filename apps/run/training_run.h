// A run of a training program from its first step, or from where it is resumed, to the saved model: progress,
// records, evaluations, checkpoints, signals. What is trained, and how it is evaluated, is the program's.
// Of several processes the first one alone reads and writes the folder, and what it finds there is sent to
// the others; each decision is one of all.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "apps/run/model_folder.h"
#include "apps/run/run_log.h"
#include "apps/run/run_options.h"
#include "bertie/nn/training.h"

namespace bertie {

struct Evaluation {
  Record record;  // of kind "evaluation"
  double score;   // the lower the better: decides which checkpoint is the best
};

struct TrainingRun {
  const RunOptions& options;
  ModelFolder* folder;  // the first process's; the others have none
  ParameterBlock& parameters;
  Optimizer& optimizer;
  Objective& objective;
  TrainingOptions training;  // all but its checkpoints, start and processes
  double sgemm_gflops;       // what the machine reaches (ops/sgemm_rate.h)
  std::string settings;      // what a resumed run must have in common with this one, a JSON object
  RunFacts facts;            // of the report; the planned steps and the machine are added
  // Of several processes, all call the next three together; what the first one's return is used.
  std::function<MeteredStep(const StepReport&)> metered;
  std::function<Evaluation(int64_t steps)> evaluate;   // while training
  std::function<Record(int64_t steps)> evaluate_last;  // of the weights after so many steps, which are saved
  std::function<std::string(const ModelFolder::Run&)> save;  // ModelFolder::save(), of the first process
  // The weights with the best score are those that are saved, so the last ones are evaluated as well, and no
  // checkpoint is of use after the run's end. With a patience above 0, the run ends where so many evaluations
  // in a row weren't better than the best.
  bool keep_best = false;
  int64_t patience = 0;
  Processes& processes = this_process();
  // Of several, gets what this one fails with alone, before all end.
  std::function<void(const std::exception&)> tell_failure = [](const std::exception&) {};
};

// Everyone's. Trains, unless the checkpoint says that all is done, saves, and evaluates. Where it is to be
// resumed and the folder has the finished model of a run with these settings, it only says so. Returns false
// where a signal ended it before. Throws what train() does, with what the run has learned till then saved;
// and, where it is to be resumed, if the folder has a finished model of other settings and no checkpoint.
bool run_training(const TrainingRun& run);
// That nothing is left to do of a run, with its folder as the result.
void tell_finished(const std::string& folder);

}  // namespace bertie
