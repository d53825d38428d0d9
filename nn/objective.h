// What a training run learns from: the batch of each step, in parts, and the loss of each part.
#pragma once
#include <cstdint>

#include "bertie/autograd/tensor.h"

namespace bertie {

class Objective {
 public:
  virtual ~Objective() = default;
  // Makes the batch of step 0, 1, … ready. Returns the number of parts that it is cut into, by its plan
  // alone: at least 1.
  virtual int64_t begin_step(int64_t step) = 0;
  // The loss of part 0, 1, … of the step that has begun, over the whole step's denominators, so that the
  // losses of the parts add up to the step's.
  virtual Tensor loss(int64_t part) = 0;
};

}  // namespace bertie
