// By hand; tests/models/metrics_reference_test.cpp compares with seqeval and transformers.
#include "bertie/models/entity_metrics.h"

#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include "bertie/autograd/random.h"
#include "bertie/data/tasks/tag_scheme.h"
#include "bertie/models/entity_decoding.h"
#include "tests/message_of.h"

namespace bertie {
namespace {

std::string entities_of(const std::vector<std::string>& tags) {
  std::string text;
  for (const Entity& entity : find_entities(tags))
    text += fmt::format("{}[{},{}) ", entity.type, entity.begin, entity.end);
  return text;
}

TEST(EntityMetrics, EachSchemeIsRead) {
  EXPECT_EQ(entities_of({"B-PER", "I-PER", "O", "B-LOC", "B-LOC"}), "PER[0,2) LOC[3,4) LOC[4,5) ");
  EXPECT_EQ(entities_of({"I-PER", "I-PER", "B-PER", "O", "I-LOC"}), "PER[0,2) PER[2,3) LOC[4,5) ");
  EXPECT_EQ(entities_of({"B-PER", "I-PER", "E-PER", "S-LOC", "S-LOC"}), "PER[0,3) LOC[3,4) LOC[4,5) ");
  EXPECT_EQ(entities_of({}), "");
}

TEST(EntityMetrics, BrokenOnesHaveAMeaning) {
  EXPECT_EQ(entities_of({"O", "I-PER", "I-LOC", "O"}), "PER[1,2) LOC[2,3) ");
  EXPECT_EQ(entities_of({"E-PER", "E-PER", "I-PER", "S-PER", "I-PER"}),
            "PER[0,1) PER[1,2) PER[2,3) PER[3,4) PER[4,5) ");
  EXPECT_EQ(entities_of({"B", "I", "O", "I-"}), "_[0,2) _[3,4) ");
  EXPECT_EQ(entities_of({"B-A-B", "I-A-B", "BPER", "ÄB-PER"}), "A-B[0,2) PER[2,4) ");
}

// Whatever order the tags come in, broken ones included.
TEST(EntityMetrics, AreTheSameInAnotherScheme) {
  const std::vector<std::string> known{"O", "B-X", "I-X", "E-X", "S-X", "B-Y", "I-Y", "E-Y", "S-Y"};
  Random random(1);
  for (int i = 0; i < 2000; ++i) {
    TaggedSentence sentence;
    for (int w = 0; w < 8; ++w) sentence.tags.push_back(known[random.below(known.size())]);
    std::vector<Entity> entities = find_entities(sentence.tags);
    for (TagScheme scheme : {TagScheme::bioes, TagScheme::bio}) {
      convert_tags(sentence.tags, scheme);
      EXPECT_EQ(find_entities(sentence.tags), entities) << fmt::format("{}", fmt::join(sentence.tags, " "));
      EXPECT_EQ(broken_tags(std::span(&sentence, 1), scheme).count, 0);
    }
  }
}

TEST(EntityMetrics, AnEntityIsRightAsAWhole) {
  EntityCounts counts;
  EXPECT_EQ(counts.score().f1, 0);
  counts.add(std::vector<std::string>{"B-PER", "I-PER", "O", "B-LOC", "O"},
             std::vector<std::string>{"B-PER", "O", "O", "B-LOC", "B-ORG"});
  counts.add(std::vector<std::string>{"B-LOC"}, std::vector<std::string>{"B-PER"});
  EXPECT_EQ(counts.types().at("PER").right, 0);
  EXPECT_EQ(counts.types().at("PER").predicted, 2);
  EXPECT_EQ(counts.types().at("LOC").truths, 2);
  EXPECT_EQ(counts.types().at("ORG").truths, 0);
  EXPECT_DOUBLE_EQ(counts.score().precision, 1.0 / 4);
  EXPECT_DOUBLE_EQ(counts.score().recall, 1.0 / 3);
  EXPECT_DOUBLE_EQ(counts.score().f1, 2.0 / 7);
}

TEST(EntityMetrics, RefuseWhatIsNoTag) {
  EXPECT_EQ(message_of([] { entities_of({"O", ""}); }), "[find_entities] a tag must not be empty");
  std::vector<std::string> one{"O"}, two{"O", "O"};
  EXPECT_EQ(message_of([&] { EntityCounts().add(one, two); }),
            "[EntityCounts] a sequence must have as many true tags as predicted ones, got 1 and 2");
}

TEST(EntityDecoding, EntitiesLieInTheText) {
  std::string text = "Jean-Luc lives in Zürich.";
  std::vector<TaggedWord> words{{{0, 4}, "B-PER", 0.5},  {{4, 5}, "I-PER", 0.75}, {{5, 8}, "E-PER", 1},
                                {{9, 14}, "O", 1},       {{15, 17}, "O", 1},      {{18, 25}, "S-LOC", 0.25},
                                {{25, 26}, "PUNCT", 0.5}};
  std::vector<TextEntity> entities = merge_words(words);
  ASSERT_EQ(entities.size(), 3u);
  EXPECT_EQ(text.substr(entities[0].place.begin, entities[0].place.end - entities[0].place.begin),
            "Jean-Luc");
  EXPECT_EQ(entities[0].type, "PER");
  EXPECT_DOUBLE_EQ(entities[0].probability, 0.75);
  EXPECT_EQ(entities[0].words, 3);
  EXPECT_EQ(text.substr(entities[1].place.begin, entities[1].place.end - entities[1].place.begin), "Zürich");
  EXPECT_EQ(entities[1].first_word, 5);
  EXPECT_EQ(entities[2].type, "PUNCT");
  EXPECT_TRUE(merge_words({}).empty());
}

TEST(EntityDecoding, RefusesWordsOutOfOrder) {
  auto message = [](std::vector<TaggedWord> words) { return message_of([&] { merge_words(words); }); };
  EXPECT_EQ(message({{{0, 4}, "O", 1}, {{3, 5}, "O", 1}}),
            "[merge_words] words must be in the order of the text, got [3, 5) behind what ends at 4");
  EXPECT_EQ(message({{{2, 1}, "O", 1}}),
            "[merge_words] words must be in the order of the text, got [2, 1) behind what ends at 0");
  EXPECT_EQ(message({{{0, 1}, "", 1}}), "[merge_words] a tag must not be empty");
}

}  // namespace
}  // namespace bertie
