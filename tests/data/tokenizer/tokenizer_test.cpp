#include "bertie/data/tokenizer/tokenizer.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/message_of.h"

namespace bertie {
namespace {

using Json = nlohmann::json;

Json read_json(const std::string& path) {
  std::ifstream file(path);
  return Json::parse(file);
}

const Json& reference() {
  static const Json json = read_json(BERTIE_SOURCE_DIR "/tests/data/tokenizer/reference/tokenizer.json");
  return json;
}

Vocabulary reference_vocabulary() {
  return Vocabulary(reference()["vocabulary"].get<std::vector<std::string>>());
}

TokenizerOptions options_from(const Json& json) {
  TokenizerOptions options;
  options.words.do_lower_case = json["do_lower_case"];
  if (!json["strip_accents"].is_null()) options.words.strip_accents = json["strip_accents"].get<bool>();
  options.words.tokenize_chinese_chars = json["tokenize_chinese_chars"];
  options.split_special_tokens = json["split_special_tokens"];
  return options;
}

const EncodeOptions plain = {.add_special_tokens = false, .max_length = {}};

// [begin, end, begin, end, …], as the reference file has them.
std::vector<int64_t> flat(const std::vector<TokenOffsets>& offsets) {
  std::vector<int64_t> result;
  for (auto [begin, end] : offsets) result.insert(result.end(), {begin, end});
  return result;
}

TEST(Tokenizer, IdsAndOffsetsAreThoseOfTokenizers) {
  std::vector<std::string> texts = reference()["texts"];
  Encoding encoding;
  for (const Json& expected : reference()["options"]) {
    Tokenizer tokenizer(reference_vocabulary(), options_from(expected));
    ASSERT_EQ(expected["ids"].size(), texts.size());
    for (size_t i = 0; i < texts.size(); ++i) {
      tokenizer.encode({texts[i]}, plain, encoding);
      EXPECT_EQ(encoding.ids, expected["ids"][i].get<std::vector<int32_t>>()) << texts[i];
      EXPECT_EQ(flat(encoding.offsets), expected["offsets"][i].get<std::vector<int64_t>>()) << texts[i];
      EXPECT_EQ(encoding.replaced, 0);
      EXPECT_EQ(tokenizer.ids(texts[i]), encoding.ids);
    }
  }
}

TEST(Tokenizer, InvalidBytesAreCountedAndTakeOnePosition) {
  Tokenizer tokenizer(reference_vocabulary());
  Encoding encoding;
  tokenizer.encode({"\xE2\x82the\xFF\xFE [MASK]\xC3"}, plain, encoding);  // read as �the�� [MASK]�
  EXPECT_EQ(encoding.replaced, 4);
  ASSERT_EQ(encoding.ids.size(), 2u);
  EXPECT_EQ(encoding.ids[0], tokenizer.vocabulary().id("the"));
  EXPECT_EQ(encoding.ids[1], tokenizer.vocabulary().mask_id());
  EXPECT_EQ(flat(encoding.offsets), (std::vector<int64_t>{1, 4, 7, 13}));
  std::vector<int32_t> ids = {7};
  EXPECT_EQ(tokenizer.append_ids("the \x80", ids), 1);
  EXPECT_EQ(ids, (std::vector<int32_t>{7, tokenizer.vocabulary().id("the")}));
}

TEST(Tokenizer, LongRunsOfMarksAndWords) {
  Tokenizer tokenizer(reference_vocabulary());
  std::string text = "e";
  for (int i = 0; i < 100000; ++i) text += i % 2 ? "\u0301" : "\u0327";
  EXPECT_EQ(tokenizer.ids(text), std::vector{tokenizer.vocabulary().id("e")});
  Encoding encoding;
  text = std::string(1000000, 'x') + " [the";
  tokenizer.encode({text}, plain, encoding);
  EXPECT_EQ(encoding.ids[0], tokenizer.vocabulary().unk_id());
  EXPECT_EQ(flat(encoding.offsets), (std::vector<int64_t>{0, 1000000, 1000001, 1000002, 1000002, 1000005}));
}

TEST(Tokenizer, SpecialTokensSurroundTextsAndPairs) {
  Tokenizer tokenizer(reference_vocabulary());
  int32_t the = tokenizer.vocabulary().id("the"), run = tokenizer.vocabulary().id("run");
  Encoding encoding;
  tokenizer.encode({"the"}, {}, encoding);
  EXPECT_EQ(encoding.ids, (std::vector{2, the, 3}));
  EXPECT_EQ(encoding.token_type_ids, (std::vector{0, 0, 0}));
  EXPECT_EQ(flat(encoding.offsets), (std::vector<int64_t>{0, 0, 0, 3, 0, 0}));
  tokenizer.encode({"the run", " run"}, {}, encoding);
  EXPECT_EQ(encoding.ids, (std::vector{2, the, run, 3, run, 3}));
  EXPECT_EQ(encoding.token_type_ids, (std::vector{0, 0, 0, 0, 1, 1}));
  EXPECT_EQ(flat(encoding.offsets), (std::vector<int64_t>{0, 0, 0, 3, 4, 7, 0, 0, 1, 4, 0, 0}));
  tokenizer.encode({"the", ""}, {}, encoding);
  EXPECT_EQ(encoding.ids, (std::vector{2, the, 3, 3}));
  EXPECT_EQ(encoding.token_type_ids, (std::vector{0, 0, 0, 1}));
  tokenizer.encode({"the", "run\xFF"}, plain, encoding);
  EXPECT_EQ(encoding.ids, (std::vector{the, run}));
  EXPECT_EQ(encoding.token_type_ids, (std::vector{0, 1}));
  EXPECT_EQ(encoding.replaced, 1);
}

TEST(Tokenizer, CutsTheLongestFirst) {
  Tokenizer tokenizer(reference_vocabulary());
  const Vocabulary& vocabulary = tokenizer.vocabulary();
  int32_t the = vocabulary.id("the"), run = vocabulary.id("run");
  Encoding encoding;
  tokenizer.encode({"run the the"}, {.max_length = 4}, encoding);
  EXPECT_EQ(encoding.ids, (std::vector{2, run, the, 3}));
  EXPECT_EQ(encoding.token_type_ids, (std::vector{0, 0, 0, 0}));
  EXPECT_EQ(flat(encoding.offsets), (std::vector<int64_t>{0, 0, 0, 3, 4, 7, 0, 0}));
  EXPECT_EQ(encoding.cut_off, 1);
  tokenizer.encode({"run run the"}, {.add_special_tokens = false, .max_length = 2}, encoding);
  EXPECT_EQ(encoding.ids, (std::vector{run, run}));
  tokenizer.encode({"run"}, {.max_length = 2}, encoding);
  EXPECT_EQ(encoding.ids, (std::vector{2, 3}));
  tokenizer.encode({"run"}, {.max_length = 3}, encoding);
  EXPECT_EQ(encoding.cut_off, 0);

  auto kept = [&](int first, int second, int64_t max_length) {
    std::string texts[2];
    for (int i = 0; i < first; ++i) texts[0] += "the ";
    for (int i = 0; i < second; ++i) texts[1] += "run ";
    tokenizer.encode({texts[0], texts[1]}, {.max_length = max_length}, encoding);
    auto count = [&](int32_t id) { return std::count(encoding.ids.begin(), encoding.ids.end(), id); };
    EXPECT_EQ(encoding.cut_off, first + second - count(the) - count(run));
    EXPECT_EQ(encoding.offsets.size(), encoding.ids.size());
    EXPECT_EQ(std::count(encoding.token_type_ids.begin(), encoding.token_type_ids.end(), 1), count(run) + 1);
    EXPECT_EQ(count(3), 2);
    return std::pair<int, int>(count(the), count(run));
  };
  ASSERT_EQ(reference()["truncation"].size(), 640u);
  for (const Json& row : reference()["truncation"]) {
    EXPECT_EQ(kept(row[0], row[1], row[2]), std::pair(row[3].get<int>(), row[4].get<int>())) << row;
  }

  auto error = [&](const TextInput& input, int64_t max_length) {
    return message_of([&] { tokenizer.encode(input, {.max_length = max_length}, encoding); });
  };
  EXPECT_EQ(error({"the"}, 1), "[tokenizer] max_length must leave room for 2 special tokens, got 1");
  EXPECT_EQ(error({"the", "run"}, 2), "[tokenizer] max_length must leave room for 3 special tokens, got 2");
  EXPECT_EQ(error({"the"}, -5), "[tokenizer] max_length must leave room for 2 special tokens, got -5");
}

TEST(Tokenizer, ATabSeparatesAPair) {
  EXPECT_EQ(split_pair("a b").first, "a b");
  EXPECT_EQ(split_pair("a b").second, std::nullopt);
  EXPECT_EQ(split_pair("a\tb c").first, "a");
  EXPECT_EQ(split_pair("a\tb c").second, "b c");
  EXPECT_EQ(split_pair("\t").second, "");
  EXPECT_EQ(message_of([] { split_pair("a\tb\tc"); }),
            "[pairs] a pair is two texts separated by one tab, got 2 tabs");
}

TEST(Tokenizer, Decodes) {
  Tokenizer tokenizer(reference_vocabulary());
  EXPECT_EQ(tokenizer.decode(tokenizer.ids("[CLS] The run, unwanted! i ' m [MASK]?[SEP]")),
            "[CLS] the run, unwanted! i'm [MASK]? [SEP]");
  EXPECT_EQ(tokenizer.decode(tokenizer.ids("[CLS] unwanted [SEP]"), true), "unwanted");
  EXPECT_EQ(tokenizer.decode({}), "");
  std::vector<int32_t> continuing = {tokenizer.vocabulary().id("##ed"), tokenizer.vocabulary().id("##ed")};
  EXPECT_EQ(tokenizer.decode(continuing), "##eded");
  Tokenizer with_empty_token(Vocabulary({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "", "a"}));
  EXPECT_EQ(with_empty_token.decode(std::vector{5, 6, 5, 6}), " a  a");
  std::vector<int32_t> outside = {tokenizer.vocabulary().size()};
  EXPECT_EQ(message_of([&] { tokenizer.decode(outside); }),
            fmt::format("[vocabulary] ids are 0 to {0}: got {1}", outside[0] - 1, outside[0]));
}

// What transformers 5.23 decodes with either setting.
TEST(Tokenizer, DecodesWithSpacesAroundApostrophes) {
  std::vector<std::string> tokens = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a",  ".",   "?",
                                     ",",     "!",     "'",     "s",     "n't",    "'s", "...", "##."};
  std::vector<int32_t> ids = {5, 6, 5, 7, 5, 8, 9, 5, 10, 11, 5, 10, 5, 12, 5, 13, 14, 15, 5};
  EXPECT_EQ(Tokenizer(Vocabulary(tokens)).decode(ids), "a. a? a,! a's a'an't a's.... a");
  Tokenizer plain(Vocabulary(tokens), {.words = {}, .clean_up_tokenization_spaces = false});
  EXPECT_EQ(plain.decode(ids), "a. a? a,! a ' s a ' an't a's.... a");
}

// Each of the replacements alone, as in transformers' clean_up_tokenization(): what stands before and behind
// stays.
TEST(Tokenizer, CleansUpEachContraction) {
  const std::pair<std::vector<std::string>, std::string> cases[] = {
      {{"."}, "a."},     {{"?"}, "a?"},      {{"!"}, "a!"},    {{","}, "a,"},         {{"'", "s"}, "a's"},
      {{"n't"}, "an't"}, {{"'m"}, "a'm"},    {{"'s"}, "a's"},  {{"'ve"}, "a've"},     {{"'re"}, "a're"},
      {{";"}, "a ;"},    {{"'ll"}, "a 'll"}, {{"'d"}, "a 'd"}, {{"-", "b"}, "a - b"}, {{"##n't"}, "an't"}};
  for (const auto& [after, expected] : cases) {
    std::vector<std::string> tokens{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a"};
    std::vector<int32_t> ids{5};
    for (const std::string& token : after) {
      ids.push_back(static_cast<int32_t>(tokens.size()));
      tokens.push_back(token);
    }
    tokens.push_back("z");
    ids.push_back(static_cast<int32_t>(tokens.size()) - 1);
    EXPECT_EQ(Tokenizer(Vocabulary(tokens)).decode(ids), expected + " z");
  }
}

// An Encoding that is used again holds nothing of what it held before.
TEST(Tokenizer, AnEncodingIsMadeAnew) {
  Tokenizer tokenizer(reference_vocabulary());
  Encoding used, fresh;
  tokenizer.encode({"the the the \xFF", "run run"}, {.max_length = 4}, used);
  EXPECT_EQ(used.replaced, 1);
  EXPECT_EQ(used.cut_off, 4);
  for (const char* text : {"the", ""}) {
    tokenizer.encode({text}, {}, used);
    fresh = {};
    tokenizer.encode({text}, {}, fresh);
    EXPECT_EQ(used.ids, fresh.ids);
    EXPECT_EQ(used.token_type_ids, fresh.token_type_ids);
    EXPECT_EQ(flat(used.offsets), flat(fresh.offsets));
    EXPECT_EQ(used.replaced, 0);
    EXPECT_EQ(used.cut_off, 0);
  }
}

// Invalid bytes of all parts count: both texts of a pair, and what stands before and behind a special token.
TEST(Tokenizer, ReplacementsOfAllPartsAddUp) {
  Tokenizer tokenizer(reference_vocabulary());
  Encoding encoding;
  tokenizer.encode({"\xFF the \xFF [MASK]\xFF", "\xFF [SEP] \xFF run"}, {}, encoding);
  EXPECT_EQ(encoding.replaced, 5);
}

// The word of the most characters that isn't [UNK], in characters of one to four bytes.
TEST(Tokenizer, WordsHaveUpTo100Characters) {
  for (std::string character : {"b", "д", "ㄱ", "𐐨"}) {
    Tokenizer tokenizer(
        Vocabulary({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", character, "##" + character}));
    for (int count : {1, 2, 99, 100, 101, 250}) {
      std::string word;
      std::vector<int32_t> pieces{5};
      for (int i = 0; i < count; i++) word += character;
      pieces.resize(count, 6);
      EXPECT_EQ(tokenizer.ids(word + " " + word),
                count > 100 ? std::vector<int32_t>({1, 1}) : [&] {
                  std::vector<int32_t> twice = pieces;
                  twice.insert(twice.end(), pieces.begin(), pieces.end());
                  return twice;
                }())
          << character << count;
    }
  }
}

// The published conformance cases of those models whose vocabulary is at hand.
TEST(Tokenizer, ConformanceCases) {
  const char* data = std::getenv("BERTIE_TEST_DATA");
  if (data == nullptr) GTEST_SKIP() << "BERTIE_TEST_DATA doesn't name the folder with vocab/ and tokenizer/";
  struct Model {
    const char *name, *vocabulary;
    bool lower_case;
  };
  const Model models[] = {
      {"Xenova/bert-base-uncased", "bert-base-uncased", true},
      {"Xenova/bert-base-cased", "bert-base-cased", false},
      {"google-bert/bert-base-cased", "bert-base-cased", false},
      {"Xenova/spanbert-large-cased", "bert-base-cased", true},
      {"Xenova/bge-base-zh-v1.5", "bert-base-chinese", true},
      {"Xenova/bge-small-zh-v1.5", "bert-base-chinese", false},
      {"Xenova/bert-base-multilingual-cased-ner-hrl", "bert-base-multilingual-cased", false}};
  Json cases = read_json(std::string(data) + "/tokenizer/wordpiece_cases.json");
  int count = 0;
  for (const Model& model : models) {
    TokenizerOptions options;
    options.words.do_lower_case = model.lower_case;
    Tokenizer tokenizer(Vocabulary::read(fmt::format("{}/vocab/{}-vocab.txt", data, model.vocabulary)),
                        options);
    for (const auto& [name, c] : cases[model.name].items()) {
      Encoding encoding;
      std::string text = c["text"], second = c.value("text_pair", "");
      TextInput input{text};
      if (c.contains("text_pair")) {
        input.second = second;
      } else {
        tokenizer.encode(input, plain, encoding);
        std::vector<std::string> tokens;
        for (int32_t id : encoding.ids) tokens.emplace_back(tokenizer.vocabulary().token(id));
        EXPECT_EQ(tokens, c["tokens"].get<std::vector<std::string>>()) << model.name << ' ' << name;
      }
      tokenizer.encode(input, {}, encoding);
      EXPECT_EQ(encoding.ids, c["ids"].get<std::vector<int32_t>>()) << model.name << ' ' << name;
      EXPECT_EQ(tokenizer.decode(encoding.ids), c["decoded"].get<std::string>()) << model.name << ' ' << name;
      ++count;
    }
  }
  EXPECT_EQ(count, 89);
}

// A word of 2.2 GB: the same two megabytes of memory again and again. It is one unknown word; its characters
// once were counted in 32 bits, and those after 2³¹ written below the word's place on the stack.
TEST(Tokenizer, AWordOfAnyLength) {
#ifdef BERTIE_SANITIZE
  GTEST_SKIP() << "takes minutes under the sanitizers";
#endif
  constexpr size_t piece = 2 << 20, pieces = 1100;
  int file = ::memfd_create("word", 0);
  ASSERT_GE(file, 0);
  std::string letters(piece, 'a');
  ASSERT_EQ(::write(file, letters.data(), piece), static_cast<ssize_t>(piece));
  void* place =
      ::mmap(nullptr, piece * pieces, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT_NE(place, MAP_FAILED);
  auto* begin = static_cast<char*>(place);
  for (size_t i = 0; i < pieces; ++i)
    ASSERT_EQ(::mmap(begin + i * piece, piece, PROT_READ, MAP_SHARED | MAP_FIXED, file, 0),
              begin + i * piece);
  Tokenizer tokenizer(Vocabulary({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##a"}));
  Encoding encoding;
  tokenizer.encode({std::string_view(begin, piece * pieces)}, {false, {}}, encoding);
  EXPECT_EQ(encoding.ids, std::vector<int32_t>{1});
  EXPECT_EQ(encoding.offsets, (std::vector<TokenOffsets>{{0, int64_t{piece} * int64_t{pieces}}}));
  ::munmap(place, piece * pieces);
  ::close(file);
}

}  // namespace
}  // namespace bertie
