#include "bertie/autograd/backward.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "bertie/autograd/accumulate.h"
#include "bertie/autograd/node.h"

namespace bertie {
namespace {

// Every node that the root depends on, newest first. An input is older than its users, so in this order a
// node's gradient is complete when its turn comes.
std::vector<std::shared_ptr<Node>> reachable_nodes(const std::shared_ptr<Node>& root) {
  std::vector<std::shared_ptr<Node>> nodes{root};
  std::unordered_set<const Node*> seen{root.get()};
  for (size_t i = 0; i < nodes.size(); ++i) {
    BERTIE_CHECK(!nodes[i]->used, "backward", "'{}' was already part of a backward pass: a graph serves once",
                 nodes[i]->op);
    for (size_t k = 0; k < nodes[i]->inputs.size(); ++k) {
      std::shared_ptr<Node> input = nodes[i]->inputs[k];
      if (input && seen.insert(input.get()).second) nodes.push_back(std::move(input));
    }
  }
  std::sort(nodes.begin(), nodes.end(), [](const auto& a, const auto& b) { return a->id > b->id; });
  return nodes;
}

// Parameters that a module owns but no block holds, while the loss also reaches some in a block, are a
// child's that nobody added: they would silently never be trained.
void check_none_is_lost(const std::vector<std::shared_ptr<Node>>& nodes) {
  bool any_bound = false;
  std::string lost;
  for (auto node = nodes.rbegin(); node != nodes.rend(); ++node) {  // in the order in which they were made
    any_bound = any_bound || (*node)->grad_is_bound;
    if ((*node)->name.empty() || (*node)->grad_is_bound) continue;
    lost += (lost.empty() ? "" : ", ") + (*node)->name + " " + (*node)->shape.str();
  }
  BERTIE_CHECK(!any_bound || lost.empty(), "backward",
               "the loss reaches parameters of a module outside of the ParameterBlock: {}. add_module() the "
               "child that holds them to its parent, or, if they are to stay as they are, compute with them "
               "within NoGrad",
               lost);
}

void check_unchanged(const Node& node) {
  for (size_t i = 0; i < node.versions.size(); ++i) {
    std::shared_ptr<Storage> storage = node.versions[i].storage.lock();
    if (!storage || storage->version == node.versions[i].version) continue;
    if (i < node.inputs.size())
      fail("backward", "input {} of '{}' was changed in place after its use", i, node.op);
    fail("backward", "the result of '{}' was changed in place before the backward pass", node.op);
  }
}

// A tied parameter — one that several operations use, like BERT's word embeddings and decoder — gets its
// gradient summed here: the first one to come is put there, the others are added.
void accumulate_parameter(Node& node, Gradient gradient) {
  if (!node.grad_is_bound) {
    if (!node.has_grad) node.grad = Array();
    accumulate(node.grad, std::move(gradient), node.shape);
    if (!node.grad.unique()) node.grad = node.grad.clone();  // its owner may change it
  } else if (gradient.ids) {
    if (!node.has_grad) node.grad.fill_zero();
    add_rows(node.grad, gradient.values, gradient.ids);
  } else if (node.has_grad) {
    add_into(node.grad, gradient.values);
  } else if (gradient.values.bytes_begin() !=
             node.grad.bytes_begin()) {  // else it is there: see Needs::place
    node.grad.copy_from(gradient.values);
  }
  node.has_grad = true;
}

// The whole gradient of a pass onto that of passes before.
void add_whole(Node& node, Array gradient) {
  if (node.grad_is_bound)
    add_into(node.grad, gradient);
  else
    accumulate(node.grad, std::move(gradient), node.shape);
}

class BackwardPass {
 public:
  BackwardPass(const std::shared_ptr<Node>& root, const BackwardHooks& hooks)
      : nodes_(reachable_nodes(root)), hooks_(hooks) {
    check_none_is_lost(nodes_);
    for (const auto& node : nodes_) {
      for (const auto& input : node->inputs)
        if (input) ++gradients_[input.get()].uses_left;
      if (node->is_parameter) gradients_[node.get()].is_apart = node->has_grad;
    }
  }

  void run(const std::shared_ptr<Node>& root, Array dy) {
    gradients_[root.get()].uses_left = 1;
    receive(root, std::move(dy));
    for (std::shared_ptr<Node>& node : nodes_) {
      if (!node->is_parameter) visit(*node);
      node.reset();
    }
  }

 private:
  struct Incoming {
    Array sum;
    int64_t uses_left = 0;
    // Of a parameter that has a gradient of passes before: this pass's is summed apart, and added when it is
    // whole, so that it has the same bits whatever came before.
    bool is_apart = false;
  };

  void visit(Node& node) {
    auto incoming = gradients_.find(&node);
    Array dy = std::move(incoming->second.sum);
    gradients_.erase(incoming);
    check_unchanged(node);
    node.used = true;
    Backward backward = std::move(node.backward);
    node.backward = nullptr;
    node.versions.clear();
    if (hooks_.on_node) hooks_.on_node(node, dy);
    Gradients gradients = backward(std::move(dy), Needs(node.inputs));
    backward = nullptr;  // frees what the operation saved
    if (hooks_.on_returned_gradients) hooks_.on_returned_gradients(node.op, gradients);
    BERTIE_CHECK(gradients.size() == node.inputs.size(), "backward",
                 "'{}' has {} inputs but returned {} gradients", node.op, node.inputs.size(),
                 gradients.size());
    for (size_t i = 0; i < gradients.size(); ++i) {
      if (!node.inputs[i]) continue;
      receive(node.inputs[i], checked(node, i, std::move(gradients[i])));
    }
    node.inputs.clear();
  }

  // The gradient in its input's shape and type.
  static Gradient checked(const Node& node, size_t i, Gradient gradient) {
    BERTIE_CHECK(static_cast<bool>(gradient), "backward",
                 "'{}' returned no gradient for input {}, which needs one", node.op, i);
    const Node& input = *node.inputs[i];
    BERTIE_CHECK(gradient.values.dtype() == input.dtype, "backward",
                 "'{}' returned a {} gradient for input {}, which is {}", node.op,
                 name(gradient.values.dtype()), i, name(input.dtype));
    if (gradient.ids) {
      BERTIE_CHECK(input.shape.rank() >= 1, "backward", "'{}' returned rows for input {}, a scalar", node.op,
                   i);
      BERTIE_CHECK(gradient.values.shape() == input.shape.with(0, gradient.ids.size()), "backward",
                   "'{}' returned rows {} with {} ids for input {} of shape {}", node.op,
                   gradient.values.shape(), gradient.ids.size(), i, input.shape);
      return gradient;
    }
    if (gradient.values.shape() == input.shape) return gradient;
    BERTIE_CHECK(gradient.values.shape() == node.shape, "backward",
                 "'{}' returned a gradient of shape {} for input {} of shape {}", node.op,
                 gradient.values.shape(), i, input.shape);
    return sum_to_shape(gradient.values, input.shape);
  }

  void receive(const std::shared_ptr<Node>& node, Gradient gradient) {
    Incoming& incoming = gradients_[node.get()];
    --incoming.uses_left;
    if (!node->is_parameter || incoming.is_apart)
      accumulate(incoming.sum, std::move(gradient), node->shape);
    else
      accumulate_parameter(*node, std::move(gradient));
    if (!node->is_parameter || incoming.uses_left > 0) return;
    if (incoming.is_apart) add_whole(*node, std::move(incoming.sum));
    if (hooks_.on_node) hooks_.on_node(*node, node->grad);
    if (hooks_.on_final_gradient) hooks_.on_final_gradient(parameter_of(node));
  }

  std::vector<std::shared_ptr<Node>> nodes_;
  std::unordered_map<const Node*, Incoming> gradients_;
  const BackwardHooks& hooks_;
};

}  // namespace

void backward(const Tensor& y, const Array& dy, const BackwardHooks& hooks) {
  BERTIE_CHECK(y.requires_grad(), "backward",
               "no gradient was recorded: the tensor depends on no parameter, or was made within NoGrad");
  BERTIE_CHECK(dy && dy.shape() == y.shape() && dy.dtype() == y.dtype(), "backward",
               "dy must be {} {}, like the tensor", name(y.dtype()), y.shape());
  BackwardPass(y.node(), hooks).run(y.node(), dy);
}

void backward(const Tensor& loss, const BackwardHooks& hooks) {
  BERTIE_CHECK(loss && loss.array().size() == 1, "backward",
               "starts from one number; give dy for a tensor of shape {}",
               loss ? loss.shape().str() : "none");
  backward(loss, Array::full(loss.shape(), 1, loss.dtype()), hooks);
}

}  // namespace bertie
