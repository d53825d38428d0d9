#include "bertie/data/tasks/label_set.h"

#include <gtest/gtest.h>

#include "tests/message_of.h"

namespace bertie {
namespace {

using Names = std::vector<std::string>;

std::vector<TextExample> examples_of(const std::vector<Names>& labels) {
  std::vector<TextExample> examples;
  for (const Names& each : labels) examples.push_back({.text = "a", .labels = each});
  return examples;
}

Names collected(const std::vector<Names>& labels) { return LabelSet::of(examples_of(labels)).names(); }

TEST(LabelSet, SortsNamesByTheirBytesAndNumbersByTheirValues) {
  EXPECT_EQ(collected({{"b"}, {"a"}, {"B"}, {"b"}}), (Names{"B", "a", "b"}));
  EXPECT_EQ(collected({{"10"}, {"9"}, {"-1"}, {"2.5"}}), (Names{"-1", "2.5", "9", "10"}));
  EXPECT_EQ(collected({{"10"}, {"9"}, {"9a"}}), (Names{"10", "9", "9a"}));
  EXPECT_EQ(collected({{"y", "x"}, {}, {"z"}}), (Names{"x", "y", "z"}));
  std::vector<TaggedSentence> sentences{{{"a", "b"}, {"O", "I-X"}}, {{"c"}, {"B-X"}}};
  EXPECT_EQ(LabelSet::of(sentences).names(), (Names{"B-X", "I-X", "O"}));
}

TEST(LabelSet, NeedsDifferentLabels) {
  EXPECT_EQ(message_of([] {
              collected({{}, {}});
            }),
            "[labels] the training data must have labels, there is none");
  EXPECT_EQ(message_of([] {
              collected({{"a"}, {"a"}});
            }),
            "[labels] the training data must have different labels, all are 'a'");
  EXPECT_EQ(collected({{"a"}, {}}), Names{"a"});  // one that some have
  std::vector<TaggedSentence> sentences{{{"a", "b"}, {"O", "O"}}, {{"c"}, {"O"}}};
  EXPECT_EQ(message_of([&] { LabelSet::of(sentences); }),
            "[labels] the training data must have different labels, all are 'O'");
}

TEST(LabelSet, KnowsNamesAndIds) {
  LabelSet labels({"no", "yes"});
  EXPECT_EQ(labels.size(), 2);
  EXPECT_EQ(labels.id("yes", {}), 1);
  EXPECT_EQ(labels.name(0), "no");
  EXPECT_EQ(message_of([&] { (void)labels.name(2); }), "[labels] there are 2 labels, asked for number 2");
  FilePlace place{std::make_shared<const std::string>("dev.tsv"), 7};
  EXPECT_EQ(
      message_of([&] { (void)labels.id("maybe", place); }),
      "[labels] dev.tsv, line 7: the label 'maybe' is none of those of the training data:\n  no\n  yes");
  EXPECT_EQ(message_of([] {
              LabelSet({"a", "a"});
            }),
            "[labels] each label must be there once, 'a' is there twice");
  EXPECT_EQ(message_of([] { LabelSet({"a", ""}); }), "[labels] a label must have a name, number 1 has none");
}

TEST(LabelSet, OfADirectoryMustHaveThoseOfTheData) {
  LabelSet directory({"no", "yes"});
  directory.check_has(LabelSet({"yes"}), "model");
  EXPECT_EQ(
      message_of([&] {
        directory.check_has(LabelSet({"maybe", "no", "YES"}), "model");
      }),
      "[labels] model must have all labels of the data, it lacks\n  maybe\n  YES\nand has\n  no\n  yes");
}

}  // namespace
}  // namespace bertie
