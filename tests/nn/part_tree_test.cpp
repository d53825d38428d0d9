#include "bertie/nn/part_tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tests/message_of.h"

namespace bertie {
namespace {

// A node as the sum that it is: "((0 1) 2)".
std::string text_of(PartRange node) {
  if (node.size() == 1) return std::to_string(node.begin);
  int64_t middle = PartTree::middle(node);
  return "(" + text_of({node.begin, middle}) + " " + text_of({middle, node.end}) + ")";
}

// The same of what is added up in the places that PartSums says.
class Texts {
 public:
  explicit Texts(PartTree tree) : sums(tree) {}
  void add(PartRange node, const std::string& text) {
    PartSums::Place to = sums.next(node);
    texts.resize(std::max(texts.size(), static_cast<size_t>(to.place) + 1));
    texts[to.place] = to.adds ? "(" + texts[to.place] + " " + text + ")" : text;
    for (int64_t place = to.place; place > to.place - to.merges; --place)
      texts[place - 1] = "(" + texts[place - 1] + " " + texts[place] + ")";
  }
  PartSums sums;
  std::vector<std::string> texts;  // as many as there were places
};

TEST(PartTree, IsThis) {
  const char* trees[] = {"0",
                         "(0 1)",
                         "((0 1) 2)",
                         "((0 1) (2 3))",
                         "(((0 1) (2 3)) 4)",
                         "(((0 1) (2 3)) (4 5))",
                         "(((0 1) (2 3)) ((4 5) 6))",
                         "(((0 1) (2 3)) ((4 5) (6 7)))",
                         "((((0 1) (2 3)) ((4 5) (6 7))) 8)"};
  for (int64_t parts = 1; parts <= 9; ++parts) {
    PartTree tree(parts);
    EXPECT_EQ(text_of(tree.root()), trees[parts - 1]);
    Texts all(tree);
    for (int64_t part = 0; part < parts; ++part) all.add({part, part + 1}, std::to_string(part));
    EXPECT_EQ(all.texts[0], trees[parts - 1]);
    EXPECT_EQ(all.sums.nodes(), std::vector{tree.root()});
  }
}

TEST(PartTree, HasItsNodesAlone) {
  for (int64_t parts : {1, 2, 3, 7, 8, 13}) {
    PartTree tree(parts);
    std::vector<PartRange> nodes{tree.root()};
    for (size_t i = 0; i < nodes.size(); ++i) {
      if (nodes[i].size() == 1) continue;
      int64_t middle = PartTree::middle(nodes[i]);
      nodes.insert(nodes.end(), {{nodes[i].begin, middle}, {middle, nodes[i].end}});
    }
    EXPECT_EQ(std::ssize(nodes), 2 * parts - 1);
    for (int64_t begin = -1; begin <= parts; ++begin)
      for (int64_t end = -1; end <= parts + 1; ++end) {
        PartRange range{begin, end};
        EXPECT_EQ(tree.has(range), std::find(nodes.begin(), nodes.end(), range) != nodes.end())
            << begin << " … " << end << " of " << parts;
      }
  }
}

// Of any number of owners of consecutive parts, some without any: each adds up what it can, and the sums of
// all of them, from left to right, give the whole tree.
TEST(PartSums, AreTheSameOfAllOwners) {
  for (int64_t parts = 1; parts <= 9; ++parts) {
    PartTree tree(parts);
    for (int cuts = 0; cuts < 1 << (parts - 1); ++cuts) {
      Texts whole(tree);
      for (int64_t begin = 0, end; begin < parts; begin = end) {
        for (end = begin + 1; end < parts && (cuts >> (end - 1) & 1) == 0;) ++end;
        Texts own(tree);
        for (int64_t part = begin; part < end; ++part) own.add({part, part + 1}, std::to_string(part));
        EXPECT_EQ(own.sums.nodes(), tree.within({begin, end})) << begin << " … " << end << " of " << parts;
        for (size_t i = 0; i < own.sums.nodes().size(); ++i) whole.add(own.sums.nodes()[i], own.texts[i]);
      }
      EXPECT_EQ(whole.texts[0], text_of(tree.root()));
    }
  }
  EXPECT_EQ(PartTree(8).within({3, 8}), (std::vector<PartRange>{{3, 4}, {4, 8}}));
  EXPECT_EQ(PartTree(8).within({1, 7}), (std::vector<PartRange>{{1, 2}, {2, 4}, {4, 6}, {6, 7}}));
  EXPECT_TRUE(PartTree(8).within({3, 3}).empty());
}

TEST(PartSums, NeedFewPlaces) {
  std::vector<int64_t> few;
  for (int64_t parts = 1; parts <= 600; ++parts) {
    PartSums sums{PartTree(parts)};
    int64_t places = 0;
    for (int64_t part = 0; part < parts; ++part) places = std::max(places, sums.next(part).place + 1);
    EXPECT_EQ(places_for(parts), places) << parts;
    if (parts <= 9) few.push_back(places);
  }
  EXPECT_EQ(few, (std::vector<int64_t>{1, 1, 1, 2, 2, 2, 2, 3, 3}));
}

TEST(PartSums, Refusals) {
  EXPECT_EQ(message_of([] { PartTree(0); }), "[part_tree] there must be at least one part, got 0");
  EXPECT_EQ(message_of([] { places_for(-1); }), "[part_tree] there must be at least one part, got -1");
  EXPECT_EQ(message_of([] {
              PartTree::middle({3, 4});
            }),
            "[part_tree] a node over parts 3 to 4 has no children");
  EXPECT_EQ(message_of([] { PartTree(4).within({2, 5}); }), "[part_tree] there are 4 parts, not 2 to 5");
  EXPECT_EQ(message_of([] { PartTree(4).within({3, 2}); }), "[part_tree] there are 4 parts, not 3 to 2");
  PartSums sums{PartTree(4)};
  EXPECT_EQ(message_of([&] { sums.next({1, 3}); }), "[part_tree] no node of 4 parts is over 1 to 3");
  EXPECT_EQ(message_of([&] { sums.next(4); }), "[part_tree] no node of 4 parts is over 4 to 5");
  sums.next(1);
  EXPECT_EQ(message_of([&] { sums.next(3); }),
            "[part_tree] parts come one after the other: 3 can't follow on 1");
  EXPECT_EQ(message_of([&] { sums.next({2, 4}); }), "no error");
}

}  // namespace
}  // namespace bertie
