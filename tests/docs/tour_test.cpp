// docs/tour.md ends with a BERT that is trained in one function: this one; and it begins with where things
// are.
#include <gtest/gtest.h>

#include <sstream>
#include <string_view>

#include "bertie/autograd/threads.h"
#include "bertie/data/files/mapped_file.h"
#include "bertie/data/tokenizer/wordpiece_trainer.h"
#include "bertie/models/mlm_evaluation.h"
#include "bertie/nn/training.h"

namespace bertie {
namespace {

// Pre-trains a tiny BERT on lines of text; the loss of each step.
std::vector<double> train_a_bert(const std::vector<std::string_view>& lines, int64_t steps) {
  Tokenizer tokenizer(train_wordpiece(count_words(lines, {}), {.size = 200}));
  const Vocabulary& vocabulary = tokenizer.vocabulary();
  Masking masking(ordinary_tokens(vocabulary), vocabulary.mask_id(), 1);
  MlmBatches batches(tokenize_lines(tokenizer, lines, 32), vocabulary, masking, 96, 1);

  BertConfig config = bert_preset("tiny");
  config.vocab_size = vocabulary.size();
  BertForMaskedLM model(config, Initializer::normal(config.initializer_range, 1));
  ParameterBlock parameters(model);
  AdamW optimizer(parameters, {.weight_decay = 0.01});
  TrainingOptions options{.steps = steps, .schedule = {.peak = 3e-3}};
  std::vector<double> losses;
  LossOfStep objective([&](int64_t step) {
    MaskedBatch batch = batches.batch(batches.shuffled_pass(step)[0], step);
    BertInput input = bert_input(batch.tokens, 1, static_cast<uint64_t>(step));
    return model.loss(model.logits(input, batch.scored_rows), batch.labels);
  });
  train(parameters, optimizer, options, objective, [&](const StepReport& report) {
    losses.push_back(report.loss);
    return true;
  });
  return losses;
}

TEST(DocsTour, TheBertLearns) {
  std::vector<std::string_view> lines;
  for (int i = 0; i < 8; ++i)
    for (std::string_view line : {"the cat sat on the mat", "the dog lay on the rug",
                                  "a bird sang in the tree", "the fish swam in the sea"})
      lines.push_back(line);
  int threads = thread_count();
  set_thread_count(1);  // steps this small only wait for each other; the losses are the same on any number
  std::vector<double> losses = train_a_bert(lines, 40);
  set_thread_count(threads);
  ASSERT_EQ(losses.size(), 40u);
  double first = 0, last = 0;
  for (size_t i = 0; i < 5; ++i) first += losses[i] / 5, last += losses[losses.size() - 1 - i] / 5;
  EXPECT_LT(last, 0.6 * first) << first;
}

// Each row of "Where is …?" names a file and what to look for in it.
TEST(DocsTour, WhatIsLookedForIsThere) {
  std::istringstream page(read_file(BERTIE_SOURCE_DIR "/docs/tour.md"));
  int questions = 0;
  for (std::string line; std::getline(page, line);) {
    if (!line.starts_with("| … ")) continue;
    size_t file = line.find("| [") + 3, name = line.rfind("| `") + 3;
    std::string path = line.substr(file, line.find(']', file) - file);
    std::string wanted = line.substr(name, line.find('`', name) - name);
    EXPECT_NE(line.find("](../" + path + ")"), std::string::npos) << line;
    EXPECT_NE(read_file(BERTIE_SOURCE_DIR "/" + path).find(wanted), std::string::npos)
        << path << ": " << wanted;
    ++questions;
  }
  EXPECT_EQ(questions, 27);
}

}  // namespace
}  // namespace bertie
