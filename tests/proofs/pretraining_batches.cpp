// Writes the start and the batches of tests/models/pretraining_run.h into a folder, for PyTorch to train on,
// and prints bertie's own losses in f64:
//   build/release/tests/pretraining_batches tests/models/reference/pretraining &&
//   $(scripts/python_env.sh) tests/models/reference/make_pretraining_reference.py
// Batch b is b.ids, b.offsets, … of batches.safetensors (tests/proofs/batch_tensors.h).
#include <cstdio>

#include "bertie/models/pretrained.h"
#include "tests/models/pretraining_run.h"
#include "tests/proofs/batch_tensors.h"

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
  for (int64_t step = 0; step < PretrainingRun::muon_steps; ++step)
    add_batch(tensors, std::to_string(step), stream.next());
  write_safetensors(folder + "/batches.safetensors", tensors);

  PretrainedOptions f64;
  f64.type = DType::f64;
  for (bool muon : {false, true}) {
    auto start = load_pretrained<BertForPreTraining>(folder, f64);
    start.model->train();
    for (const auto& [sums, loss] : PretrainingRun::train_model(*start.model, nullptr, muon))
      std::printf("%s mlm %.12f  nsp %.12f\n", muon ? "muon" : "adamw",
                  sums.mlm_loss / static_cast<double>(sums.scored),
                  sums.nsp_loss / static_cast<double>(sums.pairs));
  }
}
