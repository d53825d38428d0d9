// A model's parameters in one contiguous block, so that the optimizer and the norm are each one pass over
// memory.
#pragma once
#include <string>
#include <vector>

#include "bertie/nn/module.h"

namespace bertie {

class ParameterBlock {
 public:
  struct Segment {
    Parameter parameter;
    int64_t begin, end;  // elements of the block
  };

  // Moves the model's parameters, in module order and without frozen ones, into values(), and lets their
  // gradients be collected in gradients(). All must be of one type, and of no other block that still exists;
  // else it throws and leaves none bound.
  explicit ParameterBlock(Module& model);
  ~ParameterBlock();  // the parameters keep their values
  ParameterBlock(const ParameterBlock&) = delete;
  ParameterBlock& operator=(const ParameterBlock&) = delete;

  int64_t size() const { return values_.size(); }  // elements
  DType dtype() const { return values_.dtype(); }
  Array& values() { return values_; }  // [size]
  const Array& values() const { return values_; }
  const Array& gradients() const { return gradients_; }  // [size]
  // [size] bf16, where the model's precision was that: what products take for the values. Who changes values
  // may write it as well and say so; else parameters are rounded again where they are used.
  Array& rounded() { return rounded_; }
  const Array& rounded() const { return rounded_; }
  void rounded_is_current();
  const std::vector<Segment>& segments() const { return segments_; }

  void zero_grad();
  // From now on backward passes put gradients into `block`, of the layout of gradients(). Where holds[i], it
  // has one of segments()[i] already, which is added to. Throws where it is of another size or type.
  void collect_in(const Array& block, const std::vector<bool>& holds);
  // Throws, naming them, where no loss has reached some parameters since zero_grad(): their part of
  // gradients() is old.
  void check_reached(const char* who) const;
  // √Σ g² over all elements, added in a fixed order, after check_reached().
  double gradient_norm() const;
  double value_norm() const;  // √Σ θ², finite only where all elements are

 private:
  Array values_, gradients_, rounded_;
  std::vector<Segment> segments_;
};

// What gradients are multiplied by so that their norm is at most `max_norm`:
// min(1, max_norm / (norm + 1e-6)), as torch.nn.utils.clip_grad_norm_ has it (Pascanu et al., 2013).
double clip_factor(double norm, double max_norm);

}  // namespace bertie
