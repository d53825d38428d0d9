// Writes the start and the batches of tests/models/pretraining_run.h into a folder, for PyTorch to train on,
// and prints bertie's own losses in f64:
//   build/release/tests/pretraining_batches tests/models/reference/pretraining &&
//   $(scripts/python_env.sh) tests/models/reference/make_pretraining_reference.py
// Batch b is b.ids i32 [T], b.token_type_ids i32 [T], b.offsets i64 [N+1], b.scored_rows i64 [M], b.labels
// i32 [M] and b.next_sentence_labels i32 [N] of batches.safetensors.
#include <cstdio>

#include "bertie/data/files/safetensors.h"
#include "bertie/models/pretrained.h"
#include "tests/models/pretraining_run.h"

using namespace bertie;

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: pretraining_batches FOLDER\n", stderr);
    return 2;
  }
  std::string folder = argv[1];
  BertConfig config = PretrainingRun::config();
  save_pretrained(BertForPreTraining(config, Initializer::normal(0.15, 6)),
                  Tokenizer(PretrainingRun::vocabulary()), folder);

  Vocabulary words = PretrainingRun::vocabulary();
  PairBatches source = PretrainingRun::batches(words);
  BatchStream stream(source);
  std::vector<NamedArray> tensors;
  for (int64_t step = 0; step < PretrainingRun::steps; ++step) {
    MaskedBatch batch = stream.next();
    std::string prefix = fmt::format("{}.", step);
    tensors.push_back({prefix + "ids", batch.tokens.ids});
    tensors.push_back({prefix + "token_type_ids", batch.tokens.token_type_ids});
    tensors.push_back({prefix + "offsets", Array::from(batch.tokens.offsets)});
    tensors.push_back({prefix + "scored_rows", batch.scored_rows});
    tensors.push_back({prefix + "labels", batch.labels});
    tensors.push_back({prefix + "next_sentence_labels", batch.next_sentence_labels});
  }
  write_safetensors(folder + "/batches.safetensors", tensors);

  PretrainedOptions f64;
  f64.type = DType::f64;
  auto start = load_pretrained<BertForPreTraining>(folder, f64);
  start.model->train();
  for (const PretrainingSums& sums : PretrainingRun::train_model(*start.model))
    std::printf("mlm %.12f  nsp %.12f\n", sums.mlm_loss / static_cast<double>(sums.scored),
                sums.nsp_loss / static_cast<double>(sums.pairs));
}
