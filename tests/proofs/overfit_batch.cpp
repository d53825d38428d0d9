// BERT-base, one batch of 8 × 128 real tokens, Adam at 1e-4 without dropout, 60 steps: does it learn the
// batch by heart? Writes start (a model directory), batch.safetensors and losses.json into a folder, for
// tests/proofs/compare_overfit.py, which repeats it with PyTorch.
//   overfit_batch VOCAB CORPUS FOLDER [STEPS]
#include <cstdio>
#include <nlohmann/json.hpp>

#include "bertie/data/batches/corpus.h"
#include "bertie/data/batches/masking.h"
#include "bertie/data/files/atomic_file.h"
#include "bertie/data/files/safetensors.h"
#include "bertie/models/mlm_evaluation.h"
#include "bertie/models/pretrained.h"
#include "bertie/nn/training.h"

using namespace bertie;

namespace {

// The first 8 × 126 tokens of the text, cut into sequences without regard to lines.
MaskedBatch first_batch(const Tokenizer& tokenizer, const Corpus& corpus) {
  constexpr int64_t sequences = 8, length = 126;  // [CLS] and [SEP] make 128
  TokenVectors lines;
  for (std::string_view line : corpus.lines) {
    if (static_cast<int64_t>(lines.ids.size()) >= sequences * length) break;
    tokenizer.append_ids(line, lines.ids);
  }
  BERTIE_CHECK(static_cast<int64_t>(lines.ids.size()) >= sequences * length, "overfit_batch",
               "needs {} tokens, the text has {}", sequences * length, lines.ids.size());
  lines.ids.resize(sequences * length);
  std::vector<int64_t> all;
  for (int64_t n = 0; n < sequences; ++n) {
    lines.offsets.push_back((n + 1) * length);
    all.push_back(n);
  }
  const Vocabulary& vocabulary = tokenizer.vocabulary();
  return Masking(ordinary_tokens(vocabulary), vocabulary.mask_id(), 1)
      .mask(make_batch(TokenizedLines(std::move(lines)), all, vocabulary), 0);
}

void run(const std::string& vocab, const std::string& corpus, const std::string& folder, int64_t steps) {
  Tokenizer tokenizer(Vocabulary::read(vocab));
  MaskedBatch batch = first_batch(tokenizer, read_corpus({corpus}));
  BertConfig config = bert_preset("base");
  config.vocab_size = tokenizer.vocabulary().size();
  config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0;
  BertForMaskedLM model(config, Initializer::normal(config.initializer_range, 1));
  save_pretrained(model, tokenizer, folder + "/start");
  write_safetensors(folder + "/batch.safetensors", {{"ids", batch.tokens.ids},
                                                    {"offsets", Array::from(batch.tokens.offsets)},
                                                    {"scored_rows", batch.scored_rows},
                                                    {"labels", batch.labels}});
  ParameterBlock parameters(model);
  Adam optimizer(parameters);
  TrainingOptions options;
  options.steps = steps;
  options.schedule = {1e-4, 0, Schedule::Decay::constant};
  options.max_gradient_norm = 0;
  std::vector<double> losses;
  LossOfStep objective([&](int64_t) {
    return model.loss(model.logits(bert_input(batch.tokens), batch.scored_rows), batch.labels);
  });
  train(parameters, optimizer, options, objective, [&](const StepReport& report) {
    losses.push_back(report.loss);
    std::fprintf(stderr, "step %lld  loss %.5f\n", static_cast<long long>(report.step), report.loss);
    return true;
  });
  write_file_atomically(folder + "/losses.json", nlohmann::json{{"losses", losses}}.dump() + "\n");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4 || argc > 5) {
    std::fprintf(stderr, "usage: overfit_batch VOCAB CORPUS FOLDER [STEPS]\n");
    return 2;
  }
  try {
    run(argv[1], argv[2], argv[3], argc > 4 ? std::stoll(argv[4]) : 60);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "overfit_batch: %s\n", error.what());
    return 1;
  }
  return 0;
}
