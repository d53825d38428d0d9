#include "bertie/data/tasks/tag_windows.h"

#include <gtest/gtest.h>

#include "bertie/autograd/random.h"
#include "tests/data/tasks/small_tokenizer.h"
#include "tests/message_of.h"

namespace bertie {
namespace {

using Ids = std::vector<int32_t>;

TEST(TagWindows, GiveAWordsTagToItsFirstToken) {
  std::vector<TaggedSentence> sentences{{{"a", "bde", "c."}, {"O", "B-X", "I-X"}},
                                        {{"\u200b", "a"}, {"B-X", "O"}}};
  TagWindows windows = encode_tagged(small_tokenizer(), sentences, 16, LabelSet({"B-X", "I-X", "O"}));
  EXPECT_EQ(windows.sequences.ids, (Ids{2, 5, 6, 8, 9, 7, 10, 3, 2, 5, 3}));
  EXPECT_EQ(windows.sequences.labels.to_vector<int32_t>(),
            (Ids{-100, 2, 0, -100, -100, 1, -100, -100, -100, 2, -100}));
  EXPECT_EQ(windows.sequences.second_begins, (std::vector<int64_t>{8, 3}));
  EXPECT_TRUE(windows.sequences.labels_are_of_tokens());
  EXPECT_EQ(windows.of(0)[1].row, 2);
  EXPECT_EQ(windows.of(0)[2].row, 5);
  EXPECT_EQ(windows.of(1)[0].row, -1);  // a character that the tokenizer drops
  EXPECT_EQ(windows.of(1)[1].row, 9);
  EXPECT_EQ(windows.of(1)[1].sequence, 1);
  EXPECT_EQ(windows.words_without_token, 1);
  EXPECT_EQ(message_of([&] { (void)windows.of(2); }), "[task] there are 2 sentences, asked for number 2");
}

TEST(TagWindows, RefuseWhatDoesNotFit) {
  std::vector<TaggedSentence> sentences{{{"a", "b"}, {"O", "B-Y"}}};
  sentences[0].place = {std::make_shared<const std::string>("dev"), 4};
  LabelSet labels({"B-X", "O"});
  EXPECT_EQ(message_of([&] { encode_tagged(small_tokenizer(), sentences, 16, labels); }),
            "[labels] dev, line 5: the label 'B-Y' is none of those of the training data:\n  B-X\n  O");
  EXPECT_EQ(message_of([&] { encode_words(small_tokenizer(), sentences, 2); }),
            "[task] max_length must leave room for [CLS], a token and [SEP], got 2");
  sentences[0].tags.pop_back();
  EXPECT_EQ(message_of([&] { encode_tagged(small_tokenizer(), sentences, 16, labels); }),
            "[task] dev, line 4: there must be as many tags as words, got 2 words and 1 tags");
  EXPECT_EQ(encode_words(small_tokenizer(), sentences, 16).words.size(), 2u);
}

TEST(TagWindows, OverlapByAboutHalf) {
  TaggedSentence sentence;
  for (int i = 0; i < 10; ++i) sentence.words.emplace_back("a");
  TagWindows windows = encode_words(small_tokenizer(), std::vector{sentence}, 6);  // 4 words each
  ASSERT_EQ(windows.sequences.size(), 4);
  EXPECT_EQ(windows.sequences.examples, (std::vector<int64_t>{0, 0, 0, 0}));
  // They begin at words 0, 2, 4 and 6; word 2 has one neighbor at its right in the first and none at its left
  // in the second.
  std::vector<std::pair<int64_t, int64_t>> places;
  for (const WordPlace& place : windows.of(0))
    places.emplace_back(place.sequence, place.row - windows.sequences.offsets[place.sequence] - 1);
  using Places = decltype(places);
  EXPECT_EQ(places, (Places{{0, 0}, {0, 1}, {0, 2}, {1, 1}, {1, 2}, {2, 1}, {2, 2}, {3, 1}, {3, 2}, {3, 3}}));
}

TEST(TagWindows, FillTheLastOne) {
  TaggedSentence sentence;
  for (int i = 0; i < 7; ++i) sentence.words.emplace_back("a");
  TagWindows windows = encode_words(small_tokenizer(), std::vector{sentence}, 6);
  // Words 0 … 3, 2 … 5, and 3 … 6, not 4 … 6.
  EXPECT_EQ(windows.sequences.offsets, (std::vector<int64_t>{0, 6, 12, 18}));
  EXPECT_EQ(windows.of(0)[6].row - windows.sequences.offsets[2], 4);
}

TEST(TagWindows, TakeTheBeginOfAWordThatIsTooLong) {
  std::vector<TaggedSentence> sentences{{{"a", "b.....", "c"}, {"O", "O", "O"}}};
  TagWindows windows = encode_words(small_tokenizer(), sentences, 5);
  EXPECT_EQ(windows.sequences.ids, (Ids{2, 5, 3, 2, 6, 10, 10, 3, 2, 7, 3}));
  EXPECT_EQ(windows.of(0)[1].row, 4);
  EXPECT_EQ(windows.sequences.cut_off, 3);
  EXPECT_EQ(windows.sequences.cut_sequences, 1);
}

// Whatever the lengths: no word is dropped, each is where its tokens are, whole, and has about a quarter of a
// sequence on both sides.
TEST(TagWindows, DropNoWord) {
  constexpr int64_t room = 64, neighbors = 10;
  Random random(1, 2);
  Tokenizer tokenizer = small_tokenizer();
  std::vector<TaggedSentence> sentences(300);
  for (TaggedSentence& sentence : sentences) {
    size_t words = random.below(200);
    for (size_t w = 0; w < words; ++w)
      sentence.words.push_back(std::string(1, "abc"[random.below(3)]) + std::string(random.below(5), 'd'));
  }
  TagWindows windows = encode_words(tokenizer, sentences, room + 2);
  const TaskSequences& sequences = windows.sequences;
  for (int64_t s = 0; s < 300; ++s) {
    std::vector<int64_t> begins = {0};
    for (const std::string& word : sentences[s].words)
      begins.push_back(begins.back() + static_cast<int64_t>(word.size()));
    for (size_t w = 0; w < sentences[s].words.size(); ++w) {
      WordPlace place = windows.of(s)[w];
      ASSERT_EQ(sequences.examples[place.sequence], s);
      Ids expected = tokenizer.ids(sentences[s].words[w]);
      int64_t left = place.row - sequences.offsets[place.sequence] - 1;
      int64_t right =
          sequences.offsets[place.sequence + 1] - 1 - place.row - static_cast<int64_t>(expected.size());
      ASSERT_TRUE(left >= 0 && right >= 0);
      ASSERT_TRUE(std::equal(expected.begin(), expected.end(), sequences.ids.begin() + place.row));
      // A word has at most 5 tokens. So a sequence has at least 60 of 64 places filled, and the next one
      // begins at most 36 tokens behind it: they share at least 24. Of a word there that has fewer than 10 at
      // its left in the second one at least 24 − 9 − 5 follow in the first one.
      ASSERT_GE(left, std::min(begins[w], neighbors)) << s << ' ' << w;
      ASSERT_GE(right, std::min(begins.back() - begins[w + 1], neighbors)) << s << ' ' << w;
    }
  }
}

TEST(TagWindows, WordsOfATextAreSplitAsTheTokenizerDoes) {
  using Spans = std::vector<TextSpan>;
  Tokenizer tokenizer = small_tokenizer();
  EXPECT_EQ(words_of(tokenizer, "ade b.c"), (Spans{{0, 3}, {4, 5}, {5, 6}, {6, 7}}));
  EXPECT_EQ(words_of(tokenizer, "é [MASK]b"),
            (Spans{{0, 2}, {3, 9}, {9, 10}}));  // bytes; an added token is a word
  EXPECT_EQ(words_of(tokenizer, " "), Spans{});
}

}  // namespace
}  // namespace bertie
