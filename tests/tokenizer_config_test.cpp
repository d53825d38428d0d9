#include "data/tokenizer_config.h"

#include <gtest/gtest.h>

#include <fstream>

#include "data/mapped_file.h"
#include "tests/message_of.h"
#include "tests/temporary_folder.h"

namespace bertie {
namespace {

class TokenizerConfigTest : public testing::Test {
 protected:
  TokenizerConfig read(const std::string& contents) {
    std::ofstream(path_, std::ios::binary) << contents;
    return read_tokenizer_config(path_);
  }
  std::string error(const std::string& contents) {
    return message_of([&] { read(contents); });
  }

  TemporaryFolder folder_;
  std::string path_ = folder_ / "tokenizer_config.json";
};

TEST_F(TokenizerConfigTest, MissingKeysHaveTheDefaultsOfTransformers) {
  TokenizerConfig config = read("{}");
  EXPECT_TRUE(config.options.words.do_lower_case);
  EXPECT_EQ(config.options.words.strip_accents, std::nullopt);
  EXPECT_TRUE(config.options.words.tokenize_chinese_chars);
  EXPECT_FALSE(config.options.split_special_tokens);
  EXPECT_EQ(config.model_max_length, std::nullopt);
}

TEST_F(TokenizerConfigTest, ReadsWhatTransformersWrites) {
  TokenizerConfig config = read(R"({"backend": "tokenizers", "cls_token": "[CLS]", "do_lower_case": false,
      "mask_token": {"content": "[MASK]", "lstrip": false}, "model_max_length": 1000000000000000019884624838656,
      "pad_token": "[PAD]", "sep_token": "[SEP]", "strip_accents": true, "tokenize_chinese_chars": false,
      "tokenizer_class": "BertTokenizer", "unk_token": "[UNK]"})");
  EXPECT_FALSE(config.options.words.do_lower_case);
  EXPECT_EQ(config.options.words.strip_accents, true);
  EXPECT_FALSE(config.options.words.tokenize_chinese_chars);
  EXPECT_EQ(config.model_max_length, std::nullopt);
  EXPECT_EQ(read(R"({"model_max_length": 512})").model_max_length, 512);
}

TEST_F(TokenizerConfigTest, ComesBackFromItsFile) {
  TokenizerConfig config;
  config.options.words = {false, true, false};
  config.options.split_special_tokens = true;
  config.model_max_length = 128;
  write_tokenizer_config(path_, config);
  TokenizerConfig read = read_tokenizer_config(path_);
  EXPECT_FALSE(read.options.words.do_lower_case);
  EXPECT_EQ(read.options.words.strip_accents, true);
  EXPECT_FALSE(read.options.words.tokenize_chinese_chars);
  EXPECT_TRUE(read.options.split_special_tokens);
  EXPECT_EQ(read.model_max_length, 128);
  write_tokenizer_config(path_, TokenizerConfig());
  EXPECT_NE(read_file(path_).find(R"("strip_accents": null)"), std::string::npos);
  EXPECT_EQ(read_tokenizer_config(path_).model_max_length, std::nullopt);
}

// Looking through the earlier keys at each key would take minutes.
TEST_F(TokenizerConfigTest, ReadsAnyNumberOfKeys) {
  std::string contents = "{";
  for (int i = 0; i < 100000; ++i) contents += "\"" + std::to_string(i) + "\": 0, ";
  EXPECT_EQ(read(contents + "\"model_max_length\": 512}").model_max_length, 512);
}

TEST_F(TokenizerConfigTest, RefusesWhatItCannotHonor) {
  auto message = [&](const std::string& text) { return "[tokenizer_config] " + text; };
  EXPECT_EQ(error("[]"), message("'" + path_ + "' must hold a JSON object, it holds array"));
  EXPECT_EQ(error(R"({"do_lower_case": 1})"),
            message("do_lower_case must be true or false in '" + path_ + "', it is 1"));
  EXPECT_EQ(error(R"({"mask_token": "<mask>"})"),
            message("mask_token must be \"[MASK]\" in '" + path_ + "', it is \"<mask>\""));
  EXPECT_EQ(error(R"({"tokenizer_class": "RobertaTokenizer"})"),
            message("tokenizer_class must be BertTokenizer in '" + path_ + "', it is \"RobertaTokenizer\""));
  EXPECT_EQ(error(R"({"model_max_length": 0})"),
            message("model_max_length must be a number over 0 in '" + path_ + "', it is 0"));
  EXPECT_EQ(error("{\"do_lower_case\": tru").find(message("'" + path_ + "' must be JSON: ")), 0u);
  EXPECT_EQ(error("{\"unknown\": 1e999}").find(message("'" + path_ + "' must be JSON: ")), 0u);
  std::string deep = "{\"do_lower_case\": " + std::string(1000000, '[') + std::string(1000000, ']') + "}";
  EXPECT_EQ(error(deep), message("'" + path_ + "' must not nest values deeper than 64"));
  EXPECT_NE(error("\xFF"), "no error");
  EXPECT_NE(message_of([&] { read_tokenizer_config(folder_ / "none.json"); }).find("none.json"),
            std::string::npos);
}

}  // namespace
}  // namespace bertie
