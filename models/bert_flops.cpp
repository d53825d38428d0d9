#include "bertie/models/bert_flops.h"

namespace bertie {

double product_flops(int64_t m, int64_t n, int64_t k) {
  return 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
}

double encoder_flops(const BertConfig& config, std::span<const int64_t> offsets) {
  int64_t T = offsets.back(), H = config.hidden_size;
  double layer =
      product_flops(T, 3 * H, H) + product_flops(T, H, H) + 2 * product_flops(T, config.intermediate_size, H);
  for (size_t n = 0; n + 1 < offsets.size(); ++n) {
    int64_t S = offsets[n + 1] - offsets[n];
    layer += 2 * product_flops(S, S, H);  // scores and context, all heads together
  }
  return static_cast<double>(config.num_hidden_layers) * layer;
}

double mlm_training_flops(const BertConfig& config, std::span<const int64_t> offsets, int64_t scored) {
  int64_t H = config.hidden_size;
  double head = product_flops(scored, H, H) + product_flops(scored, config.vocab_size, H);
  return 3 * (encoder_flops(config, offsets) + head);
}

}  // namespace bertie
