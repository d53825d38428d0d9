// What the programs that train can be asked for, whatever they train.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "bertie/nn/precision.h"
#include "bertie/nn/processes.h"

namespace CLI {
class App;
}

namespace bertie {

struct RunOptions {
  std::string output = "bertie-model";
  bool overwrite = false, resume = false, tensorboard = false;
  std::optional<int64_t> parts;   // that each step's batch is cut into
  std::string precision = "f32";  // or bf16, or auto
  std::optional<int64_t> evaluate_steps;
  int64_t checkpoint_steps = 0;
  double checkpoint_minutes = 10;
  double peer_timeout = 60;  // seconds that one of several processes waits for the others
  std::string command;       // that continues the run, for people

  bool muon = false;                             // in place of AdamW
  std::optional<double> learning_rate, dropout;  // none: the program's defaults
  double weight_decay = 0.01, max_gradient_norm = 1;
  int64_t seed = 1;
};

// "--precision", "--parts", "--output" and what follows, and "--peer-timeout"; `evaluations`: when they are
// made by default.
void declare_run_options(CLI::App& app, RunOptions& options, const std::string& evaluations);

// How the weights are changed: "--optimizer", "--learning-rate", "--weight-decay", "--max-gradient-norm",
// "--dropout", "--seed".
struct UpdateHelp {  // what --help says where programs differ
  std::string default_rate, dropped, default_dropout, seeded;
};
void declare_update_options(CLI::App& app, RunOptions& options, const UpdateHelp& help);

// The command line without --overwrite, with --resume.
std::string resuming_command(int argc, char** argv);

std::string checkpoints_of(const RunOptions& options);  // their folder
// A run that has a checkpoint, or is finished.
bool resumes(const RunOptions& options);
// The settings of the run that is to be resumed, from its newest checkpoint, or from its finished model.
std::optional<std::string> settings_to_resume(const RunOptions& options);
// Everyone's: its parts, as the first process finds them; none where there is no such run, or it doesn't
// tell.
std::optional<int64_t> parts_to_resume(Processes& processes, const RunOptions& options);
// Everyone's: of a step's batch, the same number in all processes: as asked for; else those of the run that
// is `continued`; else the most that any `needs`, and at least one for each process. Throws where there are
// more processes.
int64_t agreed_parts(Processes& processes, const RunOptions& options, std::optional<int64_t> continued,
                     int64_t needs);
// Everyone's, and the same for all, which is said where it isn't f32: where one process's "auto" is f32, that
// of all is. Throws where the precision asked for isn't to be had.
Precision agreed_precision(Processes& processes, const RunOptions& options);
// Before anything is read: the checkpoints of another run are only replaced where that was asked for.
void check_checkpoints(const RunOptions& options);

}  // namespace bertie
