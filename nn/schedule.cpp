#include "bertie/nn/schedule.h"

#include <algorithm>
#include <cmath>

#include "bertie/autograd/error.h"

namespace bertie {

double Schedule::rate(int64_t step) const {
  BERTIE_CHECK(step >= 0 && warmup_steps >= 0 && total_steps >= 0, "schedule", "steps can't be negative");
  if (step < warmup_steps) return peak * static_cast<double>(step + 1) / static_cast<double>(warmup_steps);
  if (decay == Decay::constant) return peak;
  if (step >= total_steps) return 0;
  double left = static_cast<double>(total_steps - step) /
                static_cast<double>(std::max<int64_t>(1, total_steps - warmup_steps));
  return decay == Decay::linear ? peak * left : peak * 0.5 * (1 - std::cos(M_PI * left));
}

}  // namespace bertie
