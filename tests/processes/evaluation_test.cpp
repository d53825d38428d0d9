// Several processes come to the scores of one, bit for bit: each also computes them alone, and compares.
#include <gtest/gtest.h>

#include "apps/held_out_report.h"
#include "bertie/data/language/language.h"
#include "bertie/models/mlm_evaluation.h"
#include "bertie/models/task_objective.h"
#include "tests/message_of.h"
#include "tests/models/finetuning_run.h"
#include "tests/processes/everyone.h"

namespace bertie {
namespace {

// Batches of few tokens, and a single one, which only one process computes.
TEST(EvaluationTogether, GivesTheLogitsOfOneProcess) {
  for (std::string task : {"classify", "tag", "answer"})
    for (DType type : {DType::f32, DType::f64})
      for (int64_t batch_tokens : {64, 100'000})
        FinetuningRun::with_model_of(task, [&]<class Model>(std::type_identity<Model>) {
          TaskSequences data = FinetuningRun::data(task);
          BertConfig config = FinetuningRun::config();
          FinetuningRun::configure(config, task);
          Model model(config, Initializer::normal(0.3, 5, type));
          model.eval();
          Array alone = predict_logits(model, data, batch_tokens);
          std::vector<int64_t> told;
          Array together = predict_logits(
              model, data, batch_tokens, [&](int64_t done) { told.push_back(done); }, &everyone());
          ASSERT_EQ(together.dtype(), type);
          ASSERT_EQ(together.shape(), alone.shape());
          EXPECT_EQ(together.cast(DType::f64).to_vector<double>(),
                    alone.cast(DType::f64).to_vector<double>());
          EXPECT_EQ(told.back(), data.size());
          EXPECT_EQ(told.size() == 1, batch_tokens == 100'000);
        });
}

// Lines of the default text in documents, of which the last has the first one's, so that each of these has
// another of its length.
class HeldOutText {
 public:
  HeldOutText() : vocabulary_(language_vocabulary()), tokenizer_(vocabulary_, {}) {
    TokenVectors tokens;
    Random random(61);
    std::vector<std::vector<int32_t>> lines;
    for (int64_t line = 0; line < 4; ++line) lines.push_back(language().draw(line / 2, random).words);
    for (int64_t line : {0, 1, 2, 3, 0, 1}) {
      for (int32_t word : lines[line]) tokens.ids.push_back(word + first_word_id);
      tokens.end_sequence();
      if (line % 2 == 1) tokens.end_document();
    }
    lines_ = TokenizedLines(std::move(tokens));
  }

  template <class Model>
  Model model() const {
    BertConfig config = small_config(vocabulary_.size());
    config.max_position_embeddings = 2 * language().longest() + 3;
    return Model(config, Initializer::normal(0.3, 5));
  }
  void make_batches(std::optional<MlmBatches>& batches, int64_t batch_tokens) const {
    batches.emplace(lines_, vocabulary_, masking(), batch_tokens, 63);
  }
  void make_batches(std::optional<PairBatches>& batches, int64_t batch_tokens) const {
    PairOptions pairs;
    pairs.max_length = 2 * language().longest() + 3;
    pairs.single_lines = true;
    batches.emplace(lines_, vocabulary_, masking(), pairs, batch_tokens, 63);
  }
  const TokenizedLines& lines() const { return lines_; }
  const Tokenizer& tokenizer() const { return tokenizer_; }
  std::vector<bool> scorable() const { return ordinary_tokens(vocabulary_); }

 private:
  Masking masking() const { return {scorable(), vocabulary_.mask_id(), 62}; }

  Vocabulary vocabulary_;
  Tokenizer tokenizer_;
  TokenizedLines lines_;
};

// The records of a report at the end, and before.
template <class Model>
std::string records_of(const HeldOutText& text, Model& model, bool is_language, int64_t part_tokens,
                       Processes* processes) {
  std::optional<typename HeldOutReport<Model>::Batches> batches;
  text.make_batches(batches, 50);
  HeldOutReport<Model> report(text.lines(), text.lines(), *batches, text.scorable(), text.tokenizer(),
                              is_language, part_tokens, processes);
  std::string records = report.run(model, 0, false).dump();
  return records + report.run(model, 0, true).dump();
}

template <class Model>
void expect_same_records(bool is_language) {
  HeldOutText text;
  auto model = text.model<Model>();
  std::string alone;
  everyone().let_each([&] { alone = records_of(text, model, is_language, 30, nullptr); });
  EXPECT_NE(alone.find(is_language ? "language" : "foreign_context"), std::string::npos);
  EXPECT_EQ(records_of(text, model, is_language, 30, &everyone()), alone);
}

TEST(EvaluationTogether, ReportsOfHeldOutTextWhatOneProcessDoes) {
  expect_same_records<BertForMaskedLM>(false);
  expect_same_records<BertForMaskedLM>(true);
  expect_same_records<BertForPreTraining>(true);
}

}  // namespace
}  // namespace bertie
