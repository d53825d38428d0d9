#include "bertie/nn/training.h"

#include <cmath>

namespace bertie {

int64_t train(ParameterBlock& parameters, Optimizer& optimizer, const TrainingOptions& options,
              const std::function<Tensor(int64_t step)>& loss_of,
              const std::function<bool(const StepReport&)>& after_step, const BackwardHooks& hooks) {
  const Schedule& schedule = options.schedule;
  BERTIE_CHECK(schedule.decay == Schedule::Decay::constant || schedule.total_steps >= options.steps, "train",
               "the learning rate falls to 0 at step {} of {}", schedule.total_steps, options.steps);
  for (int64_t step = 0; step < options.steps; ++step) {
    parameters.zero_grad();
    double value;
    {
      Tensor loss = loss_of(step);
      value = loss.item();
      BERTIE_CHECK(std::isfinite(value), "train", "the loss of step {} is {}: a lower learning rate may help",
                   step, value);
      backward(loss, hooks);
    }
    double norm = parameters.gradient_norm();
    BERTIE_CHECK(std::isfinite(norm), "train",
                 "the gradient of step {} is {}: a lower learning rate may help", step, norm);
    double scale = options.max_gradient_norm > 0 ? clip_factor(norm, options.max_gradient_norm) : 1;
    double rate = schedule.rate(step);
    optimizer.step(rate, scale);
    if (!after_step({step, value, rate, norm})) return step + 1;
  }
  return options.steps;
}

}  // namespace bertie
