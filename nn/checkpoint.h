// Checkpoints: files from which a training continues bit for bit, and the folder that keeps the last of them.
#pragma once
#include <functional>
#include <optional>
#include <string>

#include "bertie/autograd/error.h"
#include "bertie/data/files/safetensors.h"
#include "bertie/nn/objective.h"
#include "bertie/nn/optimizer.h"
#include "bertie/nn/processes.h"

namespace bertie {

// How far a training has come.
struct TrainingPosition {
  int64_t steps = 0;   // done
  double seconds = 0;  // of training
};

// One that was read: its file has the right checksum. It stays mapped, as its arrays aren't copied.
struct Checkpoint {
  Safetensors file;  // "weights" and the optimizer's state, [size] each; texts and numbers as metadata
  TrainingPosition position;
  int64_t optimizer_steps = 0;
  std::string configuration;    // as CheckpointOptions had it
  std::string objective_state;  // what Objective::state() was
  std::optional<double> score;  // of its weights, where they were scored
};

// Throws, naming the file, what read_safetensors() throws, and where it is no checkpoint or its checksum says
// that it is damaged.
Checkpoint read_checkpoint(const std::string& path);

// Which settings of two runs differ, by name where both configurations are JSON objects: for an error.
Listing configuration_differences(const std::string& there, const std::string& here);

// Everyone's: weights, optimizer and objective of all become the first one's, such as those of a checkpoint
// that it alone can read. Returns the first one's position.
TrainingPosition share_state(Processes& processes, ParameterBlock& parameters, Optimizer& optimizer,
                             Objective& objective, const TrainingPosition& position);

struct CheckpointOptions {
  std::string folder = {};  // made when the first is saved
  std::string configuration =
      {};                   // all that a resumed run must have in common with this one, best a JSON object
  int64_t every_steps = 0;  // 0: never for their number
  double every_seconds = 600;
  std::function<void()> before_save = [] {};  // such as what else must be on the disk by then
  // Gets a sentence about each file that can't be used or saved.
  std::function<void(const std::string&)> tell = [](const std::string&) {};
};

// The checkpoints of one run, step-000000123.safetensors in its folder, which nobody else writes to. After
// each save the newest two are there, and the one with the best score. The others of that name are removed,
// those of later steps too: a run that went on from an earlier one is past them.
class Checkpoints {
 public:
  explicit Checkpoints(CheckpointOptions options);
  static bool any_in(const std::string& folder);  // a file of such a name
  // That of the newest whose header can be read, without reading its arrays.
  static std::optional<std::string> newest_configuration(const std::string& folder);

  // The newest that can be read: tells of damaged ones, and takes the one before. None where there is none.
  std::optional<Checkpoint> latest() const;
  // Weights, optimizer and objective as they were. Throws, naming what differs, where the configuration or
  // the shape of the model or the optimizer isn't the same; then nothing was changed.
  TrainingPosition restore(const Checkpoint& checkpoint, ParameterBlock& parameters, Optimizer& optimizer,
                           Objective& objective);
  void remove_all();

  // The weights as they are now have this score, such as a loss on held-out data: the lower, the better. If
  // it is the best so far, a save is due, and this is true.
  bool scored(double score);
  bool due(const TrainingPosition& position) const;
  // Costs one pass over the state for the checksum and one to write it. A failure is told, and leaves all
  // earlier ones as they were.
  void save(const ParameterBlock& parameters, const Optimizer& optimizer, const Objective& objective,
            const TrainingPosition& position);

  std::optional<int64_t> saved_steps() const { return saved_; }  // of the newest that this saved or restored
  // Of that with the best score: after which step, and its path.
  std::optional<int64_t> best_steps() const;
  std::optional<std::string> best() const;

 private:
  struct Best {
    double score;
    int64_t steps;
  };
  std::string path_of(int64_t steps) const;
  std::vector<int64_t> steps_there() const;  // falling
  void remove_others(int64_t newest) const;

  CheckpointOptions options_;
  std::optional<int64_t> saved_;
  std::optional<Best> best_;
  std::optional<double> score_;  // of the present weights, if it is the best
  double last_try_ = 0;          // seconds of training
};

}  // namespace bertie
