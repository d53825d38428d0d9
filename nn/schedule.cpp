#include "bertie/nn/schedule.h"

#include <algorithm>
#include <cmath>

#include "bertie/autograd/error.h"

namespace bertie {

double Schedule::rate(double begin, double end, double length) const {
  BERTIE_CHECK(begin >= 0 && begin <= end && length > 0, "schedule",
               "a step must go forward within a run longer than 0, got {} … {} of {}", begin, end, length);
  BERTIE_CHECK(warmup >= 0, "schedule", "the warm-up must be a share ≥ 0, got {}", warmup);
  double rise = warmup * length;
  if (begin < rise) return peak * std::min(1.0, end / rise);
  if (decay == Decay::constant) return peak;
  if (begin >= length) return 0;
  double left = (length - begin) / (length - rise);
  return decay == Decay::linear ? peak * left : peak * 0.5 * (1 - std::cos(M_PI * left));
}

}  // namespace bertie
