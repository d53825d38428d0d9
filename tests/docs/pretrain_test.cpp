// docs/pretrain.md: its options, defaults, lines of output and sizes are those of the program and
// the models.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>
#include <string_view>

#include "bertie/data/files/mapped_file.h"
#include "bertie/models/bert_heads.h"

namespace bertie {
namespace {

std::string text_of(const std::string& path) {
  return read_file(std::string(BERTIE_SOURCE_DIR) + "/" + path);
}

std::string page() { return text_of("docs/pretrain.md"); }

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// The names that follow `--` in a text, without it.
std::set<std::string> options_in(const std::string& text) {
  std::set<std::string> names;
  for (size_t at = 0; (at = text.find("--", at)) != std::string::npos;) {
    size_t begin = at += 2;
    while (at < text.size() && (std::islower(static_cast<unsigned char>(text[at])) || text[at] == '-')) ++at;
    if (at > begin && text[begin] != '-') names.insert(text.substr(begin, at - begin));
  }
  return names;
}

TEST(DocsPretrain, OptionsAreTheProgramsAndAllAreThere) {
  std::string program = text_of("apps/pretrain_options.cpp") + text_of("apps/run/run_options.cpp") +
                        text_of("apps/training_text.cpp") + text_of("apps/console/program.cpp"),
              text = page();
  std::string others =
      text_of("apps/bert_fill_mask.cpp") + text_of("apps/encoded_text.cpp") + text_of("bench/train_step.cpp");
  for (const std::string& name : options_in(text)) {
    bool there = name == "help" || name == "logdir" /* TensorBoard's */ ||
                 contains(program + others, "\"--" + name + "\"");
    EXPECT_TRUE(there) << "no program has --" << name;
  }
  int declared = 0;
  for (const std::string& name : options_in(program)) {
    if (!contains(program, "\"--" + name + "\"")) continue;
    EXPECT_TRUE(contains(text, "`--" + name)) << "the page doesn't tell about --" << name;
    ++declared;
  }
  EXPECT_GT(declared, 15);
}

// Weights of the layers, and of everything.
struct Sizes {
  int64_t layers, all;
};
Sizes sizes_of(const BertConfig& c) {
  int64_t H = c.hidden_size, V = c.vocab_size;
  int64_t layers = c.num_hidden_layers * (12 * H * H + 13 * H);
  return {layers, layers + (V + 512 + 2) * H + 2 * H + H * H + 3 * H + V};
}

std::string in_millions(double x) { return fmt::format("{:.2f} M", x / 1e6); }

TEST(DocsPretrain, PresetsAndTheirDefaults) {
  struct Row {
    const char *preset, *rate;
    int64_t steps, batch_tokens;
  };
  std::string text = page(), program = text_of("apps/pretrain_options.cpp");
  for (const Row& row :
       {Row{"tiny", "2e-3", 3000, 2048}, Row{"mini", "1e-3", 1500, 2048}, Row{"small", "1e-3", 4000, 4096},
        Row{"medium", "6e-4", 10000, 4096}, Row{"base", "2e-4", 30000, 8192}}) {
    EXPECT_TRUE(contains(
        program, fmt::format("{{\"{}\", {}, {}, {}}}", row.preset, row.steps, row.batch_tokens, row.rate)))
        << row.preset;
    BertConfig config = bert_preset(row.preset);
    config.vocab_size = 8192;
    Sizes sizes = sizes_of(config);
    auto tokens = static_cast<double>(row.steps * row.batch_tokens);
    std::string line = fmt::format(
        "| {} | {} / {} | {} | {} | {} × {} | {} | {} | {} … {} |", row.preset, config.num_hidden_layers,
        config.hidden_size, in_millions(static_cast<double>(sizes.layers)),
        in_millions(static_cast<double>(sizes.all)), row.steps, row.batch_tokens, row.rate,
        in_millions(tokens), in_millions(tokens / 40), in_millions(tokens / 4));
    EXPECT_TRUE(contains(text, line + "\n")) << line;
  }
}

// The formula of the page against models.
TEST(DocsPretrain, SizesAreThoseOfTheModels) {
  for (const char* preset : {"tiny", "mini"}) {
    BertConfig config = bert_preset(preset);
    config.vocab_size = 300;
    BertForMaskedLM model(config, Initializer::unset());
    Sizes found{0, 0};
    for (const Parameter& parameter : model.parameters()) {
      int64_t size = parameter.tensor.array().size();
      found.all += size;
      if (parameter.names[0].starts_with("bert.encoder.")) found.layers += size;
    }
    EXPECT_EQ(found.layers, sizes_of(config).layers);
    EXPECT_EQ(found.all, sizes_of(config).all);
  }
}

TEST(DocsPretrain, LinesOfOutputAreTheProgramsWords) {
  std::string program = text_of("apps/held_out_report.cpp"), text = page();
  for (const char* words : {"Scored of the held-out text: ", "Held-out text after step ",
                            "  where [MASK] hides the word: loss ", "with the context of another line: "}) {
    EXPECT_TRUE(contains(program, words)) << words;
    EXPECT_TRUE(contains(text, words)) << words;
  }
  for (const char* key : {"step", "held_out", "unigram", "foreign_context", "foreign_context_unigram",
                          "language", "loss", "accuracy", "scored", "hidden_loss", "hidden"}) {
    EXPECT_TRUE(contains(program, "\"" + std::string(key) + "\"")) << key;
    EXPECT_TRUE(contains(text, "`" + std::string(key) + "`")) << key;
  }
  std::string bench = text_of("bench/train_step.cpp");
  for (const char* key : {"tokens_per_second", "peak_rss_bytes"}) {
    EXPECT_TRUE(contains(bench, "\"" + std::string(key) + "\"")) << key;
    EXPECT_TRUE(contains(text, "`" + std::string(key) + "`")) << key;
  }
}

}  // namespace
}  // namespace bertie
