// Tokenizers of directories of many kinds, against transformers
// (tests/data/tokenizer/reference/make_directory_reference.py).
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "bertie/data/tokenizer/characters.h"
#include "bertie/data/tokenizer/tokenizer_config.h"
#include "tests/message_of.h"
#include "tests/temporary_folder.h"

namespace bertie {
namespace {

using Json = nlohmann::json;

const Json& directory_reference() {
  static const Json json = [] {
    std::ifstream file(BERTIE_SOURCE_DIR "/tests/data/tokenizer/reference/directories.json");
    return Json::parse(file);
  }();
  return json;
}

void write_files(const std::string& folder, const Json& files) {
  for (const auto& [name, contents] : files.items())
    std::ofstream(folder + "/" + name, std::ios::binary) << contents.get<std::string>();
}

void expect_results(const Json& expected, const std::string& folder, const std::string& name) {
  PretrainedTokenizer read = load_tokenizer(folder);
  const Json& limit = expected["max_length"];
  EXPECT_EQ(read.model_max_length.has_value(), limit.is_number()) << name;
  const Json& texts = directory_reference()["texts"];
  for (size_t i = 0; i < texts.size(); ++i) {
    std::string text = texts[i].get<std::string>(), place = name + ": " + text;
    Encoding encoding;
    read.tokenizer.encode({text}, {true, read.model_max_length}, encoding);
    EXPECT_EQ(encoding.ids, expected["ids"][i].get<std::vector<int32_t>>()) << place;
    std::vector<int64_t> offsets;
    for (auto [begin, end] : encoding.offsets) offsets.insert(offsets.end(), {begin, end});
    EXPECT_EQ(offsets, expected["offsets"][i].get<std::vector<int64_t>>()) << place;
    EXPECT_EQ(read.tokenizer.decode(encoding.ids), expected["decoded"][i].get<std::string>()) << place;
    EXPECT_EQ(read.tokenizer.decode(encoding.ids, true),
              expected["decoded_without_special"][i].get<std::string>())
        << place;
  }
}

TEST(TokenizerDirectories, TokensAreThoseOfTransformers) {
  for (const Json& each : directory_reference()["cases"]) {
    TemporaryFolder folder;
    write_files(folder.path(), each["files"]);
    expect_results(each, folder.path(), each["name"].get<std::string>());
  }
}

// vocab.txt and the tokenizer.json that transformers saves of it are one tokenizer.
TEST(TokenizerDirectories, WhatTransformersSavesIsTheSame) {
  int saved = 0;
  for (const Json& each : directory_reference()["cases"]) {
    if (each["saved"].empty()) continue;
    ++saved;
    TemporaryFolder folder;
    write_files(folder.path(), each["saved"]);
    expect_results(each, folder.path(), each["name"].get<std::string>() + ", saved");
  }
  EXPECT_GE(saved, 15);
}

// What is written reads as the same tokenizer: vocab.txt and the added tokens in tokenizer_config.json.
TEST(TokenizerDirectories, WhatIsWrittenIsTheSame) {
  for (const Json& each : directory_reference()["cases"]) {
    TemporaryFolder folder, again;
    write_files(folder.path(), each["files"]);
    PretrainedTokenizer read = load_tokenizer(folder.path());
    const Vocabulary& vocabulary = read.tokenizer.vocabulary();
    vocabulary.write(again / "vocab.txt");
    write_tokenizer_config(again / "tokenizer_config.json",
                           {read.tokenizer.options(), read.model_max_length, vocabulary.added_tokens()});
    expect_results(each, again.path(), each["name"].get<std::string>() + ", written");
  }
}

TEST(TokenizerDirectories, CharactersOfWordsAreThoseOfTokenizers) {
  std::vector<uint32_t> found,
      expected = directory_reference()["word_characters"].get<std::vector<uint32_t>>();
  for (uint32_t c = 0; c < 0x110000; ++c) {
    if (!is_word_character(c)) continue;
    if (!found.empty() && found.back() == c - 1)
      found.back() = c;
    else
      found.insert(found.end(), {c, c});
  }
  EXPECT_EQ(found, expected);
}

}  // namespace
}  // namespace bertie
