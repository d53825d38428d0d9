#include "bertie/nn/training.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>

#include "bertie/nn/part_gradients.h"

namespace bertie {
namespace {

constexpr const char* advice = "a lower learning rate may help";

double without_sign_of_nan(double value) { return std::isnan(value) ? std::abs(value) : value; }

// " (lines 4 and 17, lines 2 and 9)", of all parts; empty where the objective doesn't tell.
std::string data_of(const Objective& objective, int64_t begin, int64_t end) {
  Listing data("; ");
  for (int64_t part = begin; part < end; ++part)
    if (std::string text = objective.data_of(part); !text.empty()) data.add(shown(text));
  return data.empty() ? "" : " (" + data.str().substr(2) + ")";
}

// Computes the parts and adds their gradients up. Returns the sum of their losses, added up in the same
// order.
double backward_step(Objective& objective, int64_t step, int64_t parts, PartGradients& gradients,
                     const BackwardHooks& hooks) {
  PartTree tree(parts);
  PartSums order(tree);
  std::vector<double> sums(static_cast<size_t>(places_for(parts)));
  gradients.begin(tree);
  for (int64_t part = 0; part < parts; ++part) {
    Tensor loss = objective.loss(part);
    double value = loss ? loss.item() : 0;
    BERTIE_CHECK(std::isfinite(value), "train", "the loss of step {}{} is {}{}: {}", step,
                 parts > 1 ? fmt::format(", part {} of {},", part + 1, parts) : "",
                 without_sign_of_nan(value), data_of(objective, part, part + 1), advice);
    PartSums::Place to = order.next(part);
    sums[to.place] = to.adds ? sums[to.place] + value : value;
    for (int64_t place = to.place; place > to.place - to.merges; --place) sums[place - 1] += sums[place];
    gradients.add(part, loss, hooks);
  }
  return sums[0];
}

// How long the last steps took.
class RecentSteps {
 public:
  void add(double seconds) {
    seconds_.push_back(seconds);
    if (seconds_.size() > 10) seconds_.pop_front();
  }
  double longest() const {
    return seconds_.empty() ? 0 : *std::max_element(seconds_.begin(), seconds_.end());
  }

 private:
  std::deque<double> seconds_;
};

}  // namespace

double monotonic_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

int64_t train(ParameterBlock& parameters, Optimizer& optimizer, const TrainingOptions& options,
              Objective& objective, const std::function<bool(const StepReport&)>& after_step,
              const BackwardHooks& hooks) {
  BERTIE_CHECK(options.steps >= 0 && options.seconds >= 0 && (options.steps > 0) != (options.seconds > 0),
               "train", "a run must be of either steps or seconds, got {} and {}", options.steps,
               options.seconds);
  PartGradients gradients(parameters);
  bool timed = options.seconds > 0;
  double clock_at_start = options.clock();
  auto elapsed = [&] { return options.start.seconds + (options.clock() - clock_at_start); };
  RecentSteps recent;
  int64_t step = options.start.steps;
  Checkpoints* checkpoints = options.checkpoints;
  int64_t tried = -1;  // to save this step, perhaps in vain
  auto save = [&] {
    tried = step;
    // A square that overflowed in the optimizer shows here only.
    BERTIE_CHECK(std::isfinite(parameters.value_norm()), "train",
                 "the weights aren't finite after step {}: {}", step - 1, advice);
    checkpoints->save(parameters, optimizer, objective, {step, elapsed()});
  };
  bool goes_on = true;
  while (goes_on) {
    double begin = elapsed();
    if (timed ? begin >= options.seconds || begin + recent.longest() > options.seconds
              : step >= options.steps)
      break;
    int64_t parts = objective.begin_step(step);
    BERTIE_CHECK(parts >= 1, "train", "a step must have a part, step {} has {}", step, parts);
    double loss = backward_step(objective, step, parts, gradients, hooks);
    double norm = parameters.gradient_norm();
    BERTIE_CHECK(std::isfinite(norm), "train", "the gradient of step {} is {}{}: {}", step,
                 without_sign_of_nan(norm), data_of(objective, 0, parts), advice);
    double scale = options.max_gradient_norm > 0 ? clip_factor(norm, options.max_gradient_norm) : 1;
    double rate = timed ? options.schedule.rate(begin, elapsed(), options.seconds)
                        : options.schedule.rate(step, step + 1, options.steps);
    optimizer.step(rate, scale);
    double end = elapsed();
    recent.add(end - begin);
    goes_on = after_step({step, loss, rate, norm, parts, end});
    ++step;
    if (checkpoints && checkpoints->due({step, elapsed()})) save();
  }
  if (checkpoints && checkpoints->saved_steps() != step && tried != step) save();
  return step;
}

}  // namespace bertie
