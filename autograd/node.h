// The graph behind Tensor: what autograd/ itself works on. Operations need only tensor.h.
#pragma once
#include "autograd/tensor.h"

namespace bertie {

// A storage as it was when an operation read or wrote it.
struct StorageVersion {
  std::weak_ptr<Storage> storage;
  uint64_t version;
};

struct Node {
  uint64_t id;     // in order of creation, so an input's is smaller than that of every node that uses it
  const char* op;  // "parameter" for a leaf
  Shape shape;     // of the result
  DType dtype;
  std::vector<std::shared_ptr<Node>> inputs;  // null where no gradient flows
  std::vector<Shape> input_shapes;
  std::vector<StorageVersion> versions;  // of the inputs, then of the result
  Backward backward;                     // empty once used
  bool used = false;

  // Of a parameter only.
  bool is_parameter = false;
  Array value;
  Array grad;                 // where gradients are collected: bound, or taken from the first that comes
  bool has_grad = false;      // since the last zero_grad()
  int64_t backward_uses = 0;  // during a backward pass: uses whose gradient is still to come

  // Of other nodes: the result, while somebody else keeps it (or always, within KeepValues); for explain().
  std::weak_ptr<Storage> result_storage;
  Array kept_result;

  Node();
  ~Node();  // without recursion, however long the chain
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
};

}  // namespace bertie
