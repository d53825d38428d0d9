#include "bertie/ops/dropout.h"

#include <algorithm>
#include <cmath>

#include "bertie/autograd/random.h"
#include "bertie/autograd/threads.h"
#include "bertie/ops/kernels/dropout.h"

namespace bertie {
namespace {

template <class T>
void drop(const Array& x, Array& y, const Packing& packing, const DropoutMask& mask) {
  int64_t channels = 1;
  for (int axis = 1; axis < x.shape().rank(); ++axis) channels *= x.shape()[axis];
  uint64_t key = mask.key();
  uint32_t threshold = mask.threshold();
  auto factor = static_cast<Compute<T>>(1 / (1 - mask.rate));
  const T* in = x.data<T>();
  T* out = y.mutable_data<T>();
  parallel_ranges(x.shape()[0], 1 + (1 << 13) / (channels + 1), [&](int64_t begin, int64_t end) {
    auto after = std::upper_bound(packing.offsets.begin(), packing.offsets.end(), begin);
    for (int64_t t = begin; t < end; ++t) {
      while (*after <= t) ++after;
      int64_t sequence = after - packing.offsets.begin() - 1;
      dropout_kernels<T>().dropout_row(in + t * channels, out + t * channels, channels, key,
                                       static_cast<uint32_t>(t - packing.offsets[sequence]),
                                       static_cast<uint32_t>(packing.first_sequence + sequence), 0, threshold,
                                       factor);
    }
  });
}

}  // namespace

uint64_t DropoutMask::key() const { return mix(mix(seed, step), site); }

uint32_t DropoutMask::threshold() const {
  return static_cast<uint32_t>(std::min(std::round(rate * 0x1p32), 0x1p32 - 1));
}

void check_dropout(const char* op, const DropoutMask& mask) {
  BERTIE_CHECK(mask.rate >= 0 && mask.rate < 1, op, "the dropout rate must be in 0 … 1 (1 excluded), got {}",
               mask.rate);
}

Tensor dropout(const Tensor& x, const Packing& packing, const DropoutMask& mask) {
  BERTIE_CHECK(x && x.shape().rank() >= 1, "dropout", "x must be [T, …], got {}",
               x ? x.shape().str() : "no value");
  check_packing("dropout", packing, x.shape()[0]);
  check_dropout("dropout", mask);
  if (mask.rate == 0) return x;
  return dispatch("dropout", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    Array y = Array::empty(x.shape(), x.dtype());
    drop<T>(x.array(), y, packing, mask);
    return record("dropout", y, {x}, [packing, mask](Array dy, const Needs&) -> Gradients {
      Array dx = dy.unique() ? dy : Array::empty(dy.shape(), dy.dtype());
      drop<T>(dy, dx, packing, mask);
      return {dx};
    });
  });
}

}  // namespace bertie
