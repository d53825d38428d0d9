// The training loop. It knows nothing of what is trained.
#pragma once
#include <functional>

#include "bertie/autograd/backward.h"
#include "bertie/nn/optimizer.h"
#include "bertie/nn/schedule.h"

namespace bertie {

struct TrainingOptions {
  int64_t steps = 0;
  Schedule schedule;
  double max_gradient_norm = 1;  // 0: gradients are not clipped
};

struct StepReport {
  int64_t step;  // 0, 1, …
  double loss;
  double learning_rate;
  double gradient_norm;  // before clipping
};

// For each step: loss_of(step) builds the graph of the step's loss; backward; clip; update. Then after_step,
// which ends the run by returning false. `hooks` watch the backward passes. Returns the number of steps done.
// Throws when a loss or a gradient isn't finite, or where the schedule ends before the steps do.
int64_t train(ParameterBlock& parameters, Optimizer& optimizer, const TrainingOptions& options,
              const std::function<Tensor(int64_t step)>& loss_of,
              const std::function<bool(const StepReport&)>& after_step, const BackwardHooks& hooks = {});

}  // namespace bertie
