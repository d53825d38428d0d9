// How much there is to compute: the floating-point operations of BERT's matrix products. What else is
// computed, and computed again in the backward pass, doesn't count.
#pragma once
#include <cstdint>
#include <span>

#include "bertie/models/bert_config.h"

namespace bertie {

// 2MNK, those of one product.
double product_flops(int64_t m, int64_t n, int64_t k);

// Those of one forward pass of the encoder, attention's included, over sequences that are tokens
// offsets[n] … offsets[n + 1] − 1 of the batch.
double encoder_flops(const BertConfig& config, std::span<const int64_t> offsets);

// Those of one training step of BertForMaskedLM, whose head runs on `scored` rows: a backward pass has two
// products of the same size for each forward one.
double mlm_training_flops(const BertConfig& config, std::span<const int64_t> offsets, int64_t scored);

}  // namespace bertie
