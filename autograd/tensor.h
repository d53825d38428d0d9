// Tensor: an Array and its node in the graph of operations that made it.
//
// An operation checks its arguments, computes its result and ends with record(), whose closure turns dy, the
// gradient of the loss with respect to the result, into the gradients of the inputs:
//
//   return record("multiply", y, {a, b},
//                 [a = a.array(), b = b.array()](Array dy, const Needs& needs) -> Gradients {
//                   return {needs[0] ? product(dy, b) : Array(), needs[1] ? product(dy, a) : Array()};
//                 });
//
// The closure captures Arrays only (so no cycle of references can form) and never adds into anything: the
// backward pass (autograd/backward.h) accumulates, sums a broadcast gradient back to its input's shape, and
// frees what the closure held as soon as it has run. dy comes by value: where dy.unique(), the closure may
// write into it.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bertie/autograd/array.h"

namespace bertie {

struct Node;

// The result of an operation, computed once more: the same bits.
using Recompute = std::function<Array()>;

// What a closure keeps of an input's value: the array, or how to compute it again (see recomputed()).
class Saved {
 public:
  Saved() = default;  // nothing
  Saved(Array array) : array_(std::move(array)) {}
  explicit Saved(std::shared_ptr<const Recompute> again) : again_(std::move(again)) {}
  Array array() const { return again_ ? (*again_)() : array_; }
  // The same for the last time: nothing is left here, so that the array may be unique.
  Array take() {
    Array array = this->array();
    *this = Saved();
    return array;
  }

 private:
  Array array_;
  std::shared_ptr<const Recompute> again_;
};

class Tensor {
 public:
  Tensor() = default;   // no value
  Tensor(Array value);  // a constant: no gradient flows to it
  // A leaf whose gradient the backward pass collects. f32 or f64. One with a name is a module's, as
  // Module::add_parameter makes it (see backward()).
  static Tensor parameter(Array value, std::string name = {});

  explicit operator bool() const { return static_cast<bool>(array()); }
  const Array& array() const;
  const Shape& shape() const { return array().shape(); }
  DType dtype() const { return array().dtype(); }
  double item() const;  // the number in a tensor of one element; throws on others

  // True where a gradient flows to or through this tensor.
  bool requires_grad() const;

  // The value in bf16, as products of bf16 want it. A parameter keeps that, and rounds again where its value
  // has changed since.
  Array rounded() const;

  // For a closure to capture where the value may be one that isn't kept. (An operation that captures array()
  // keeps any value.)
  Saved saved() const { return is_recomputed_ ? Saved(again_) : Saved(array()); }

  // The following are for parameters and throw on other tensors.
  // The sum of what backward passes brought since the last zero_grad(); no array when none did.
  Array grad() const;
  void zero_grad();
  // From now on a constant for whatever uses it: no gradient flows to it. Throws where its place is bound.
  void freeze();
  // The value, for writing. Every copy of this Tensor sees the change.
  Array mutable_array();
  // Puts an array of the same shape and type in the value's place, one that can't be written to perhaps (a
  // mapped file's). Throws where bind() has tied the value to its place.
  void replace(Array value);
  // Gives the value up, for who made something else of it: this tensor has none from then on. Throws where
  // bind() has tied it to its place.
  void release();
  // Moves value and gradient into views of larger blocks: `value` receives the present value, and gradients
  // are collected in `grad` from now on. Both have the parameter's shape and type. Throws where it is bound
  // already.
  void bind(Array value, Array grad);
  // From now on rounded() is kept there: bf16, of the parameter's shape.
  void bind_rounded(Array place);
  // Says that whoever changed the value wrote what rounded() keeps as well.
  void rounded_is_current();
  void unbind();  // value and gradient stay where they are, until they are replaced

  const std::shared_ptr<Node>& node() const { return node_; }

 private:
  Tensor(Array value, std::shared_ptr<Node> node) : value_(std::move(value)), node_(std::move(node)) {}
  friend Tensor record(const char*, Array, std::vector<Tensor>,
                       std::function<std::vector<struct Gradient>(Array, const class Needs&)>, Recompute);
  friend Tensor recomputed(Tensor y);
  friend Tensor parameter_of(std::shared_ptr<Node> node);

  Array value_;  // a parameter's value is in its node, which all its copies share
  std::shared_ptr<Node> node_;
  std::shared_ptr<const Recompute> again_;  // of a result whose operation tells
  bool is_recomputed_ = false;
};

// The gradient of one input: an array of the input's shape, or of the result's, which is then summed to the
// input's as that of a broadcast. Of a table of which only some rows were read, it is those rows [M, …] with
// `ids` [M] i32 or i64 that tell their places; the backward pass adds them up, and the other rows are zero.
// Not an Array itself: taken for one, it would lose its ids.
struct Gradient {
  Gradient(Array values = {}, Array ids = {}) : values(std::move(values)), ids(std::move(ids)) {}
  explicit operator bool() const { return static_cast<bool>(values); }

  Array values, ids;
};
using Gradients = std::vector<Gradient>;  // one per input, in the order given to record()

// needs[i]: does input i want a gradient? The closure may return no array for one that doesn't.
class Needs {
 public:
  explicit Needs(const std::vector<std::shared_ptr<Node>>& inputs) : inputs_(inputs) {}
  bool operator[](size_t input) const { return inputs_[input] != nullptr; }
  // Memory for the whole gradient of input i, of its shape and type and with undefined elements, to fill and
  // to return: where it stays, if it is a bound parameter's first (which spares a copy), else new.
  Array place(size_t input) const;

 private:
  const std::vector<std::shared_ptr<Node>>& inputs_;
};

using Backward = std::function<Gradients(Array dy, const Needs& needs)>;

// The result of operation `op` as a Tensor; with a node where an input wants a gradient and no NoGrad is in
// scope. Changing an input or the result in place before the backward pass has gone through is noticed there
// and throws. An operation that costs little may tell how to compute its result again, from arrays and the
// saved() of its inputs.
Tensor record(const char* op, Array y, std::vector<Tensor> inputs, Backward backward, Recompute again = {});

// Memory for time: y, whose value isn't kept for the backward pass by operations that take its saved(). They
// compute it again there, from what its operation took; where that isn't kept either, from what came before.
// y itself where its operation doesn't tell how to, where nothing is recorded, and within KeepValues.
Tensor recomputed(Tensor y);

// Throws, naming the operation, where x has no value.
inline void check_value(const char* op, const Tensor& x) {
  BERTIE_CHECK(static_cast<bool>(x), op, "needs a tensor with a value");
}

// For a closure to capture: the array where `wanted`, else none, so that nothing is kept for a gradient
// nobody asks.
inline Array save_if(bool wanted, const Array& array) { return wanted ? array : Array(); }

// While one is in scope on this thread, operations record nothing.
class NoGrad {
 public:
  NoGrad();
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;
};

}  // namespace bertie
