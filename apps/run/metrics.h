// metrics.jsonl, what is written down of a training run: a record a line, each a JSON object with "kind" and
// "step", the number of steps done. The rest are numbers by name, the same names whatever is trained; one
// that isn't finite is null. A record of kind
//   training    is of the steps since the one before: the means of losses, accuracies and the gradient's norm
//               over them, and the last one's learning rate; "tokens" and "seconds" since the run's
//               beginning, evaluations not counted; tokens_per_second, share_of_sgemm
//   evaluation  has an object for each thing that was evaluated: {"held_out": {"loss": 2.5, …}, …}
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/console/progress.h"

namespace bertie {

using Record = nlohmann::ordered_json;

// The records of a file, in its order. What follows its last line break is what a killed program didn't
// finish, and left out. Throws, naming file and line, where another line isn't a record.
std::vector<Record> read_metrics(const std::string& path);

// What a run that is resumed after so many steps keeps of them.
std::vector<Record> up_to_step(const std::vector<Record>& records, int64_t step);

constexpr int64_t most_records = 2000;  // of kind training in a run

// True after each of at most so many of the run's steps, evenly: when to write a training record.
bool is_record_due(int64_t done, int64_t steps);

// A mean, as a sum and the number of what it is over: {"accuracy", right, scored}. One of an objective of
// several parts is named after its part: "nsp_loss", "nsp_accuracy".
struct Metric {
  std::string name;
  double sum, count;
};

struct MeteredStep {
  int64_t done;  // steps, with this one
  double learning_rate, gradient_norm;
  double tokens, flops;         // of the step's batch; flops forward and backward
  std::vector<Metric> metrics;  // the same names in each step, "loss" among them
};

// Makes the training records, and what the progress line shows, of the steps.
class TrainingMeter {
 public:
  // `sgemm_gflops`: what the machine reaches (ops/sgemm_rate.h). `kept`: the records of the run that is
  // resumed, whose tokens and seconds are counted on.
  explicit TrainingMeter(double sgemm_gflops, const std::vector<Record>& kept = {});

  // `now`: seconds since the program began to train, on a clock that stands still during evaluations
  // (Progress::worked()).
  void add(double now, const MeteredStep& step);

  bool empty() const { return steps_ == 0; }  // no step since the last record
  Record record();                            // of the steps since the last one, at least one

  // Of the last seconds: "loss 2.346 41%", or "mlm 1.653 41%" and "nsp 0.693 81%", then the speed and its
  // share of sgemm's, the learning rate and the gradient's norm.
  std::vector<ProgressPart> progress() const;

 private:
  double share_of_sgemm(double flops, double seconds) const { return 1e-9 * flops / seconds / sgemm_gflops_; }

  double sgemm_gflops_;
  double tokens_before_ = 0, seconds_before_ = 0;  // of the run before it was resumed
  MeteredStep last_{};
  // Sums since the last record, in the order of `values` in add().
  std::vector<double> sums_;
  int64_t steps_ = 0;
  double tokens_ = 0, now_ = 0, recorded_at_ = 0;
  RecentSums recent_;
};

}  // namespace bertie
