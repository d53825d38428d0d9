#include "bertie/models/objectives.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "bertie/autograd/backward.h"
#include "bertie/data/batches/batch_parts.h"
#include "bertie/data/batches/mlm_batches.h"
#include "bertie/data/batches/sentence_pairs.h"
#include "bertie/nn/part_gradients.h"
#include "tests/largest.h"
#include "tests/message_of.h"
#include "tests/models/small_config.h"

namespace bertie {
namespace {

const Vocabulary& word_list() {
  static const Vocabulary instance = [] {
    std::vector<std::string> tokens{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    for (int i = 0; i < 60; ++i) tokens.push_back("w" + std::to_string(i));
    return Vocabulary(tokens);
  }();
  return instance;
}

// Documents of 1, 2 and 9 lines of 1 to 12 words in turn; every fourth word is unknown.
struct Text {
  Text() {
    TokenVectors vectors;
    for (int i = 0; i < 150; ++i) {
      for (int j = 0; j < 1 + i * 7 % 12; ++j) vectors.ids.push_back(j % 4 == 3 ? 1 : 5 + (i * i + j) % 60);
      vectors.end_sequence();
      if (i % 12 == 0 || i % 12 == 2 || i % 12 == 11) vectors.end_document();
    }
    lines = TokenizedLines(std::move(vectors));
  }
  PairBatches pairs() const { return PairBatches(lines, word_list(), masking, {.max_length = 64}, 300, 3); }
  MlmBatches mlm() const { return MlmBatches(lines, word_list(), masking, 150, 3); }
  TokenizedLines lines;
  Masking masking{ordinary_tokens(word_list()), word_list().mask_id(), 3};
};

BertConfig config() {
  BertConfig config = small_config(word_list().size());
  config.max_position_embeddings = 64;
  EXPECT_GT(config.hidden_dropout_prob, 0);
  EXPECT_GT(config.attention_probs_dropout_prob, 0);
  return config;
}

// The gradients of all parameters after step `step`.
std::vector<double> gradients_of(ParameterBlock& parameters, PretrainingObjective& objective, int64_t step,
                                 int64_t* parts = nullptr) {
  int64_t count = objective.begin_step(step);
  if (parts) *parts = count;
  PartGradients gradients(parameters);
  gradients.begin(PartTree(count));
  for (int64_t part = 0; part < count; ++part) gradients.add(part, objective.loss(part));
  parameters.check_reached("test");
  return parameters.gradients().cast(DType::f64).to_vector<double>();
}

// Any number of parts, dropout on, more than there are sequences, too, give the gradients and sums of one
// batch: what is dropped doesn't depend on them.
template <class Model, class Source>
void check_parts(const Source& make_source, DType type) {
  Model whole_model(config(), Initializer::normal(0.2, 5, type)),
      parts_model(config(), Initializer::normal(0.2, 5, type));
  ParameterBlock whole_block(whole_model), parts_block(parts_model);
  auto whole_source = make_source(), uneven = make_source();
  uneven.begin_pass(0);
  std::vector<int64_t> lengths;
  for (const MaskedBatch& part : split_batch(uneven.batch(0), 1)) lengths.push_back(part.tokens.tokens());
  auto [shortest, longest] = std::minmax_element(lengths.begin(), lengths.end());
  EXPECT_GE(*longest, 4 * *shortest);
  PretrainingObjective whole(whole_model, whole_source, {.seed = 9});
  std::vector<std::vector<double>> exact;
  std::vector<PretrainingSums> sums;
  for (int64_t step = 0; step < 2; ++step) {
    int64_t count = 0;
    exact.push_back(gradients_of(whole_block, whole, step, &count));
    EXPECT_EQ(count, 1);
    sums.push_back(whole.sums());
  }
  EXPECT_GT(largest_difference(exact[0], exact[1]), 1e-3 * largest(exact[0]));
  for (int64_t parts : {2, 3, 7, 100}) {
    auto source = make_source();
    PretrainingObjective objective(parts_model, source, {.seed = 9, .parts = parts});
    for (int64_t step = 0; step < 2; ++step) {
      int64_t count = 0;
      std::vector<double> gradients = gradients_of(parts_block, objective, step, &count);
      EXPECT_EQ(count, parts);
      double allowed = (type == DType::f64 ? 1e-12 : 1e-6) * largest(exact[step]);
      EXPECT_LE(largest_difference(gradients, exact[step]), allowed) << count << " parts";
      const PretrainingSums &own = objective.sums(), &one = sums[step];
      EXPECT_EQ(own.tokens, one.tokens);
      EXPECT_EQ(own.scored, one.scored);
      EXPECT_EQ(own.scored_right, one.scored_right);
      EXPECT_EQ(own.pairs, one.pairs);
      EXPECT_EQ(own.pairs_right, one.pairs_right);
      EXPECT_NEAR(own.mlm_loss, one.mlm_loss, 1e-5 * one.mlm_loss);
      EXPECT_NEAR(own.nsp_loss, one.nsp_loss, 1e-5 * one.nsp_loss);
    }
  }
}

TEST(PretrainingObjective, PartsEqualTheWholeBatch) {
  Text text;
  for (DType type : {DType::f64, DType::f32}) {
    check_parts<BertForPreTraining>([&] { return text.pairs(); }, type);
    check_parts<BertForMaskedLM>([&] { return text.mlm(); }, type);
  }
}

// One batch by hand, again and again.
class SameBatch : public BatchSource {
 public:
  explicit SameBatch(MaskedBatch batch) : batch_(std::move(batch)) {}
  int64_t begin_pass(int64_t) override { return 1; }
  MaskedBatch batch(int64_t) const override { return batch_; }

 private:
  MaskedBatch batch_;
};

MaskedBatch pairs_by_hand(const std::vector<std::vector<int32_t>>& sequences, std::vector<int64_t> rows,
                          std::vector<int32_t> labels, std::vector<int32_t> next) {
  MaskedBatch batch;
  std::vector<int32_t> ids;
  batch.tokens.offsets = {0};
  for (const auto& sequence : sequences) {
    ids.insert(ids.end(), sequence.begin(), sequence.end());
    batch.tokens.offsets.push_back(static_cast<int64_t>(ids.size()));
    batch.tokens.sequences.push_back(static_cast<int64_t>(batch.tokens.sequences.size()));
  }
  batch.tokens.ids = Array::from(ids);
  batch.scored_rows = Array::from(rows);
  batch.labels = Array::from(labels);
  if (!next.empty()) batch.next_sentence_labels = Array::from(next);
  return batch;
}

// A part without scored tokens has the loss 0 of them, no NaN; so has a whole step.
TEST(PretrainingObjective, PartsAndStepsWithoutScoredTokens) {
  for (DType type : {DType::f64, DType::f32}) {
    BertForPreTraining model(config(), Initializer::normal(0.2, 5, type));
    ParameterBlock parameters(model);
    SameBatch some(pairs_by_hand({{2, 4, 3, 9, 3}, {2, 1, 3, 1, 3}}, {1}, {7}, {0, 1}));
    PretrainingObjective objective(model, some, {.seed = 1, .parts = 2});
    ASSERT_EQ(objective.begin_step(0), 2);
    EXPECT_GT(objective.loss(0).item(), 0);
    double mlm = objective.sums().mlm_loss, nsp = objective.sums().nsp_loss;
    EXPECT_GT(mlm, 0);
    double second = objective.loss(1).item();
    EXPECT_NEAR(second, (objective.sums().nsp_loss - nsp) / 2, 1e-6);
    EXPECT_EQ(objective.sums().mlm_loss, mlm);
    EXPECT_EQ(objective.sums().scored, 1);
    EXPECT_EQ(objective.sums().pairs, 2);
    EXPECT_EQ(objective.sums().loss(), mlm + objective.sums().nsp_loss / 2);

    SameBatch none(pairs_by_hand({{2, 1, 3, 1, 3}}, {}, {}, {1}));
    PretrainingObjective nsp_alone(model, none, {});
    for (double gradient : gradients_of(parameters, nsp_alone, 0)) ASSERT_TRUE(std::isfinite(gradient));
    EXPECT_GT(parameters.gradient_norm(), 0);
    EXPECT_EQ(nsp_alone.sums().mlm_loss, 0);
    EXPECT_EQ(nsp_alone.sums().scored, 0);
    EXPECT_GT(nsp_alone.sums().loss(), 0);

    BertForMaskedLM masked_lm(config(), Initializer::normal(0.2, 5, type));
    ParameterBlock block(masked_lm);
    PretrainingObjective nothing(masked_lm, none, {});
    for (double gradient : gradients_of(block, nothing, 0)) ASSERT_EQ(gradient, 0);
    EXPECT_EQ(nothing.sums().loss(), 0);
    EXPECT_EQ(nothing.sums().pairs, 0);
  }
}

// What sums() says by its definition, from the model's own logits and loss.
TEST(PretrainingObjective, SumsAreThoseOfTheModel) {
  Text text;
  PairBatches source = text.pairs(), again = text.pairs();
  BertForPreTraining model(config(), Initializer::normal(0.5, 5, DType::f64));
  PretrainingObjective objective(model, source, {.seed = 4});
  again.begin_pass(0);
  for (int64_t step = 0; step < 2; ++step) {
    ASSERT_EQ(objective.begin_step(step), 1);
    EXPECT_EQ(objective.step_position(), (DataPosition{0, step}));
    double loss = objective.loss(0).item();
    MaskedBatch batch = again.batch(step);
    auto logits = model.logits(bert_input(batch.tokens, 4, step), batch.scored_rows);
    EXPECT_EQ(loss, model.loss(logits, batch.labels, batch.next_sentence_labels).item());
    int64_t right = 0, pairs_right = 0;
    double nsp = 0;
    for (int64_t m = 0; m < batch.labels.size(); ++m) {
      std::vector<double> row = logits.prediction_logits.array().rows(m, m + 1).to_vector<double>();
      right += std::max_element(row.begin(), row.end()) - row.begin() == batch.labels.item(m);
    }
    for (int64_t n = 0; n < batch.next_sentence_labels.size(); ++n) {
      std::vector<double> row = logits.seq_relationship_logits.array().rows(n, n + 1).to_vector<double>();
      auto label = static_cast<int64_t>(batch.next_sentence_labels.item(n));
      pairs_right += row[label] > row[1 - label];
      nsp += std::log1p(std::exp(row[1 - label] - row[label]));
    }
    const PretrainingSums& sums = objective.sums();
    EXPECT_EQ(sums.scored, batch.labels.size());
    EXPECT_EQ(sums.scored_right, right);
    EXPECT_EQ(sums.pairs, batch.next_sentence_labels.size());
    EXPECT_EQ(sums.pairs_right, pairs_right);
    EXPECT_NEAR(sums.nsp_loss, nsp, 1e-9 * nsp);
    EXPECT_NEAR(sums.loss(), loss, 1e-12 * loss);
    EXPECT_EQ(sums.tokens, batch.tokens.tokens());
  }
}

TEST(PretrainingObjective, ContinuesWhereItWasSaved) {
  Text text;
  PairBatches source = text.pairs();
  BertForPreTraining model(config(), Initializer::normal(0.2, 5));
  PretrainingObjective run(model, source, {.seed = 4});
  std::vector<std::string> states{run.state()};
  std::vector<double> losses;
  int64_t steps = source.begin_pass(0) + 3;
  for (int64_t step = 0; step < steps; ++step) {
    run.begin_step(step);
    losses.push_back(run.loss(0).item());
    states.push_back(run.state());
  }
  EXPECT_EQ(states[0], R"({"batch":0,"pass":0})");
  EXPECT_EQ(states.back(), R"({"batch":3,"pass":1})");
  PairBatches other_source = text.pairs();
  PretrainingObjective other(model, other_source, {.seed = 4});
  for (int64_t step = steps - 1; step >= 0; step -= 2) {
    other.restore(states[step]);
    EXPECT_EQ(other.state(), states[step]);
    other.begin_step(step);
    EXPECT_EQ(other.loss(0).item(), losses[step]);
    EXPECT_EQ(other.state(), states[step + 1]);
  }
  for (const char* bad : {"", "3", "{}", R"({"batch":-1,"pass":0})", R"({"batch":1.5,"pass":0})",
                          R"({"batch":18446744073709551615,"pass":0})"})
    EXPECT_EQ(message_of([&] { other.restore(bad); }),
              fmt::format("[pretrain] a place in the data must be like {{\"batch\":17,\"pass\":3}}, got '{}'",
                          bad));
}

TEST(PretrainingObjective, NamesItsData) {
  Text text;
  BertForMaskedLM model(config(), Initializer::normal(0.2, 5));
  std::vector<int32_t> sequence{2, 4, 3};
  SameBatch source(pairs_by_hand(std::vector(9, sequence), {1}, {7}, {}));
  PretrainingObjective objective(model, source, {.parts = 2});
  ASSERT_EQ(objective.begin_step(0), 2);
  EXPECT_EQ(objective.data_of(1), "batch 0 of pass 0, sequences 4, 5, 6, 7, …: 5 in all");
  objective.begin_step(1);
  EXPECT_EQ(objective.data_of(0), "batch 0 of pass 1, sequences 0, 1, 2, 3");
  PretrainingObjective many(model, source, {.parts = 30});
  ASSERT_EQ(many.begin_step(0), 30);
  EXPECT_EQ(many.data_of(0), "");
  EXPECT_FALSE(many.loss(0));
}

TEST(PretrainingObjective, Refusals) {
  Text text;
  MlmBatches mlm = text.mlm();
  BertForPreTraining model(config(), Initializer::normal(0.2, 5));
  PretrainingObjective objective(model, mlm, {});
  EXPECT_EQ(message_of([&] { objective.begin_step(0); }),
            "[pretrain] next-sentence prediction needs pairs of segments, the batches have none");
  BertForMaskedLM masked_lm(config(), Initializer::normal(0.2, 5));
  MlmBatches other = text.mlm();
  PretrainingObjective words(masked_lm, other, {.parts = 3});
  int64_t parts = words.begin_step(0);
  EXPECT_EQ(parts, 3);
  EXPECT_EQ(message_of([&] { words.loss(parts); }),
            fmt::format("[pretrain] the step has {0} parts, asked for number {0}", parts));
  EXPECT_NE(message_of([&] { words.loss(-1); }), "no error");
}

}  // namespace
}  // namespace bertie
