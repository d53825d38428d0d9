#include "bertie/models/bert_memory.h"

#include <gtest/gtest.h>

#include <cmath>

#include "bertie/autograd/memory.h"
#include "bertie/autograd/threads.h"
#include "bertie/data/batches/batch_parts.h"
#include "bertie/models/mlm_evaluation.h"
#include "bertie/models/objectives.h"
#include "bertie/nn/muon.h"
#include "bertie/nn/part_gradients.h"

namespace bertie {
namespace {

// A model, and a batch of sequences of these lengths with a scored token in every so many.
struct MemoryCase {
  const char* name;
  BertConfig config;
  std::vector<int64_t> lengths;
  int64_t scored_every = 7;
  int64_t parts = 1;
  const char* moment = nullptr;  // which is the largest
};

BertConfig config_of(int64_t V, int64_t H, int64_t L, int64_t A, int64_t I) {
  BertConfig config;
  config.vocab_size = V;
  config.hidden_size = H;
  config.num_hidden_layers = L;
  config.num_attention_heads = A;
  config.intermediate_size = I;
  return config;
}

BertConfig with(BertConfig config, const std::string& act, double dropout, bool tied = true) {
  config.hidden_act = act;
  config.hidden_dropout_prob = config.attention_probs_dropout_prob = dropout;
  config.tie_word_embeddings = tied;
  return config;
}

std::vector<int64_t> equal(int64_t count, int64_t length) { return std::vector<int64_t>(count, length); }

std::vector<int64_t> ragged(int64_t count) {
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < count; ++i) lengths.push_back(3 + i * i * 37 % 120);
  return lengths;
}

// Each of the moments is the largest in one of them.
std::vector<MemoryCase> cases() {
  BertConfig usual = config_of(600, 64, 3, 2, 256);
  const char* second = "backward through the feed-forward part's second product";
  return {
      {"usual", usual, equal(4, 64), 7, 1, second},
      {"without dropout", with(usual, "gelu", 0), equal(4, 64), 7, 1, "the last layer's feed-forward part"},
      {"ragged", usual, ragged(20)},
      {"one layer", config_of(300, 64, 1, 4, 256), equal(4, 64)},
      {"many words", config_of(3000, 32, 2, 2, 128), equal(4, 64), 7, 1, "the head"},
      {"many words, few of them scored", config_of(9000, 32, 2, 2, 128), equal(4, 64), 50, 1,
       "backward through the decoder"},
      {"all are scored", config_of(500, 64, 2, 4, 256), equal(2, 64), 1},
      {"a narrow feed-forward part", config_of(100, 96, 2, 3, 48), equal(4, 64), 7, 1,
       "the last layer's end"},
      {"one without dropout", with(config_of(100, 96, 2, 3, 48), "gelu", 0), equal(4, 64)},
      {"long sequences", with(config_of(100, 64, 1, 1, 16), "gelu", 0), equal(1, 512), 7, 1,
       "backward through attention"},
      {"relu", with(usual, "relu", 0.1), equal(4, 64)},
      {"tanh, many scored", with(config_of(200, 64, 1, 2, 64), "tanh", 0), equal(4, 64), 2},
      {"a decoder of its own", with(config_of(2000, 64, 2, 2, 256), "gelu", 0.1, false), equal(4, 64)},
      {"parts", usual, ragged(40), 7, 9},
      {"two parts, without dropout", with(usual, "gelu", 0), equal(8, 64), 7, 2},
      {"parts, many words", config_of(5000, 64, 2, 2, 256), ragged(40), 7, 9, "backward through the decoder"},
      {"parts, a decoder of its own", with(config_of(2000, 64, 2, 2, 256), "gelu", 0.1, false), ragged(40), 7,
       4},
      {"small parts, wide layers", config_of(50, 128, 2, 2, 400), equal(8, 16), 7, 8, second},
      {"small parts, a narrow feed-forward part", config_of(50, 128, 2, 2, 64), equal(8, 16), 7, 8,
       "backward through queries, keys and values"},
      {"few tokens", usual, equal(1, 5), 3},
      // In bf16 two layers of four keep what the activation takes, 32 MiB each; then none keeps 80 MiB.
      {"a long batch", config_of(100, 16, 4, 2, 8192), equal(8, 256)},
      {"a longer batch", config_of(100, 16, 2, 2, 8192), equal(20, 256)},
  };
}

MaskedBatch batch_of(const MemoryCase& c) {
  MaskedBatch batch;
  std::vector<int32_t> ids, labels, types, next;
  std::vector<int64_t> rows;
  batch.tokens.offsets = {0};
  for (int64_t length : c.lengths) {
    batch.tokens.sequences.push_back(static_cast<int64_t>(next.size()));
    next.push_back(static_cast<int32_t>(next.size() % 2));
    batch.tokens.offsets.push_back(batch.tokens.offsets.back() + length);
  }
  for (int64_t t = 0; t < batch.tokens.offsets.back(); ++t) {
    ids.push_back(static_cast<int32_t>(t * 31 % c.config.vocab_size));
    types.push_back(static_cast<int32_t>(t % 2));
    if (t % c.scored_every != 0) continue;
    rows.push_back(t);
    labels.push_back(ids.back());
  }
  batch.tokens.ids = Array::from(ids);
  batch.tokens.token_type_ids = Array::from(types);
  batch.scored_rows = Array::from(rows);
  batch.labels = Array::from(labels);
  batch.next_sentence_labels = Array::from(next);
  return batch;
}

BatchSize size_of(const MaskedBatch& batch) {
  BatchSize size{batch.tokens.tokens(), batch.labels.size(),
                 static_cast<int64_t>(batch.tokens.sequences.size()), 0};
  for (size_t n = 1; n < batch.tokens.offsets.size(); ++n)
    size.longest = std::max(size.longest, batch.tokens.offsets[n] - batch.tokens.offsets[n - 1]);
  return size;
}

struct OneBatch : BatchSource {
  explicit OneBatch(MaskedBatch batch) : masked(std::move(batch)) {}
  int64_t begin_pass(int64_t) override { return 1; }
  MaskedBatch batch(int64_t) const override { return masked; }
  MaskedBatch masked;
};

constexpr double tolerance = 0.03;

// How many threads have scratch memory at the same moment is chance: of one it isn't.
class OneThread {
 public:
  OneThread() { set_thread_count(1); }
  ~OneThread() { set_thread_count(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_ = thread_count();
};

// Of each: a step's predicted peak, and the one that the arrays had.
template <class Model>
void check_steps(Precision precision = Precision::of_parameters, bool muon = false) {
  OneThread guard;
  bool rounds = precision == Precision::bf16;
  constexpr bool next_sentence = std::is_same_v<Model, BertForPreTraining>;
  for (const MemoryCase& c : cases()) {
    SCOPED_TRACE(c.name);
    int64_t before = memory_counters().live_bytes;
    Model model(c.config, Initializer::normal(0.02, 1));
    model.train();
    model.set_precision(precision);
    ParameterBlock parameters(model);
    std::unique_ptr<Optimizer> optimizer;
    if (muon)
      optimizer = std::make_unique<Muon>(parameters, model.bert().encoder());
    else
      optimizer = std::make_unique<AdamW>(parameters, AdamOptions{});
    EXPECT_EQ(parameters.size(), pretraining_parameters(c.config, next_sentence));
    int64_t state = memory_counters().live_bytes - before;
    if (muon) state += 4 * encoder_matrix_parameters(c.config);
    EXPECT_NEAR(static_cast<double>(state), (rounds ? 18.0 : 16.0) * static_cast<double>(parameters.size()),
                4 * 64);

    OneBatch source(batch_of(c));
    PretrainingObjective objective(model, source, {.parts = c.parts});
    PartGradients gradients(parameters);
    int64_t parts = objective.begin_step(0);
    int64_t base = memory_counters().live_bytes;
    MemoryMoment predicted{"", 0};
    PartSums order{PartTree(parts)};
    for (int64_t part = 0; part < parts; ++part) {
      MemoryMoment peak = peak_of(training_moments(c.config, size_of(objective.parts()[part]),
                                                   {.next_sentence = next_sentence,
                                                    .in_parts = order.next(part).adds,
                                                    .threads = 1,
                                                    .precision = precision,
                                                    .muon = muon}));
      if (peak.bytes > predicted.bytes) predicted = peak;
    }
    for (int repeat = 0; repeat < 2; ++repeat) {  // the second time all memory for gradients is there
      reset_peak();
      gradients.begin(PartTree(parts));
      for (int64_t part = 0; part < parts; ++part) gradients.add(part, objective.loss(part));
      optimizer->step(1e-3);
    }
    int64_t more = (places_for(parts) - 1) * parameters.gradients().bytes();  // for gradients
    auto measured = static_cast<double>(memory_counters().peak_bytes - base - more);
    EXPECT_NEAR(static_cast<double>(predicted.bytes), measured, tolerance * measured) << predicted.name;
    if (c.moment && !next_sentence && !rounds && !muon) {
      EXPECT_EQ(predicted.name, c.moment);
    }
  }
}

TEST(BertMemory, OfAStep) { check_steps<BertForMaskedLM>(); }
TEST(BertMemory, OfAStepWithPairs) { check_steps<BertForPreTraining>(); }
TEST(BertMemory, OfAStepInBf16) { check_steps<BertForMaskedLM>(Precision::bf16); }
TEST(BertMemory, OfAStepWithPairsInBf16) { check_steps<BertForPreTraining>(Precision::bf16); }

TEST(BertMemory, OfAStepWithMuon) { check_steps<BertForMaskedLM>(Precision::of_parameters, true); }
TEST(BertMemory, OfAStepWithMuonInBf16) { check_steps<BertForMaskedLM>(Precision::bf16, true); }

void check_evaluation(Precision precision) {
  OneThread guard;
  for (const MemoryCase& c : cases()) {
    SCOPED_TRACE(c.name);
    BertForMaskedLM model(c.config, Initializer::normal(0.02, 1));
    model.eval();
    model.set_precision(precision);
    MaskedBatch batch = batch_of(c);
    batch.tokens.token_type_ids = {};
    evaluate(model, std::span(&batch, 1), 4);  // rounds the weights
    int64_t base = memory_counters().live_bytes;
    reset_peak();
    evaluate(model, std::span(&batch, 1), 4);
    auto measured = static_cast<double>(memory_counters().peak_bytes - base);
    MemoryMoment predicted = peak_of(evaluation_moments(c.config, size_of(batch), 1, precision));
    EXPECT_NEAR(static_cast<double>(predicted.bytes), measured, tolerance * measured) << predicted.name;
  }
}

TEST(BertMemory, OfAnEvaluation) { check_evaluation(Precision::of_parameters); }
TEST(BertMemory, OfAnEvaluationInBf16) { check_evaluation(Precision::bf16); }

}  // namespace
}  // namespace bertie
