// The one order in which what a step's parts give is added up, gradients above all: a binary tree over parts
// 0 … P − 1, which depends on P alone. A node over parts l … r − 1 is the sum of its two children, l … m − 1
// and m … r − 1, where m is l and the largest power of two below r − l. So whoever computes which part, and
// whoever adds two children up, the sum has the same bits.
//
// Who owns consecutive parts adds them up as far as the tree goes, and is left with the sums of some nodes,
// for one who owns all of them the root's alone. These are what owners exchange; the sums of all owners, from
// left to right, are added up as parts are. Nothing is kept of a sum that is part of another one, so that few
// are there at a time.
//
//   PartSums sums{PartTree(8)};             // an owner of parts 3 … 7
//   for (int64_t part = 3; part < 8; ++part) {
//     PartSums::Place place = sums.next(part);
//     …                                     // see Place
//   }
//   sums.nodes();                           // 3 … 3, and 4 … 7
#pragma once
#include <cstdint>
#include <vector>

namespace bertie {

// Parts begin … end − 1.
struct PartRange {
  int64_t begin, end;

  int64_t size() const { return end - begin; }
  bool operator==(const PartRange&) const = default;
};

class PartTree {
 public:
  explicit PartTree(int64_t parts);  // at least 1, else it throws

  PartRange root() const { return {0, parts_}; }
  // The first part of a node's right child. Throws where the node has no children.
  static int64_t middle(PartRange node);
  // Whether one of the nodes is over just these parts.
  bool has(PartRange node) const;
  // The largest nodes that lie within such a range, from left to right: what one who owns these parts can add
  // up alone. Throws where the range isn't within the tree.
  std::vector<PartRange> within(PartRange owned) const;

 private:
  int64_t parts_;
};

// Where sums of nodes go that come from left to right, without a gap: into places 0, 1, … of memory, each of
// which holds the sum of one node.
class PartSums {
 public:
  struct Place {
    int64_t place;  // what comes goes there
    bool adds;      // onto the sum of its sibling, which is there; else in the place of what was there
    // Thereafter the sum in `place` is added to that of place − 1, the sum there then to that of place − 2,
    // and so on: so many times.
    int64_t merges;
  };

  explicit PartSums(PartTree tree) : tree_(tree) {}
  // Throws where the range is no node of the tree, or doesn't begin where the last one ended.
  Place next(PartRange node);
  Place next(int64_t part) { return next({part, part + 1}); }
  // Whose sums are in places 0, 1, … now.
  const std::vector<PartRange>& nodes() const { return nodes_; }

 private:
  PartTree tree_;
  std::vector<PartRange> nodes_;
};

// How many places are needed where one owner has all parts: ⌊log₂ P⌋, and 1 of a single part.
int64_t places_for(int64_t parts);

}  // namespace bertie
