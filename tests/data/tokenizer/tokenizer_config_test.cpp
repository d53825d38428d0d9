#include "bertie/data/tokenizer/tokenizer_config.h"

#include <fmt/format.h>
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

// Each special token has its own key and name.
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
      message = error("{\"" + key + "\": {\"content\": \"" + other + "\"}}");
      EXPECT_EQ(message == "no error", token == other) << key << other << message;
    }
  }
}

// Each property of an added token is read and written under its name.
TEST_F(TokenizerConfigTest, EachPropertyOfATokenIsItself) {
  for (int bits = 0; bits < 32; ++bits) {
    AddedToken token{"x", 9, bool(bits & 1), bool(bits & 2), bool(bits & 4), bool(bits & 8), bool(bits & 16)};
    TokenizerConfig config;
    config.added_tokens = {token};
    write_tokenizer_config(path_, config);
    EXPECT_EQ(read_tokenizer_config(path_).added_tokens, config.added_tokens) << bits;
    std::string text = read_file(path_);
    auto says = [&](const std::string& key, bool value) {
      return text.find("\"" + key + "\": " + (value ? "true" : "false")) != std::string::npos;
    };
    EXPECT_TRUE(says("special", token.special) && says("normalized", token.normalized) &&
                says("single_word", token.single_word) && says("lstrip", token.lstrip) &&
                says("rstrip", token.rstrip))
        << text;
  }
  // Without their properties, ordinary tokens are looked for in the normalized text, and special ones aren't.
  auto tokens =
      read(R"({"added_tokens_decoder": {"10": {"content": "y"}, "9": {"content": "x", "special": true}}})")
          .added_tokens;
  EXPECT_EQ(tokens, (std::vector<AddedToken>{{"x", 9, true, false}, {"y", 10, false, true}}));
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
  EXPECT_EQ(error(R"({"mask_token": null})"),
            message("mask_token must be \"[MASK]\" in '" + path_ + "', it is null"));
  EXPECT_EQ(error(R"({"extra_special_tokens": 5})"),
            message("extra_special_tokens must be a list of tokens in '" + path_ + "', it is 5"));
  EXPECT_EQ(error(R"({"extra_special_tokens": [5]})"),
            message("a token must be a name or an object with its content in '" + path_ + "', it is 5"));
  EXPECT_EQ(error(R"({"added_tokens_decoder": {"9": {"content": "x", "lstrip": 1}}})"),
            message("lstrip must be true or false in '" + path_ + "', it is 1"));
  EXPECT_EQ(error(R"({"added_tokens_decoder": {"9": "x"}})"),
            message("added_tokens_decoder must hold objects in '" + path_ + "', it has \"x\""));
  for (std::string id : {"-1", "1.5", "x", "", "10000000", "99999999999999999999", "[[[["})
    EXPECT_EQ(
        error("{\"added_tokens_decoder\": {\"" + id + "\": {\"content\": \"x\"}}}")
            .find(message("the id of an added token must be in 0 … 9999999 in '" + path_ + "', it is ")),
        0u)
        << id;
  EXPECT_EQ(error(R"({"bos_token": null, "eos_token": "[SEP]", "add_bos_token": true})"), "no error");
  for (std::string key : {"word_tokenizer_type", "subword_tokenizer_type"})
    EXPECT_EQ(error("{\"" + key + "\": \"mecab\"}").find(message(key + " must be \"")), 0u);
  EXPECT_EQ(error(R"({"mecab_kwargs": {"mecab_dic": "ipadic"}})"),
            message("mecab_kwargs must be null in '" + path_ + R"(', it is {"mecab_dic":"ipadic"})"));
  EXPECT_EQ(error(R"({"word_tokenizer_type": "basic", "subword_tokenizer_type": "wordpiece"})"), "no error");
  EXPECT_EQ(error(R"({"truncation_side": "left"})"),
            message("truncation_side must be \"right\" in '" + path_ + "', it is \"left\""));
  EXPECT_EQ(error(R"({"auto_map": {"AutoTokenizer": ["a.B", null]}})"),
            message("auto_map names a tokenizer with code of its own in '" + path_ +
                    "', which bertie doesn't run"));
  EXPECT_EQ(read(R"({"max_len": 128})").model_max_length, 128);
  EXPECT_EQ(read(R"({"max_len": 128, "model_max_length": 64})").model_max_length, 64);
  EXPECT_EQ(error(R"({"max_len": "128"})"),
            message("max_len must be a number over 0 in '" + path_ + "', it is \"128\""));
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
  for (const char* id : {"5", "10000000", "-1", "1e3", "\"7\"", "18446744073709551615"}) {
    write("tokenizer.json", tokenizer_json(cls, vocabulary + R"(, "b": )" + id));
    EXPECT_EQ(error().find("[tokenizer_config] the ids of '" + path + "' must be 0 to 9999999, each once: "),
              0u);
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

// What comes without a word with one key has a note with another.
TEST_F(TokenizerConfigTest, NotesNameWhatIsNotFollowed) {
  auto write = [&](const std::string& name, const std::string& contents) {
    std::ofstream(folder_ / name, std::ios::binary) << contents;
  };
  auto notes = [&] { return load_tokenizer(folder_.path()).notes; };
  std::string config = folder_ / "tokenizer_config.json", json = folder_ / "tokenizer.json";
  LoadNote unknown{"'" + config + "' has keys that bertie doesn't know and doesn't follow", {}};
  write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n");
  EXPECT_EQ(notes(), std::vector<LoadNote>{});
  // All that transformers 4 and 5 write of a BertTokenizer.
  write("tokenizer_config.json", R"({"name_or_path": "x", "do_basic_tokenize": true, "never_split": null,
      "model_max_length": 512, "padding_side": "right", "model_input_names": ["input_ids", "token_type_ids"],
      "special_tokens_map_file": null, "backend": "tokenizers", "is_local": true, "local_files_only": false,
      "max_length": 128, "stride": 0, "truncation_side": "right", "truncation_strategy": "longest_first",
      "pad_to_multiple_of": null, "pad_token_type_id": 0, "pad_token": "[PAD]", "extra_special_tokens": {},
      "clean_up_tokenization_spaces": false, "tokenizer_class": "BertTokenizer"})");
  EXPECT_EQ(notes(), std::vector<LoadNote>{});
  write("tokenizer_config.json", R"({"do_basic_tokenize": false, "never_split": ["a"], "clean_text": false,
      "model_input_names": ["input_ids"], "lowercase": false, "do_lower": true})");
  unknown.names = {"clean_text", "do_basic_tokenize", "do_lower",
                   "lowercase",  "model_input_names", "never_split"};
  EXPECT_EQ(notes(), std::vector<LoadNote>{unknown});

  // Of tokenizer.json, what transformers leaves to tokenizer_config.json.
  write("tokenizer_config.json", R"({"do_lower_case": true, "added_tokens_decoder": {}})");
  std::string model =
      R"("model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
      "max_input_chars_per_word": 100,
      "vocab": {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4, "a": 5}})";
  const std::string special = R"({"SpecialToken": {"id": "[SEP]", "type_id": 0}})";
  std::string post = R"("post_processor": {"type": "TemplateProcessing", "single": [
      {"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
      {"SpecialToken": {"id": "[SEP]", "type_id": 0}}], "pair": [
      {"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
      {"SpecialToken": {"id": "[SEP]", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}},
      {"SpecialToken": {"id": "[SEP]", "type_id": 1}}], "special_tokens": {}})";
  std::string normalizer = R"("normalizer": {"type": "BertNormalizer", "clean_text": true,
      "handle_chinese_chars": true, "strip_accents": null, "lowercase": true})";
  std::string rest = R"("version": "1.0", "truncation": {"max_length": 128}, "padding": null,
      "pre_tokenizer": {"type": "BertPreTokenizer"}, "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true})";
  std::string whole = "{" + model + ", " + post + ", " + normalizer + ", " + rest + "}";
  write("tokenizer.json", whole);
  EXPECT_EQ(notes(), std::vector<LoadNote>{});
  auto differing = [&](const std::string& from, const std::string& to) {
    std::string text = whole;
    size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    write("tokenizer.json", text.replace(at, from.size(), to));
    std::vector<LoadNote> all = notes();
    EXPECT_EQ(all.size(), 1u) << from;
    return all.empty() || all[0].names.size() != 1 ? "not one" : all[0].names[0];
  };
  EXPECT_EQ(differing(R"("lowercase": true)", R"("lowercase": false)"), "normalizer.lowercase");
  EXPECT_EQ(differing(R"("strip_accents": null)", R"("strip_accents": false)"), "normalizer.strip_accents");
  EXPECT_EQ(differing(R"("handle_chinese_chars": true)", R"("handle_chinese_chars": false)"),
            "normalizer.handle_chinese_chars");
  EXPECT_EQ(differing(R"("clean_text": true)", R"("clean_text": false)"), "normalizer.clean_text");
  EXPECT_EQ(differing("\"BertNormalizer\"", "\"Sequence\""), "normalizer");
  EXPECT_EQ(differing("\"BertPreTokenizer\"", "\"Whitespace\""), "pre_tokenizer");
  EXPECT_EQ(differing(special, R"({"SpecialToken": {"id": "[SEP]", "type_id": 1}})"),
            "post_processor.single");
  EXPECT_EQ(differing("\"TemplateProcessing\"", "\"RobertaProcessing\""), "post_processor");
  EXPECT_EQ(differing(R"("prefix": "##", "cleanup")", R"("prefix": "@@", "cleanup")"), "decoder.prefix");
  EXPECT_EQ(differing("_word\": 100", "_word\": 200"), "model.max_input_chars_per_word");
  EXPECT_EQ(differing(R"("version")", R"("version": 1, "later")"), "later");
  EXPECT_EQ(differing(R"("version")", R"("added_tokens": [{"id": 6, "content": "b"}], "version")"),
            "added_tokens.b");
}

// transformers takes the class from config.json where tokenizer_config.json doesn't name it.
TEST_F(TokenizerConfigTest, TheClassMayStandInTheModelsConfiguration) {
  std::ofstream(folder_ / "vocab.txt") << "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n";
  std::string path = folder_ / "config.json";
  std::ofstream(path) << R"({"tokenizer_class": "BertJapaneseTokenizer"})";
  std::string expected = "[tokenizer_config] tokenizer_class must be BertTokenizer in '" + path +
                         "', it is \"BertJapaneseTokenizer\"";
  EXPECT_EQ(message_of([&] { load_tokenizer(folder_.path()); }), expected);
  std::ofstream(path_) << "{}";
  EXPECT_EQ(message_of([&] { load_tokenizer(folder_.path()); }), expected);
  std::ofstream(path_) << R"({"tokenizer_class": "BertTokenizer"})";
  EXPECT_EQ(message_of([&] { load_tokenizer(folder_.path()); }), "no error");
}

// transformers numbers added tokens itself, whatever the files say; bertie refuses where that isn't the same.
TEST_F(TokenizerConfigTest, RefusesTokensWhoseIdsAreNotClear) {
  std::ofstream(folder_ / "vocab.txt") << "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n";
  auto error = [&](const std::string& name, const std::string& contents) {
    std::ofstream(folder_ / name, std::ios::binary) << contents;
    std::string message = message_of([&] { load_tokenizer(folder_.path()); });
    std::filesystem::remove(folder_ / name);
    return message;
  };
  auto other_id = [&](const std::string& token, int said, int given) {
    return fmt::format(
        "[tokenizer_config] the files of {} add '{}' under the id {}, but where the others are, its id can "
        "only be {}",
        folder_.path(), token, said, given);
  };
  EXPECT_EQ(error("added_tokens.json", R"({"x": 6, "y": 7})"), "no error");
  EXPECT_EQ(error("added_tokens.json", R"({"x": 7})"), other_id("x", 7, 6));
  EXPECT_EQ(error("added_tokens.json", R"({"x": 6, "y": 8})"), other_id("y", 8, 7));
  EXPECT_EQ(error("added_tokens.json", R"({"a": 6})"), other_id("a", 6, 5));
  EXPECT_EQ(error("special_tokens_map.json", R"({"x_token": "x", "y_token": "y"})"),
            "[tokenizer_config] the files of " + folder_.path() +
                " add 2 tokens under names of their own, so added_tokens_decoder must give their ids");
  EXPECT_EQ(error("special_tokens_map.json", R"({"x_token": "x", "y_token": "a"})"), "no error");
  EXPECT_EQ(error("special_tokens_map.json", R"({"do_lower_case": false})"),
            "[tokenizer_config] '" + (folder_ / "special_tokens_map.json") +
                "' must hold tokens only, it has do_lower_case");
  // A hole less, and the next id is taken.
  std::ofstream(folder_ / "vocab.txt") << "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\na\nc\n";
  EXPECT_EQ(error("special_tokens_map.json", R"({"bos_token": "x"})"),
            "[vocabulary] the added token 'x' would get the id 8, which 'c' has");
}

}  // namespace
}  // namespace bertie
