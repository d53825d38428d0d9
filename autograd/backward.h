// The backward pass: from a result to the gradients of all parameters that it depends on.
#pragma once
#include <functional>
#include <string>

#include "bertie/autograd/tensor.h"

namespace bertie {

// What may watch or disturb a backward pass.
struct BackwardHooks {
  // Called once for each parameter that is reached, as soon as this pass adds nothing more to its gradient.
  std::function<void(const Tensor& parameter)> on_final_gradient;
  // Called with each operation's name and the gradients that it returned, before they are used. The tests of
  // the gradient check put faults in here.
  std::function<void(const char* op, Gradients& gradients)> on_returned_gradients;
  // Called with each node and its whole gradient, in the order of the pass; explain() prints from here.
  std::function<void(const Node& node, const Array& gradient)> on_node;
};

// Adds the gradient of `loss`, one number, to the gradient of every parameter that it depends on: the whole
// one, also where several operations use a parameter, so that its bits don't depend on what was there. A
// graph serves once: a second pass through any part of it throws, as does a loss that depends on no
// parameter.
//
// Throws, too, before any gradient is added, where it depends on parameters of a module that are in no
// ParameterBlock while others are in one: those would never be trained, because nobody added the child that
// holds them to its parent. (Tensor::parameter without a name may stand beside a block: a gradient with
// respect to an input.)
void backward(const Tensor& loss, const BackwardHooks& hooks = {});

// The same from a result of any shape, given dy, the gradient with respect to it.
void backward(const Tensor& y, const Array& dy, const BackwardHooks& hooks = {});

// Runs the backward pass and tells about it, a line per node in backward order: operation, shape, norm of the
// value and norm of the gradient; the first one that isn't finite is marked. Values that nobody needs are
// freed as the graph is built and print as "freed"; within KeepValues they are all there.
std::string explain(const Tensor& loss);

// While one is in scope on this thread, the graph keeps every operation's result.
class KeepValues {
 public:
  KeepValues();
  ~KeepValues();
  KeepValues(const KeepValues&) = delete;
  KeepValues& operator=(const KeepValues&) = delete;
};

}  // namespace bertie
