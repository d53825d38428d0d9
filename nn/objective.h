// What a training run learns from: the batch of each step, in parts, and the loss of each part.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "bertie/autograd/tensor.h"

namespace bertie {

class Objective {
 public:
  virtual ~Objective() = default;
  // Makes the batch of step 0, 1, … ready. Returns the number of parts that it is cut into, by its plan
  // alone: at least 1.
  virtual int64_t begin_step(int64_t step) = 0;
  // The loss of part 0, 1, … of the step that has begun, over the whole step's denominators, so that the
  // losses of the parts add up to the step's. No tensor, where the part has no data.
  virtual Tensor loss(int64_t part) = 0;

  // What the next steps depend on beside their numbers and what the objective was made of, such as a position
  // in the data; JSON by custom. It is asked for between two steps. Nothing, where a step is a function of
  // its number alone.
  virtual std::string state() const { return {}; }
  // Takes up what state() gave to a checkpoint: the next step that begins is the one which would have come
  // then. In time that doesn't grow with the position.
  virtual void restore(const std::string& state) {
    BERTIE_CHECK(state.empty(), "objective", "can't take up a state, and the checkpoint has one: {}", state);
  }

  // Names the data of a part of the step that has begun, for the message of one whose loss isn't finite:
  // "lines 17, 4 and 230 of corpus.txt".
  virtual std::string data_of(int64_t /*part*/) const { return {}; }
};

// A loss that is a function of the step's number, in one part.
class LossOfStep : public Objective {
 public:
  explicit LossOfStep(std::function<Tensor(int64_t step)> loss_of) : loss_of_(std::move(loss_of)) {}
  int64_t begin_step(int64_t step) override {
    step_ = step;
    return 1;
  }
  Tensor loss(int64_t /*part*/) override { return loss_of_(step_); }

 private:
  std::function<Tensor(int64_t step)> loss_of_;
  int64_t step_ = 0;
};

}  // namespace bertie
