#include "bench/bert_work.h"

namespace bertie {

Packing packing_of(std::span<const int64_t> lengths) {
  Packing packing;
  for (int64_t length : lengths) packing.offsets.push_back(packing.tokens() + length);
  return packing;
}

Array random_ids(Random& random, int64_t count, int64_t vocab_size) {
  std::vector<int32_t> ids(count);
  for (int32_t& id : ids) id = static_cast<int32_t>(1 + random.below(vocab_size - 1));
  return Array::from(ids);
}

double product_flops(int64_t m, int64_t n, int64_t k) {
  return 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
}

double encoder_flops(const BertConfig& config, const Packing& packing) {
  int64_t T = packing.tokens(), H = config.hidden_size;
  double layer =
      product_flops(T, 3 * H, H) + product_flops(T, H, H) + 2 * product_flops(T, config.intermediate_size, H);
  for (int64_t n = 0; n < packing.sequences(); ++n) {
    int64_t S = packing.offsets[n + 1] - packing.offsets[n];
    layer += 2 * product_flops(S, S, H);  // scores and context, all heads together
  }
  return static_cast<double>(config.num_hidden_layers) * layer;
}

}  // namespace bertie
