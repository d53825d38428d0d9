#include "bertie/nn/part_tree.h"

#include <algorithm>
#include <bit>

#include "bertie/autograd/error.h"

namespace bertie {
namespace {

void add_within(PartRange node, PartRange owned, std::vector<PartRange>& nodes) {
  if (node.end <= owned.begin || node.begin >= owned.end) return;
  if (node.begin >= owned.begin && node.end <= owned.end) return nodes.push_back(node);
  int64_t middle = PartTree::middle(node);
  add_within({node.begin, middle}, owned, nodes);
  add_within({middle, node.end}, owned, nodes);
}

}  // namespace

PartTree::PartTree(int64_t parts) : parts_(parts) {
  BERTIE_CHECK(parts >= 1, "part_tree", "there must be at least one part, got {}", parts);
}

int64_t PartTree::middle(PartRange node) {
  BERTIE_CHECK(node.size() >= 2, "part_tree", "a node over parts {} to {} has no children", node.begin,
               node.end);
  return node.begin + static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(node.size() - 1)));
}

bool PartTree::has(PartRange range) const {
  PartRange node = root();
  while (range.size() >= 1 && node.size() > range.size()) {
    int64_t m = middle(node);
    node = range.begin < m ? PartRange{node.begin, m} : PartRange{m, node.end};
  }
  return node == range;
}

std::vector<PartRange> PartTree::within(PartRange owned) const {
  BERTIE_CHECK(owned.begin >= 0 && owned.begin <= owned.end && owned.end <= parts_, "part_tree",
               "there are {} parts, not {} to {}", parts_, owned.begin, owned.end);
  std::vector<PartRange> nodes;
  add_within(root(), owned, nodes);
  return nodes;
}

PartSums::Place PartSums::next(PartRange node) {
  BERTIE_CHECK(tree_.has(node), "part_tree", "no node of {} parts is over {} to {}", tree_.root().end,
               node.begin, node.end);
  BERTIE_CHECK(nodes_.empty() || nodes_.back().end == node.begin, "part_tree",
               "parts come one after the other: {} can't follow on {}", node.begin, nodes_.back().end - 1);
  // Two nodes side by side are siblings where both together are a node: it is divided nowhere else.
  auto joins_the_one_before = [&](PartRange right) {
    return !nodes_.empty() && tree_.has({nodes_.back().begin, right.end});
  };
  bool adds = joins_the_one_before(node);
  if (adds)
    nodes_.back().end = node.end;
  else
    nodes_.push_back(node);
  Place place{static_cast<int64_t>(nodes_.size()) - 1, adds, 0};
  for (;; ++place.merges) {
    PartRange last = nodes_.back();
    nodes_.pop_back();
    if (!joins_the_one_before(last)) {
      nodes_.push_back(last);
      return place;
    }
    nodes_.back().end = last.end;
  }
}

// The most are there where part 2ᵏ − 2 comes, the largest such one: nodes of 2ᵏ⁻¹, …, 4, 2 parts, and itself.
int64_t places_for(int64_t parts) {
  BERTIE_CHECK(parts >= 1, "part_tree", "there must be at least one part, got {}", parts);
  return std::max<int64_t>(1, static_cast<int64_t>(std::bit_width(static_cast<uint64_t>(parts))) - 1);
}

}  // namespace bertie
