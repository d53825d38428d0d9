// Something to train that is no language model: a small network tells which of three arms of a spiral a point
// lies on. Its batches come from a shuffled pass over the points, in parts of unequal sizes, and it drops
// out.
#pragma once
#include <nlohmann/json.hpp>

#include "bertie/autograd/random.h"
#include "bertie/nn/objective.h"
#include "bertie/ops/loss.h"
#include "tests/nn/small_models.h"

namespace bertie {

// [T, 2] → logits [T, 3]
struct Classifier : TwoLayers {
  explicit Classifier(Initializer init = Initializer::fan_in(1), int64_t width = 24)
      : TwoLayers(init, 2, width, 3, 0.3) {}
};

class Spirals : public Objective {
 public:
  // Step s has the parts of sizes[s % sizes.size()], each a number of points.
  Spirals(const Classifier& model, std::vector<std::vector<int64_t>> sizes)
      : model_(model), sizes_(std::move(sizes)), order_(points) {
    Random random(1);
    for (int64_t i = 0; i < points; ++i) {
      double along = random.uniform(), angle = 2 * M_PI * (static_cast<double>(i % 3) / 3 + along);
      x_.push_back(static_cast<float>(along * std::cos(angle) + 0.02 * random.normal()));
      x_.push_back(static_cast<float>(along * std::sin(angle) + 0.02 * random.normal()));
    }
    shuffle();
  }

  int64_t begin_step(int64_t step) override {
    step_ = step;
    parts_ = sizes_[static_cast<size_t>(step) % sizes_.size()];
    batch_.clear();
    for (int64_t size : parts_)
      for (int64_t i = 0; i < size; ++i) batch_.push_back(next());
    return static_cast<int64_t>(parts_.size());
  }

  Tensor loss(int64_t part) override {
    int64_t begin = 0;
    for (int64_t i = 0; i < part; ++i) begin += parts_[i];
    Pass pass{{{0}, begin}, 7, static_cast<uint64_t>(step_)};  // each point is a sequence of its own
    std::vector<float> x;
    std::vector<int32_t> labels;
    for (int64_t i = begin; i < begin + parts_[part]; ++i) {
      x.insert(x.end(), {x_[2 * batch_[i]], x_[2 * batch_[i] + 1]});
      labels.push_back(static_cast<int32_t>(batch_[i] % 3));
      pass.packing.offsets.push_back(static_cast<int64_t>(labels.size()));
    }
    return cross_entropy(model_.forward(Array::from(x, {parts_[part], 2}), pass), Array::from(labels),
                         {.denominator = static_cast<double>(batch_.size())});
  }

  std::string state() const override {
    return nlohmann::json{{"pass", pass_}, {"position", position_}}.dump();
  }
  void restore(const std::string& state) override {
    nlohmann::json json = nlohmann::json::parse(state);
    pass_ = json["pass"];
    position_ = json["position"];
    shuffle();
  }

 private:
  static constexpr int64_t points = 90;

  int64_t next() {
    if (position_ == points) {
      ++pass_;
      position_ = 0;
      shuffle();
    }
    return order_[position_++];
  }
  void shuffle() {
    for (int64_t i = 0; i < points; ++i) order_[i] = i;
    Random random(2, static_cast<uint64_t>(pass_));
    for (int64_t i = points - 1; i > 0; --i)
      std::swap(order_[i], order_[random.below(static_cast<uint64_t>(i) + 1)]);
  }

  const Classifier& model_;
  std::vector<std::vector<int64_t>> sizes_;
  std::vector<float> x_;                        // [points, 2]; point i belongs to class i % 3
  std::vector<int64_t> order_, batch_, parts_;  // of the pass; the step's points; the sizes of its parts
  int64_t step_ = 0, pass_ = 0, position_ = 0;
};

}  // namespace bertie
