// The gradients of a step's parts, each computed by itself and added up in the tree of nn/part_tree.h. They
// are put into blocks of memory like ParameterBlock::gradients(), which is the first of them: all parts in
// turn need places_for(P) blocks, which are kept for the next steps. A part that has a sibling to its left is
// added to it parameter by parameter, as soon as each gradient is whole, and so are the nodes that this
// completes: while these numbers are in the cache.
#pragma once
#include <unordered_map>
#include <vector>

#include "bertie/autograd/backward.h"
#include "bertie/nn/parameter_block.h"
#include "bertie/nn/part_tree.h"

namespace bertie {

class PartGradients {
 public:
  explicit PartGradients(ParameterBlock& parameters);  // which must outlive this
  ~PartGradients();  // the gradients of the last step stay in parameters.gradients()
  PartGradients(const PartGradients&) = delete;
  PartGradients& operator=(const PartGradients&) = delete;

  // A step begins, without any gradients.
  void begin(PartTree tree);
  // The next part's, from left to right: runs the backward pass. No tensor is the loss of a part without
  // data, which adds nothing. The sum of all P is in parameters.gradients(). Throws what PartSums::next() and
  // backward() throw; then this step's sums are of no use.
  void add(int64_t part, const Tensor& loss, const BackwardHooks& hooks = {});

  // The sum of a node, which whoever owns its parts has added up.
  struct Sum {
    PartRange node;
    Array block;              // [size]
    std::vector<bool> holds;  // whether a loss reached the parameter; by number of the segment
  };
  // The sums that there are, from left to right: of those who own all parts that of the root alone.
  std::vector<Sum> sums() const;
  // Somebody else has put the sum of all parts into parameters.gradients(); `holds` is as in Sum.
  void complete(std::vector<bool> holds);

 private:
  using Place = PartSums::Place;
  Place next(int64_t part);
  void collect_in(int64_t place);
  Array view(int64_t place, size_t segment) const;
  void add_segment(int64_t place, size_t segment, const Array& block);
  void merge(const Place& place, size_t segment);

  ParameterBlock& parameters_;
  std::unordered_map<const Node*, size_t> segment_of_;
  PartSums sums_{PartTree(1)};
  std::vector<Array> blocks_;
  std::vector<std::vector<bool>> holds_;  // of each block: the segments that have a gradient there
};

}  // namespace bertie
