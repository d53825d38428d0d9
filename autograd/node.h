// The graph behind Tensor: what autograd/ itself works on. Operations need only tensor.h.
#pragma once
#include "bertie/autograd/tensor.h"

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
  std::vector<StorageVersion> versions;       // of the inputs, then of the result
  Backward backward;                          // of a parameter: empty
  bool used = false;                          // a backward pass has gone through; `backward` is empty now

  Array value;                // of a parameter; of other nodes only when made within KeepValues
  bool is_parameter = false;  // the following are for parameters
  bool is_frozen = false;     // no gradient flows to it
  std::string name;           // of a module's: "weight"; empty for others
  Array grad;                 // where gradients are collected: bound, or taken from the first that comes
  bool grad_is_bound = false;
  bool has_grad = false;          // since the last zero_grad()
  Array rounded;                  // the value in bf16, where somebody asked for it,
  StorageVersion rounded_from{};  // and the value that it is of

  Node();
  ~Node();  // without recursion, however long the chain
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
};

// The parameter whose node this is.
Tensor parameter_of(std::shared_ptr<Node> node);

}  // namespace bertie
