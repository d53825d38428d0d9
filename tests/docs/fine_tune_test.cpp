// docs/embed_in_your_program.md quotes a program, which learns what it is told.
#include <gtest/gtest.h>

#include <filesystem>

#include "bertie/data/files/mapped_file.h"
#include "bertie/data/tokenizer/wordpiece_trainer.h"
#include "bertie/models/bert_heads.h"
#include "bertie/models/pretrained.h"

#define main fine_tune
#include "docs/fine_tune.cpp"
#undef main

namespace bertie {
namespace {

std::string text_of(const std::string& path) {
  return read_file(std::string(BERTIE_SOURCE_DIR) + "/" + path);
}

TEST(DocsFineTune, ThePageHasTheProgram) {
  std::string page = text_of("docs/embed_in_your_program.md"), program = text_of("docs/fine_tune.cpp");
  EXPECT_NE(page.find("```cpp\n" + program + "```"), std::string::npos);
  EXPECT_LE(std::count(program.begin(), program.end(), '\n'), 60);
}

TEST(DocsFineTune, LearnsPredictsAndSaves) {
  std::string folder = testing::TempDir() + "/fine_tune", from = folder + "/from", to = folder + "/to";
  std::filesystem::remove_all(folder);
  std::vector<std::string_view> lines{"I love like fear hate this dog cat horse bird lion snake ."};
  Tokenizer tokenizer(train_wordpiece(count_words(lines, {}), {.size = 200}));
  BertConfig config = bert_preset("tiny");
  config.vocab_size = tokenizer.vocabulary().size();
  config.max_position_embeddings = 32;
  save_pretrained(BertForMaskedLM(config, Initializer::normal(0.02, 1)), tokenizer, from);

  std::string program = "fine_tune";
  char* arguments[] = {program.data(), from.data(), to.data()};
  testing::internal::CaptureStdout();
  EXPECT_EQ(fine_tune(3, arguments), 0);
  std::string printed = testing::internal::GetCapturedStdout();
  EXPECT_NE(printed.find("\nI love this lion. good ("), std::string::npos) << printed;
  EXPECT_NE(printed.find("\nI hate this snake. bad ("), std::string::npos) << printed;

  Pretrained<BertForSequenceClassification> saved = load_pretrained<BertForSequenceClassification>(to);
  EXPECT_EQ(saved.model->config().labels, (std::vector<std::string>{"bad", "good"}));
  EXPECT_EQ(saved.model->config().problem_type, "single_label_classification");

  EXPECT_EQ(fine_tune(2, arguments), 2);
  arguments[1] = to.data() + to.size();  // no such directory
  EXPECT_EQ(fine_tune(3, arguments), 1);
}

}  // namespace
}  // namespace bertie
