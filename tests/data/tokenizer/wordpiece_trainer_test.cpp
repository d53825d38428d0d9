#include "bertie/data/tokenizer/wordpiece_trainer.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "bertie/autograd/random.h"
#include "bertie/autograd/threads.h"
#include "tests/message_of.h"

namespace bertie {
namespace {

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

TEST(WordPieceTrainer, CountsNormalizedWords) {
  std::vector<std::string_view> texts = {"The café, the CAFE\u0301!", "[MASK] the \xFF", ""};
  EXPECT_EQ(count_words(texts, {}),
            (WordCounts{{"!", 1}, {",", 1}, {"[", 1}, {"]", 1}, {"cafe", 2}, {"mask", 1}, {"the", 3}}));
  EXPECT_EQ(count_words({}, {}), WordCounts());
}

TEST(WordPieceTrainer, SameCountsOnAnyNumberOfThreads) {
  Random random(7);
  std::string text;
  for (int i = 0; i < 30000; ++i)
    text += fmt::format("w{}{}", random.below(900), random.below(8) ? " " : "\n");
  std::vector<std::string_view> lines = lines_of(text);
  int before = thread_count();
  set_thread_count(1);
  WordCounts one = count_words(lines, {});
  for (int threads : {2, 3}) {
    set_thread_count(threads);
    EXPECT_EQ(count_words(lines, {}), one) << threads;
  }
  set_thread_count(before);
  EXPECT_EQ(one.size(), 900u);
}

TEST(WordPieceTrainer, BlocksOfTextCountAsAllOfIt) {
  Random random(8);
  std::string text;
  for (int i = 0; i < 20000; ++i)
    text += fmt::format("w{}{}", random.below(3000), random.below(8) ? " " : "\n");
  std::vector<std::string_view> lines = lines_of(text);
  WordCounts all = count_words(lines, {});
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));
  std::map<std::string, int64_t> simple;
  for (size_t at = 0; at < text.size();) {
    size_t end = text.find_first_of(" \n", at);
    ++simple[text.substr(at, end - at)];
    at = end + 1;
  }
  EXPECT_EQ(all, WordCounts(simple.begin(), simple.end()));
  for (size_t block : {99, 1000}) {
    WordCounter counter({});
    for (size_t at = 0; at < lines.size(); at += block)
      counter.add(std::span(lines).subspan(at, std::min(block, lines.size() - at)));
    EXPECT_EQ(counter.left_out(), 0);
    EXPECT_EQ(counter.take(), all) << block;
    EXPECT_TRUE(counter.take().empty());
  }
}

// 30 words come three times in each block, 10 twice in the first one, and others once.
TEST(WordPieceTrainer, MemoryForWordsIsBounded) {
  WordCounter counter({}, 100);
  std::string rare;
  for (int i = 0; i < 10; ++i) rare += fmt::format("twice{} twice{} ", i, i);
  int64_t number = 0;
  for (int block = 0; block < 50; ++block) {
    std::string text = block == 0 ? rare : "";
    for (int i = 0; i < 30; ++i) text += fmt::format("often{} often{} often{} once{} ", i, i, i, number++);
    std::string_view line = text;
    counter.add({&line, 1});
    EXPECT_EQ(counter.left_out(), block < 2 ? 0 : 1);
  }
  WordCounts counts = counter.take();
  EXPECT_LE(counts.size(), 100u);
  int64_t often = 0, twice = 0;
  for (const auto& [word, count] : counts) {
    if (word.starts_with("often")) often += count == 150;
    twice += word.starts_with("twice");
  }
  EXPECT_EQ(often, 30);
  EXPECT_EQ(twice, 10);
}

// Those of 16 KiB are, and none is put together that is longer.
TEST(WordPieceTrainer, EndlessWordsAreNotCounted) {
  std::string longest(16 << 10, 'a'),
      text = "b " + longest + " " + longest + "a c " + std::string(5 << 20, 'a');
  std::string_view line = text;
  EXPECT_EQ(count_words(std::span(&line, 1), {}), (WordCounts{{longest, 1}, {"b", 1}, {"c", 1}}));
}

TEST(WordPieceTrainer, VocabularyIsThatOfTokenizers) {
  std::ifstream file(BERTIE_SOURCE_DIR "/tests/data/tokenizer/reference/tokenizer.json");
  auto training = nlohmann::json::parse(file)["training"];
  std::string text = training["text"];
  WordCounts words = count_words(lines_of(text), {});
  for (const auto& run : training["runs"]) {
    WordPieceTrainerOptions options{run["size"], run["min_frequency"], run["alphabet_limit"]};
    EXPECT_EQ(train_wordpiece(words, options).tokens(), run["tokens"].get<std::vector<std::string>>());
  }
}

// The algorithm word for word: counts all pairs anew for each merge.
std::vector<std::string> train_slowly(const WordCounts& words, size_t size) {
  std::vector<std::vector<std::string>> split;
  std::map<std::string, int> beginnings, continuings;
  for (const auto& [word, count] : words) {
    auto& pieces = split.emplace_back();
    for (char c : word) pieces.push_back((pieces.empty() ? "" : "##") + std::string(1, c));
    for (char c : word) beginnings[std::string(1, c)];
    for (size_t i = 1; i < pieces.size(); ++i) continuings[pieces[i]];
  }
  std::vector<std::string> tokens(std::begin(special_tokens), std::end(special_tokens));
  for (const auto& [token, unused] : beginnings) tokens.push_back(token);
  for (const auto& [token, unused] : continuings) tokens.push_back(token);
  std::map<std::string, int> ids;
  for (size_t i = 0; i < tokens.size(); ++i) ids[tokens[i]] = static_cast<int>(i);
  while (tokens.size() < size) {
    std::map<std::pair<int, int>, int64_t> counts;  // by ids, so the first maximum wins ties
    for (size_t w = 0; w < words.size(); ++w) {
      for (size_t i = 0; i + 1 < split[w].size(); ++i) {
        counts[{ids[split[w][i]], ids[split[w][i + 1]]}] += words[w].second;
      }
    }
    auto best = counts.begin();
    for (auto pair = counts.begin(); pair != counts.end(); ++pair) {
      if (pair->second > best->second) best = pair;
    }
    if (best == counts.end() || best->second < 2) break;
    std::string left = tokens[best->first.first], right = tokens[best->first.second];
    std::string merged = left + right.substr(2);
    if (ids.try_emplace(merged, static_cast<int>(tokens.size())).second) tokens.push_back(merged);
    for (auto& pieces : split) {
      for (size_t i = 0; i + 1 < pieces.size(); ++i) {
        if (pieces[i] != left || pieces[i + 1] != right) continue;
        pieces[i] = merged;
        pieces.erase(pieces.begin() + i + 1);
      }
    }
  }
  return tokens;
}

TEST(WordPieceTrainer, AgreesWithCountingAllPairsAnew) {
  for (int seed = 0; seed < 20; ++seed) {
    Random random(seed);
    std::map<std::string, int64_t> counts;
    for (int i = 0; i < 120; ++i) {
      std::string word;
      uint64_t length = 1 + random.below(8);
      for (uint64_t j = 0; j < length; ++j) word += static_cast<char>('a' + random.below(3 + seed % 4));
      counts[word] += 1 + static_cast<int64_t>(random.below(20));
    }
    WordCounts words(counts.begin(), counts.end());
    EXPECT_EQ(train_wordpiece(words, {150, 2, 1000}).tokens(), train_slowly(words, 150)) << seed;
  }
}

TEST(WordPieceTrainer, RefusesBadOptions) {
  WordCounts words = {{"abc", 3}};
  EXPECT_EQ(message_of([&] {
              train_wordpiece(words, {9, 2, 1000});
            }),
            "[train_wordpiece] size must be at least 10, the number of special tokens and characters: got 9");
  EXPECT_EQ(train_wordpiece(words, {10, 2, 1000}).tokens().back(), "##c");
  EXPECT_EQ(train_wordpiece({}, {8192, 2, 1000}).size(), 5);
  EXPECT_EQ(
      message_of([&] {
        train_wordpiece(words, {-1, 2, 1000});
      }),
      "[train_wordpiece] size must be at least 10, the number of special tokens and characters: got -1");
  EXPECT_EQ(message_of([&] {
              train_wordpiece(words, {100, 0, 1000});
            }),
            "[train_wordpiece] min_frequency must be at least 1: got 0");
  EXPECT_EQ(message_of([&] {
              train_wordpiece(words, {100, 2, 0});
            }),
            "[train_wordpiece] alphabet_limit must be at least 1: got 0");
  EXPECT_EQ(message_of([&] {
              train_wordpiece({{"a", 0}});
            }),
            "[train_wordpiece] each word must occur at least once: 'a' has the count 0");
}

TEST(WordPieceTrainer, RefusesMoreThanItCanCount) {
  static constexpr int64_t quarter = int64_t{1} << 61;
  EXPECT_EQ(message_of([] { train_wordpiece({{"ab", quarter}, {"c", 1}}); }), "no error");
  EXPECT_EQ(message_of([] {
              train_wordpiece({{"ab", quarter}, {"cd", quarter}});
            }),
            "[train_wordpiece] all words must have fewer than 2^63 characters, 'cd' has the count "
            "2305843009213693952");
  EXPECT_NE(message_of([] { train_wordpiece({{"abcd", quarter}}); }), "no error");
}

}  // namespace
}  // namespace bertie
