#include "bertie/autograd/tensor.h"

#include <algorithm>
#include <atomic>

#include "bertie/autograd/backward.h"
#include "bertie/autograd/node.h"

namespace bertie {
namespace {

thread_local int no_grad_depth = 0;
thread_local int keep_values_depth = 0;
std::atomic<uint64_t> nodes_made{0};

}  // namespace

NoGrad::NoGrad() { ++no_grad_depth; }
NoGrad::~NoGrad() { --no_grad_depth; }
KeepValues::KeepValues() { ++keep_values_depth; }
KeepValues::~KeepValues() { --keep_values_depth; }

Node::Node() : id(nodes_made++) {}

// Releasing the last reference to an input would destroy it, and so on down the chain, one stack frame per
// node. So the outermost destructor collects what becomes free and releases it in a loop.
Node::~Node() {
  thread_local std::vector<std::shared_ptr<Node>>* pending = nullptr;
  if (pending) {
    for (std::shared_ptr<Node>& input : inputs) pending->push_back(std::move(input));
    return;
  }
  std::vector<std::shared_ptr<Node>> stack = std::move(inputs);
  pending = &stack;
  while (!stack.empty()) {
    std::shared_ptr<Node> next = std::move(stack.back());
    stack.pop_back();
    next.reset();
  }
  pending = nullptr;
}

Tensor::Tensor(Array value) : value_(std::move(value)) {}

Tensor Tensor::parameter(Array value, std::string name) {
  BERTIE_CHECK(value && (value.dtype() == DType::f32 || value.dtype() == DType::f64), "parameter",
               "a parameter is an array of f32 or f64, got {}", value ? bertie::name(value.dtype()) : "none");
  auto node = std::make_shared<Node>();
  node->op = "parameter";
  node->shape = value.shape();
  node->dtype = value.dtype();
  node->is_parameter = true;
  node->name = std::move(name);
  node->value = std::move(value);
  return Tensor(Array(), std::move(node));
}

Tensor parameter_of(std::shared_ptr<Node> node) { return Tensor(Array(), std::move(node)); }

bool Tensor::requires_grad() const { return node_ && !node_->is_frozen; }

const Array& Tensor::array() const { return node_ && node_->is_parameter ? node_->value : value_; }

double Tensor::item() const {
  BERTIE_CHECK(array() && array().size() == 1, "item", "needs a tensor of one element, got {}",
               array() ? shape().str() : "no value");
  return array().item();
}

namespace {

Node& parameter_node(const std::shared_ptr<Node>& node) {
  BERTIE_CHECK(node && node->is_parameter, "parameter", "this tensor is not a parameter");
  return *node;
}

}  // namespace

Array Tensor::grad() const {
  Node& node = parameter_node(node_);
  return node.has_grad ? node.grad : Array();
}

void Tensor::zero_grad() {
  Node& node = parameter_node(node_);
  node.has_grad = false;
  if (!node.grad_is_bound) node.grad = Array();
}

void Tensor::freeze() {
  Node& node = parameter_node(node_);
  BERTIE_CHECK(!node.grad_is_bound, "freeze", "this parameter's place is bound: freeze it before");
  node.is_frozen = true;
}

Array Tensor::mutable_array() { return parameter_node(node_).value; }

void Tensor::replace(Array value) {
  Node& node = parameter_node(node_);
  BERTIE_CHECK(!node.grad_is_bound, "replace",
               "this parameter's place is bound: copy into mutable_array() instead");
  BERTIE_CHECK(value && value.shape() == node.shape && value.dtype() == node.dtype, "replace",
               "the new value must be {} {}, like the parameter", name(node.dtype), node.shape);
  node.value = std::move(value);
  node.rounded_from = {};  // the new one may lie in the same storage
}

void Tensor::release() {
  Node& node = parameter_node(node_);
  BERTIE_CHECK(!node.grad_is_bound, "release", "this parameter's place is bound");
  node.value = node.rounded = {};
  node.rounded_from = {};
}

void Tensor::bind(Array value, Array grad) {
  Node& node = parameter_node(node_);
  BERTIE_CHECK(!node.grad_is_bound, "bind", "this parameter's place is bound already");
  for (const Array& view : {value, grad})
    BERTIE_CHECK(view && view.shape() == node.shape && view.dtype() == node.dtype, "bind",
                 "the new places must be {} {}, like the parameter", name(node.dtype), node.shape);
  value.copy_from(node.value);
  if (node.has_grad) grad.copy_from(node.grad);
  node.value = std::move(value);
  node.grad = std::move(grad);
  node.grad_is_bound = true;
}

Array Tensor::rounded() const {
  if (!node_ || !node_->is_parameter) return array().cast(DType::bf16);
  Node& node = *node_;
  check_value("rounded", *this);
  if (!node.rounded) node.rounded = Array::empty(node.shape, DType::bf16);
  const std::shared_ptr<Storage>& storage = node.value.storage();
  if (node.rounded_from.storage.lock() != storage || node.rounded_from.version != storage->version) {
    node.rounded.convert_from(node.value);
    node.rounded_from = {storage, storage->version};
  }
  return node.rounded;
}

void Tensor::bind_rounded(Array place) {
  Node& node = parameter_node(node_);
  BERTIE_CHECK(place && place.shape() == node.shape && place.dtype() == DType::bf16, "bind",
               "the place of the rounded value must be bf16 {}", node.shape);
  node.rounded = std::move(place);
  node.rounded_from = {};
}

void Tensor::rounded_is_current() {
  Node& node = parameter_node(node_);
  node.rounded_from = {node.value.storage(), node.value.storage()->version};
}

void Tensor::unbind() { parameter_node(node_).grad_is_bound = false; }

Array Needs::place(size_t input) const {
  const Node& node = *inputs_[input];
  bool first = node.grad_is_bound && !node.has_grad;
  // Where it is an input twice, the second gradient would overwrite the first.
  bool single = std::count(inputs_.begin(), inputs_.end(), inputs_[input]) == 1;
  return first && single ? node.grad : Array::empty(node.shape, node.dtype);
}

Tensor record(const char* op, Array y, std::vector<Tensor> inputs, Backward backward, Recompute again) {
  bool wanted = false;
  for (const Tensor& input : inputs) {
    BERTIE_CHECK(static_cast<bool>(input), op, "an input has no value");
    wanted = wanted || input.requires_grad();
  }
  if (!wanted || no_grad_depth > 0) return Tensor(std::move(y));
  auto node = std::make_shared<Node>();
  node->op = op;
  node->shape = y.shape();
  node->dtype = y.dtype();
  node->backward = std::move(backward);
  for (const Tensor& input : inputs) {
    node->inputs.push_back(input.requires_grad() ? input.node() : nullptr);
    node->versions.push_back({input.array().storage(), input.array().storage()->version});
  }
  node->versions.push_back({y.storage(), y.storage()->version});
  if (keep_values_depth > 0) node->value = y;
  Tensor result(std::move(y), std::move(node));
  if (again) result.again_ = std::make_shared<const Recompute>(std::move(again));
  return result;
}

Tensor recomputed(Tensor y) {
  y.is_recomputed_ = y.again_ && keep_values_depth == 0;
  return y;
}

}  // namespace bertie
