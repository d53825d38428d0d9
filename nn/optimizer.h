// Optimizers: one pass over parameters, gradients and moments.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "bertie/data/files/safetensors.h"
#include "bertie/nn/parameter_block.h"

namespace bertie {

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  // One update. Gradients are multiplied by `gradient_scale` (see clip_factor) as they are read. Throws,
  // naming them, where the loss didn't reach some parameters.
  void step(double learning_rate, double gradient_scale = 1);
  int64_t steps_done() const { return steps_; }

  // What the next step depends on beside the parameters: arrays of the block's type, by name. They are the
  // optimizer's own, so writing into them and continue_from() take up the state of another one.
  virtual std::vector<NamedArray> state() const = 0;
  void continue_from(int64_t steps_done) { steps_ = steps_done; }
  virtual std::string str() const = 0;  // whose which parameters are, for people

 protected:
  // `parameters` must outlive the optimizer.
  Optimizer(ParameterBlock& parameters, double weight_decay)
      : parameters_(parameters), weight_decay_(weight_decay) {}
  // Updates elements begin … end-1, all of one decay group.
  virtual void update(int64_t begin, int64_t end, double learning_rate, double gradient_scale,
                      double weight_decay) = 0;
  // Which segments update() gets; update_others() sees to the others.
  virtual bool is_updated(const ParameterBlock::Segment&) const { return true; }
  virtual void update_others(double /*learning_rate*/, double /*gradient_scale*/, double /*weight_decay*/) {}

  ParameterBlock& parameters_;
  bool writes_rounded_ = false;  // update() writes parameters_.rounded(), where there is that

 private:
  double weight_decay_;
  int64_t steps_ = 0;  // done, the current one included
};

// v ← μ v + g;  θ ← θ − η v    (Sutskever et al., 2013, as PyTorch has it)
// With momentum μ = 0 this is plain gradient descent.
class SGD : public Optimizer {
 public:
  SGD(ParameterBlock& parameters, double momentum = 0);
  std::vector<NamedArray> state() const override;
  std::string str() const override { return "SGD"; }

 private:
  void update(int64_t begin, int64_t end, double learning_rate, double gradient_scale,
              double weight_decay) override;
  double momentum_;
  Array velocity_;
};

struct AdamOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;  // at least 1e-15 for f32, 1e-150 for f64
  double weight_decay = 0;
};

// m ← β₁ m + (1 − β₁) g;  v ← β₂ v + (1 − β₂) g²;  θ ← θ − η m̂ / (√v̂ + ε)
// with m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ) (Kingma & Ba, 2015, algorithm 1). Weight decay is decoupled:
// θ ← θ − η λ θ first (Loshchilov & Hutter, 2019), and spares parameters of one axis: biases and LayerNorm.
// With weight_decay 0 this is Adam, otherwise AdamW.
class AdamW : public Optimizer {
 public:
  AdamW(ParameterBlock& parameters, const AdamOptions& options) : AdamW(parameters, options, {}) {}
  std::vector<NamedArray> state() const override;
  std::string str() const override { return "AdamW"; }

 protected:
  // Elements of the block that aren't AdamW's, whole segments in rising order: they have a first moment, and
  // no second one.
  struct Gap {
    int64_t begin, end;
  };
  AdamW(ParameterBlock& parameters, const AdamOptions& options, std::vector<Gap> gaps);
  Array first_moment_;

 private:
  void update(int64_t begin, int64_t end, double learning_rate, double gradient_scale,
              double weight_decay) override;
  bool is_updated(const ParameterBlock::Segment& segment) const override;
  int64_t gaps_before(int64_t begin) const;  // elements

  AdamOptions options_;
  std::vector<Gap> gaps_;
  Array second_moment_;
};

class Adam : public AdamW {
 public:
  explicit Adam(ParameterBlock& parameters, AdamOptions options = {});  // throws on a weight decay
};

}  // namespace bertie
