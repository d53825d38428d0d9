// What bert_pretrain begins with and trains on where it is given the same options, for another framework to
// do the same:
//   write_mlm_run --corpus FILE --preset mini --steps 1000 --batch-tokens 1024 … --output DIR
// DIR/start is the model directory before the first step. DIR/batches.safetensors has the batches of all
// steps, in their order, DIR/held_out.safetensors all of the held-out text once, masked by seed 0
// (tests/proofs/batch_tensors.h).
#include <CLI/CLI.hpp>

#include "apps/console/program.h"
#include "apps/pretrain_options.h"
#include "apps/pretraining_text.h"
#include "bertie/data/batches/batch_stream.h"
#include "bertie/data/batches/mlm_batches.h"
#include "bertie/models/bert_heads.h"
#include "bertie/models/pretrained.h"
#include "tests/proofs/batch_tensors.h"

using namespace bertie;

namespace {

void run(const PretrainOptions& o) {
  BERTIE_CHECK(o.steps && o.batch_tokens, "write_mlm_run", "needs --steps and --batch-tokens");
  BERTIE_CHECK(o.model.empty() && o.config.empty() && !o.next_sentence && !o.whole_words, "write_mlm_run",
               "knows a new model of a preset and masks of single tokens only");
  PretrainingTextReader reader(o);
  Tokenizer tokenizer = reader.new_tokenizer();
  PretrainingText text = reader.tokenize(tokenizer);
  const Vocabulary& vocabulary = tokenizer.vocabulary();
  BertConfig config = bert_preset(o.preset);
  config.vocab_size = vocabulary.size();
  if (o.dropout) config.hidden_dropout_prob = config.attention_probs_dropout_prob = *o.dropout;
  save_pretrained(BertForMaskedLM(config, Initializer::normal(config.initializer_range, o.seed)), tokenizer,
                  o.output + "/start");

  auto batches = [&](const TokenizedLines& lines, int64_t seed) {
    Masking masking(text.scorable, vocabulary.mask_id(), seed, {o.mask_probability, {}});
    return MlmBatches(lines, vocabulary, std::move(masking), *o.batch_tokens, seed);
  };
  MlmBatches training = batches(text.training, o.seed);
  BatchStream stream(training);
  std::vector<NamedArray> tensors;
  for (int64_t step = 0; step < *o.steps; ++step) add_batch(tensors, std::to_string(step), stream.next());
  write_safetensors(o.output + "/batches.safetensors", tensors);

  MlmBatches held_out = batches(text.held_out, 0);
  BatchPlan plan = held_out.ordered_pass();
  tensors.clear();
  for (int64_t b = 0; b < plan.size(); ++b) add_batch(tensors, std::to_string(b), held_out.batch(plan[b], 0));
  write_safetensors(o.output + "/held_out.safetensors", tensors);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Writes what bert_pretrain begins with and trains on where it is given the same options.",
               "write_mlm_run"};
  PretrainOptions options;
  declare_pretrain_options(app, options);
  return run_program(app, argc, argv, [&] { run(options); });
}
