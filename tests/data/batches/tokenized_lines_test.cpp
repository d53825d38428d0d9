#include "bertie/data/batches/tokenized_lines.h"

#include <gtest/gtest.h>

#include "bertie/autograd/threads.h"
#include "tests/message_of.h"

namespace bertie {
namespace {

//                                  0        1        2        3        4         5    6    7    8      9
const std::vector<std::string> tokens{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]",
                                      "a",     "b",     "c",     "##d",   "##e"};

std::vector<std::vector<int32_t>> tokenized(std::vector<std::string_view> lines, int64_t max_length) {
  Tokenizer tokenizer{Vocabulary(tokens)};
  TokenizedLines result = tokenize_lines(tokenizer, lines, max_length);
  std::vector<std::vector<int32_t>> sequences;
  for (int64_t i = 0; i < result.size(); i++) sequences.emplace_back(result[i].begin(), result[i].end());
  return sequences;
}

using Sequences = std::vector<std::vector<int32_t>>;

TEST(TokenizedLines, OneSequencePerLine) {
  EXPECT_EQ(tokenized({"a b", "cd ?", "\x01", "C"}, 100), (Sequences{{5, 6}, {7, 8, 1}, {7}}));
  EXPECT_EQ(tokenized({}, 100), Sequences{});
}

TEST(TokenizedLines, LongLinesAreCutBetweenWords) {
  EXPECT_EQ(tokenized({"a b c a b c a"}, 5), (Sequences{{5, 6, 7}, {5, 6, 7}, {5}}));
  EXPECT_EQ(tokenized({"a b c"}, 5), (Sequences{{5, 6, 7}}));
  EXPECT_EQ(tokenized({"a bd cde a"}, 5), (Sequences{{5, 6, 8}, {7, 8, 9}, {5}}));
  EXPECT_EQ(tokenized({"a b cde a"}, 5), (Sequences{{5, 6}, {7, 8, 9}, {5}}));
}

TEST(TokenizedLines, WordsThatAreTooLongAreCutInside) {
  EXPECT_EQ(tokenized({"adedede b"}, 5), (Sequences{{5, 8, 9}, {8, 9, 8}, {9, 6}}));
  EXPECT_EQ(tokenized({"abd"}, 3), (Sequences{{1}}));  // "abd" is no word of this vocabulary
  EXPECT_EQ(tokenized({"ad b"}, 3), (Sequences{{5}, {8}, {6}}));
}

TEST(TokenizedLines, RefusesLengthsWithoutRoom) {
  EXPECT_EQ(message_of([] { tokenized({"a"}, 2); }),
            "[tokenize] max_length must leave room for [CLS], a token and [SEP], got 2");
  EXPECT_THROW(TokenizedLines()[0], Error);
}

// They lie where they were made, in one document unless ends of more were added; what is empty has no end.
TEST(TokenizedLines, Documents) {
  TokenVectors vectors;
  vectors.end_document();
  for (int32_t id : {5, 6, 7}) {
    vectors.end_sequence();
    vectors.ids.push_back(id);
    vectors.end_sequence();
    if (id == 6) vectors.end_document();
  }
  const int32_t* ids = vectors.ids.data();
  TokenizedLines lines(std::move(vectors)), copy = lines;
  lines = {};
  EXPECT_EQ(copy.ids.data(), ids);
  EXPECT_EQ(std::vector(copy.offsets.begin(), copy.offsets.end()), (std::vector<int64_t>{0, 1, 2, 3}));
  EXPECT_EQ(std::vector(copy.document_offsets.begin(), copy.document_offsets.end()),
            (std::vector<int64_t>{0, 2, 3}));
  EXPECT_EQ(copy.documents(), 2);
  EXPECT_EQ(lines.size(), 0);
  EXPECT_EQ(lines.documents(), 0);
  Tokenizer tokenizer{Vocabulary(tokens)};
  std::vector<std::string_view> texts = {"a", "b"};
  EXPECT_EQ(tokenize_lines(tokenizer, texts, 5).documents(), 1);
}

TEST(TokenizedLines, SameOnAnyNumberOfThreads) {
  std::vector<std::string> texts;
  for (int i = 0; i < 2000; i++)
    texts.push_back(std::string(i % 7, 'a') + " b cde" + (i % 3 ? " a b c a b" : ""));
  std::vector<std::string_view> lines(texts.begin(), texts.end());
  Tokenizer tokenizer{Vocabulary(tokens)};
  int before = thread_count();
  set_thread_count(1);
  TokenizedLines one = tokenize_lines(tokenizer, lines, 6);
  set_thread_count(3);
  TokenizedLines three = tokenize_lines(tokenizer, lines, 6);
  set_thread_count(before);
  auto same = [](auto a, auto b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); };
  EXPECT_TRUE(same(one.ids, three.ids));
  EXPECT_TRUE(same(one.offsets, three.offsets));
  // The same as line by line, one after the other.
  TokenVectors expected;
  for (std::string_view line : lines) {
    TokenizedLines alone = tokenize_lines(tokenizer, std::span(&line, 1), 6);
    for (int64_t i = 0; i < alone.size(); i++) {
      expected.ids.insert(expected.ids.end(), alone[i].begin(), alone[i].end());
      expected.offsets.push_back(static_cast<int64_t>(expected.ids.size()));
    }
  }
  EXPECT_TRUE(same(one.ids, expected.ids));
  EXPECT_TRUE(same(one.offsets, expected.offsets));
  EXPECT_GT(one.size(), 2000);
}

}  // namespace
}  // namespace bertie
