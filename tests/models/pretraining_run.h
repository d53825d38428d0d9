// Steps of MLM + NSP that PyTorch repeats on the very same batches, twenty with AdamW and thirty with Muon:
// the pairs and masks of a small text, a small BERT without dropout, warm-up, clipping.
// tests/proofs/pretraining_batches.cpp writes them, tests/models/reference/make_pretraining_reference.py
// trains on them.
#pragma once
#include <string>
#include <vector>

#include "bertie/data/batches/sentence_pairs.h"
#include "bertie/models/objectives.h"
#include "bertie/nn/muon.h"
#include "bertie/nn/training.h"
#include "tests/models/small_config.h"

namespace bertie {

struct PretrainingRun {
  static constexpr int64_t steps = 20, muon_steps = 30, max_length = 40, batch_tokens = 256;

  static Vocabulary vocabulary() {
    std::vector<std::string> tokens{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    for (int i = 0; i < 40; ++i) tokens.push_back("w" + std::to_string(i));
    for (int i = 0; i < 20; ++i) tokens.push_back("##p" + std::to_string(i));
    return Vocabulary(tokens);
  }

  static BertConfig config() {
    BertConfig config = small_config(vocabulary().size());
    config.max_position_embeddings = max_length;
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0;
    return config;
  }

  // 40 documents of 2 to 9 lines of 1 to 8 words. Each document has ten words of its own.
  static TokenizedLines text() {
    TokenVectors lines;
    uint64_t state = 1;
    auto below = [&](uint64_t bound) {
      state = state * 6364136223846793005 + 1442695040888963407;
      return static_cast<int32_t>((state >> 33) % bound);
    };
    for (int d = 0; d < 40; ++d) {
      for (int l = below(8) + 1; l >= 0; --l) {
        for (int w = below(8); w >= 0; --w) {
          lines.ids.push_back(below(20) == 0 ? 1 : 5 + 10 * (d % 4) + below(10));
          for (int p = below(3); p > 0; --p) lines.ids.push_back(45 + below(20));
        }
        lines.end_sequence();
      }
      lines.end_document();
    }
    return TokenizedLines(std::move(lines));
  }

  // With `words`, which must outlive them.
  static PairBatches batches(const Vocabulary& words) {
    Masking masking(ordinary_tokens(words), words.mask_id(), 6,
                    {MaskingOptions::usual_probability, continuing_tokens(words)});
    return PairBatches(text(), words, masking, {.max_length = max_length}, batch_tokens, 6);
  }

  struct Step {
    PretrainingSums sums;  // of this process's parts
    double loss;           // of all
  };

  // The batches in four parts, which `processes` share.
  static std::vector<Step> train_model(BertForPreTraining& model, Processes* processes = nullptr,
                                       bool muon = false) {
    Vocabulary words = vocabulary();
    PairBatches source = batches(words);
    PretrainingObjective objective(model, source, {.seed = 6, .parts = 4});
    ParameterBlock parameters(model);
    AdamOptions adam;
    adam.weight_decay = 0.01;
    std::unique_ptr<Optimizer> optimizer;
    if (muon)
      optimizer = std::make_unique<Muon>(parameters, model.bert().encoder(),
                                         MuonOptions{.momentum = 0.95,
                                                     .orthogonalization = five_iterations,
                                                     .products = DType::f32,
                                                     .step_size = 0.2,
                                                     .rest = adam},
                                         processes ? *processes : this_process());
    else
      optimizer = std::make_unique<AdamW>(parameters, adam);
    TrainingOptions options;
    options.steps = muon ? muon_steps : steps;
    options.schedule = {5e-3, 5.0 / static_cast<double>(options.steps), Schedule::Decay::linear};
    options.processes = processes;
    std::vector<Step> done;
    train(parameters, *optimizer, options, objective, [&](const StepReport& step) {
      BERTIE_CHECK(step.parts == 4, "pretraining_run", "a step must have 4 parts, got {}", step.parts);
      done.push_back({objective.sums(), step.loss});
      return true;
    });
    return done;
  }
};

}  // namespace bertie
