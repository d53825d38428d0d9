#include "bertie/data/tokenizer/tokenizer_config.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "bertie/data/files/mapped_file.h"
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
  EXPECT_TRUE(config.options.clean_up_tokenization_spaces);  // of transformers up to 4
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

// Each key alone, against its default.
TEST_F(TokenizerConfigTest, EachKeyIsReadUnderItsName) {
  for (bool value : {true, false}) {
    const char* text = value ? "true" : "false";
    auto with = [&](const char* key) { return read(std::string("{\"") + key + "\": " + text + "}").options; };
    EXPECT_EQ(with("do_lower_case").words.do_lower_case, value);
    EXPECT_EQ(with("do_lower_case").words.strips_accents(), value);  // none given: as do_lower_case
    EXPECT_EQ(with("strip_accents").words.strip_accents, value);
    EXPECT_EQ(with("strip_accents").words.strips_accents(), value);
    EXPECT_TRUE(with("strip_accents").words.do_lower_case);
    EXPECT_EQ(with("tokenize_chinese_chars").words.tokenize_chinese_chars, value);
    EXPECT_EQ(with("split_special_tokens").split_special_tokens, value);
    EXPECT_EQ(with("clean_up_tokenization_spaces").clean_up_tokenization_spaces, value);
    TokenizerOptions unknown = with("lowercase");
    EXPECT_TRUE(unknown.words.do_lower_case && unknown.words.tokenize_chinese_chars);
    EXPECT_TRUE(unknown.clean_up_tokenization_spaces && !unknown.split_special_tokens);
  }
  TokenizerConfig nulls =
      read(R"({"do_lower_case": null, "strip_accents": null, "tokenize_chinese_chars": null,
      "split_special_tokens": null, "clean_up_tokenization_spaces": null, "model_max_length": null,
      "tokenizer_class": null})");
  EXPECT_TRUE(nulls.options.words.do_lower_case && nulls.options.words.tokenize_chinese_chars);
  EXPECT_EQ(nulls.options.words.strip_accents, std::nullopt);
  EXPECT_TRUE(nulls.options.clean_up_tokenization_spaces && !nulls.options.split_special_tokens);
  for (int64_t length : {1, 2, 511, 512, 1024, 8192, 1'000'000, 1'000'000'000})
    EXPECT_EQ(read("{\"model_max_length\": " + std::to_string(length) + "}").model_max_length, length);
  for (const char* none : {"1e30", "1000000000000000019884624838656", "1000000000000000000"})
    EXPECT_EQ(read(std::string("{\"model_max_length\": ") + none + "}").model_max_length, std::nullopt);
  EXPECT_NE(error(R"({"model_max_length": -1})"), "no error");
  EXPECT_NE(error(R"({"model_max_length": "512"})"), "no error");
  for (const char* name : {"BertTokenizer", "BertTokenizerFast"})
    EXPECT_EQ(error(std::string("{\"tokenizer_class\": \"") + name + "\"}"), "no error");
}

// Each special token has its own key and name, and no flag of it may be true.
TEST_F(TokenizerConfigTest, EachSpecialTokenIsItself) {
  const std::pair<std::string, std::string> keys[] = {{"pad_token", "[PAD]"},
                                                      {"unk_token", "[UNK]"},
                                                      {"cls_token", "[CLS]"},
                                                      {"sep_token", "[SEP]"},
                                                      {"mask_token", "[MASK]"}};
  for (const auto& [key, token] : keys) {
    for (const auto& [other_key, other] : keys) {
      std::string message = error("{\"" + key + "\": \"" + other + "\"}");
      EXPECT_EQ(message == "no error", token == other) << key << other << message;
    }
    for (std::string flag : {"lstrip", "rstrip", "single_word", "normalized"}) {
      for (std::string value : {"true", "false"}) {
        std::string described = "{\"content\": \"" + token + "\", \"" + flag + "\": " + value + "}";
        bool refused = value == "true";
        EXPECT_EQ(error("{\"" + key + "\": " + described + "}") != "no error", refused) << key << flag;
        for (std::string list : {"additional_special_tokens", "extra_special_tokens", "added_tokens"})
          EXPECT_EQ(error("{\"" + list + "\": [" + described + "]}") != "no error", refused) << list << flag;
      }
    }
  }
}

// Every combination of settings, and what the file says of them.
TEST_F(TokenizerConfigTest, AllSettingsComeBack) {
  for (int bits = 0; bits < 64; bits++) {
    TokenizerConfig config;
    config.options.words.do_lower_case = bits & 1;
    config.options.words.tokenize_chinese_chars = bits & 2;
    config.options.split_special_tokens = bits & 4;
    config.options.clean_up_tokenization_spaces = bits & 8;
    if (bits & 16) config.options.words.strip_accents = bits & 32;
    write_tokenizer_config(path_, config);
    TokenizerOptions read = read_tokenizer_config(path_).options;
    EXPECT_EQ(read.words.do_lower_case, config.options.words.do_lower_case);
    EXPECT_EQ(read.words.tokenize_chinese_chars, config.options.words.tokenize_chinese_chars);
    EXPECT_EQ(read.words.strip_accents, config.options.words.strip_accents);
    EXPECT_EQ(read.split_special_tokens, config.options.split_special_tokens);
    EXPECT_EQ(read.clean_up_tokenization_spaces, config.options.clean_up_tokenization_spaces);
  }
  std::string text = read_file(path_);
  for (const char* entry :
       {R"("tokenizer_class": "BertTokenizer")", R"("pad_token": "[PAD]")", R"("unk_token": "[UNK]")",
        R"("cls_token": "[CLS]")", R"("sep_token": "[SEP]")", R"("mask_token": "[MASK]")"})
    EXPECT_NE(text.find(entry), std::string::npos) << entry;
}

TEST_F(TokenizerConfigTest, ComesBackFromItsFile) {
  TokenizerConfig config;
  config.options.words = {false, true, false};
  config.options.split_special_tokens = true;
  config.options.clean_up_tokenization_spaces = false;
  config.model_max_length = 128;
  write_tokenizer_config(path_, config);
  TokenizerConfig read = read_tokenizer_config(path_);
  EXPECT_FALSE(read.options.words.do_lower_case);
  EXPECT_EQ(read.options.words.strip_accents, true);
  EXPECT_FALSE(read.options.words.tokenize_chinese_chars);
  EXPECT_TRUE(read.options.split_special_tokens);
  EXPECT_FALSE(read.options.clean_up_tokenization_spaces);
  EXPECT_EQ(read.model_max_length, 128);
  write_tokenizer_config(path_, TokenizerConfig());
  EXPECT_NE(read_file(path_).find(R"("strip_accents": null)"), std::string::npos);
  EXPECT_NE(read_file(path_).find(R"("clean_up_tokenization_spaces": true)"), std::string::npos);
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
  EXPECT_EQ(error("[]"), message("'" + path_ + "' must be a JSON object"));
  EXPECT_EQ(error(R"({"do_lower_case": 1})"),
            message("do_lower_case must be true or false in '" + path_ + "', it is 1"));
  EXPECT_EQ(error(R"({"mask_token": "<mask>"})"),
            message("mask_token must be \"[MASK]\" in '" + path_ + "', it is \"<mask>\""));
  EXPECT_EQ(error(R"({"tokenizer_class": "RobertaTokenizer"})"),
            message("tokenizer_class must be BertTokenizer in '" + path_ + "', it is \"RobertaTokenizer\""));
  EXPECT_EQ(error(R"({"mask_token": {"content": "[MASK]", "lstrip": true}})"),
            message("lstrip of mask_token must be false in '" + path_ + "', it is true"));
  auto other_token = [&](const std::string& name) {
    return message("tokens other than [PAD] [UNK] [CLS] [SEP] [MASK] are not supported, '" + path_ +
                   "' adds " + name);
  };
  EXPECT_EQ(error(R"({"mask_token": null})"),
            message("mask_token must be \"[MASK]\" in '" + path_ + "', it is null"));
  EXPECT_EQ(error(R"({"additional_special_tokens": ["[MASK]", "<e>"]})"), other_token("\"<e>\""));
  EXPECT_EQ(error(R"({"bos_token": "<s>"})"), other_token("\"<s>\""));
  EXPECT_EQ(error(R"({"model_specific_special_tokens": {"image_token": "<i>"}})"), other_token("\"<i>\""));
  EXPECT_EQ(error(R"({"bos_token": null, "eos_token": "[SEP]", "add_bos_token": true})"), "no error");
  EXPECT_EQ(error(R"({"extra_special_tokens": {"entity": {"content": "[E]"}}})"), other_token("\"[E]\""));
  EXPECT_EQ(error(R"({"extra_special_tokens": 5})"), other_token("5"));
  EXPECT_EQ(error(R"({"added_tokens_decoder": {"0": {"content": "[PAD]"}, "9": {"content": "x"}}})"),
            other_token("\"x\""));
  EXPECT_EQ(error(R"({"added_tokens_decoder": {"0": {"content": "[PAD]", "normalized": true}}})"),
            message("normalized of [PAD] must be false in '" + path_ + "', it is true"));
  EXPECT_EQ(
      error(R"({"added_tokens_decoder": {"4": {"content": "[MASK]", "lstrip": false, "normalized": false,
                      "rstrip": false, "single_word": false, "special": true}}, "additional_special_tokens": null,
                      "extra_special_tokens": {}})"),
      "no error");
  EXPECT_EQ(error(R"({"model_max_length": 0})"),
            message("model_max_length must be a number over 0 in '" + path_ + "', it is 0"));
  EXPECT_EQ(error("{\"do_lower_case\": tru").find(message("'" + path_ + "' must be valid JSON, ")), 0u);
  EXPECT_EQ(error("{\"unknown\": 1e999}"), message("'" + path_ + "' holds a number out of range"));
  std::string deep = "{\"do_lower_case\": " + std::string(1000000, '[') + std::string(1000000, ']') + "}";
  EXPECT_EQ(error(deep), message("'" + path_ + "' must be nested at most 64 levels deep"));
  EXPECT_NE(error("\xFF"), "no error");
  EXPECT_NE(message_of([&] { read_tokenizer_config(folder_ / "none.json"); }).find("none.json"),
            std::string::npos);
}

// As transformers 5.23 saves a tokenizer, without what isn't read.
TEST_F(TokenizerConfigTest, LoadsTheTokenizerOfADirectory) {
  auto write = [&](const std::string& name, const std::string& contents) {
    std::ofstream(folder_ / name, std::ios::binary) << contents;
  };
  auto ids = [&](const char* text) { return load_tokenizer(folder_.path()).tokenizer.ids(text); };
  auto error = [&] { return message_of([&] { load_tokenizer(folder_.path()); }); };
  std::string vocabulary = R"("[CLS]": 2, "[PAD]": 0, "[UNK]": 1, "[SEP]": 3, "[MASK]": 4, "A": 6, "a": 5)";
  auto tokenizer_json = [](const std::string& added_tokens, const std::string& vocabulary) {
    return R"({"version": "1.0", "added_tokens": [)" + added_tokens +
           R"(], "normalizer": {"type": "BertNormalizer"},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "vocab": {)" +
           vocabulary + "}}}";
  };
  std::string cls = R"({"id": 2, "content": "[CLS]", "single_word": false, "lstrip": false, "rstrip": false,
                        "normalized": false, "special": true})";
  write("tokenizer.json", tokenizer_json(cls, vocabulary));
  EXPECT_EQ(ids("A [CLS]"), (std::vector{5, 2}));
  write("tokenizer_config.json", R"({"do_lower_case": false, "model_max_length": 512})");
  EXPECT_EQ(ids("A [CLS]"), (std::vector{6, 2}));
  EXPECT_EQ(load_tokenizer(folder_.path()).model_max_length, 512);

  std::string path = folder_ / "tokenizer.json";
  write("tokenizer.json",
        tokenizer_json(R"({"id": 7, "content": "foo bar", "normalized": true})", vocabulary));
  EXPECT_EQ(error(),
            "[tokenizer_config] tokens other than [PAD] [UNK] [CLS] [SEP] [MASK] are not supported, '" +
                path + "' adds \"foo bar\"");
  for (const char* id : {"5", "8", "-1", "1e3", "\"7\"", "18446744073709551615"}) {
    write("tokenizer.json", tokenizer_json(cls, vocabulary + R"(, "b": )" + id));
    EXPECT_EQ(error().find("[tokenizer_config] the ids of '" + path + "' must be 0 to 7, each once: "), 0u);
  }
  for (const char* model : {"5", "{}", R"({"vocab": []})", R"({"type": "BPE", "vocab": {"a": 0}})"}) {
    write("tokenizer.json", std::string(R"({"model": )") + model + "}");
    EXPECT_EQ(error(), "[tokenizer_config] '" + path + "' must hold a WordPiece model with its vocabulary");
  }
  write("tokenizer.json", tokenizer_json("", R"("a": 0)"));
  EXPECT_NE(error().find("has no [PAD], [UNK], [CLS], [SEP], [MASK]"), std::string::npos);

  // transformers takes it before vocab.txt, and its vocabulary only.
  write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nb\nA\n");
  write("tokenizer.json", R"({"normalizer": {"type": "BertNormalizer", "lowercase": true}, "model":
        {"continuing_subword_prefix": "@@", "vocab": {)" +
                              vocabulary + "}}}");
  EXPECT_EQ(ids("A b a"), (std::vector{6, 1, 5}));
  // As published for bert-base-chinese.
  write("tokenizer.json", tokenizer_json("", vocabulary + R"(, "\u2028": 7, "##\u2028": 8)"));
  EXPECT_EQ(ids("A \u2028 a\u2028"), (std::vector{6, 5}));
  std::filesystem::remove(path);
  EXPECT_EQ(ids("A b a"), (std::vector{6, 5, 1}));
}

// The files of older directories. transformers 5.23 finds "newword" where it is added.
TEST_F(TokenizerConfigTest, RefusesTokensThatOtherFilesAdd) {
  auto error = [&](const std::string& name, const std::string& contents) {
    std::ofstream(folder_ / name, std::ios::binary) << contents;
    return message_of([&] { load_tokenizer(folder_.path()); });
  };
  auto other_token = [&](const char* file, const char* name) {
    return "[tokenizer_config] tokens other than [PAD] [UNK] [CLS] [SEP] [MASK] are not supported, '" +
           (folder_ / file) + "' adds \"" + name + "\"";
  };
  const char *added = "added_tokens.json", *map = "special_tokens_map.json";
  EXPECT_EQ(error("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\nnew\n##word\n"), "no error");
  EXPECT_EQ(error(added, R"({"newword": 8})"), other_token(added, "newword"));
  EXPECT_EQ(error(added, R"({"hello": 5})"), other_token(added, "hello"));
  EXPECT_EQ(
      error(added, R"({"[MASK]": 4})"),
      "[tokenizer_config] '" + (folder_ / added) +
          "' adds [MASK], so tokenizer_config.json or special_tokens_map.json must name it as mask_token");
  EXPECT_EQ(error(map, R"({"mask_token": "[MASK]"})"), "no error");
  EXPECT_EQ(load_tokenizer(folder_.path()).tokenizer.ids("newword hello [MASK] [mask]"),
            (std::vector{6, 7, 5, 4, 1, 1, 1}));
  EXPECT_EQ(error(map, R"({"additional_special_tokens": ["newword"]})"), other_token(map, "newword"));
  EXPECT_EQ(error(map, R"({"bos_token": {"content": "<s>"}})"), other_token(map, "<s>"));
  EXPECT_EQ(error(map, R"({"mask_token": "hello"})"),
            "[tokenizer_config] mask_token must be \"[MASK]\" in '" + (folder_ / map) + "', it is \"hello\"");
  EXPECT_EQ(error(map, R"({"mask_token": {"content": "[MASK]", "lstrip": true}})"),
            "[tokenizer_config] lstrip of mask_token must be false in '" + (folder_ / map) + "', it is true");
  EXPECT_EQ(error(map, R"({"do_lower_case": false})"),
            "[tokenizer_config] '" + (folder_ / map) + "' must hold tokens only, it has do_lower_case");
  EXPECT_EQ(error(map, R"({"bos_token": "[CLS]", "cls_token": "[CLS]", "mask_token": "[MASK]"})"),
            "no error");
}

}  // namespace
}  // namespace bertie
