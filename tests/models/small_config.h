// A BERT that is small enough for tests.
#pragma once
#include "bertie/models/bert_config.h"

namespace bertie {

inline BertConfig small_config(int64_t vocab_size) {
  BertConfig config;
  config.vocab_size = vocab_size;
  config.hidden_size = 32;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  config.intermediate_size = 64;
  config.max_position_embeddings = 16;
  return config;
}

}  // namespace bertie
