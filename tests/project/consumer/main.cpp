// A header of every folder, and something of every library.
#include <cstdio>

#include <bertie/autograd/threads.h>
#include <bertie/data/tokenizer/vocabulary.h>
#include <bertie/models/bert_heads.h>
#include <bertie/models/pretrained.h>
#include <bertie/nn/training.h>
#include <bertie/ops/gemm.h>

int main() {
  using namespace bertie;
  BertConfig config = bert_preset("tiny");
  config.vocab_size = 10;
  BertForMaskedLM model(config, Initializer::normal(0.02, 1));
  model.eval();
  NoGrad no_grad;
  BertInput input{Array::from(std::vector<int32_t>{2, 4, 5, 3}), Array(), {}};
  input.pass.packing.offsets = {0, 4};
  Array logits = model.logits(input, Array::from(std::vector<int64_t>{1, 2})).array();
  try {
    load_pretrained<BertForMaskedLM>("no/such/folder");
  } catch (const Error&) {
    std::printf("logits %d x %d\n", static_cast<int>(logits.shape()[0]), static_cast<int>(logits.shape()[1]));
  }
  return 0;
}
