// What the programs that time a BERT share: its input, and how much there is to compute.
#pragma once
#include <cstdint>
#include <span>

#include "bertie/autograd/array.h"
#include "bertie/autograd/random.h"
#include "bertie/models/bert_config.h"
#include "bertie/ops/packing.h"

namespace bertie {

// Sequences of these lengths, one after the other.
Packing packing_of(std::span<const int64_t> lengths);

// count random ids, none of them 0 ([PAD] by custom).    [count] i32
Array random_ids(Random& random, int64_t count, int64_t vocab_size);

// 2MNK, the floating-point operations of a matrix product.
double product_flops(int64_t m, int64_t n, int64_t k);

// Those of all products of one forward pass of the encoder, attention's included.
double encoder_flops(const BertConfig& config, const Packing& packing);

}  // namespace bertie
