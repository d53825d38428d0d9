#include "bertie/nn/initializer.h"

#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "bertie/autograd/random.h"
#include "bertie/autograd/threads.h"

namespace bertie {
namespace {

// Fills an array with make(w) for four random words per pair of elements: make returns two numbers.
template <class Make>
Array fill(const Shape& shape, uint64_t seed, uint64_t stream, DType type, Make make) {
  Array array = Array::empty(shape, type);
  uint64_t key = mix(seed, stream);
  dispatch_compute("initializer", type, [&](auto zero) {
    using T = decltype(zero);
    T* out = array.mutable_data<T>();
    int64_t n = array.size();
    parallel_ranges((n + 1) / 2, 1 << 14, [&](int64_t begin, int64_t end) {
      for (int64_t pair = begin; pair < end; ++pair) {
        auto words = philox(key, {static_cast<uint32_t>(pair), static_cast<uint32_t>(pair >> 32), 0, 0});
        auto unit = [&](int i) {
          return (static_cast<double>(words[i]) + words[i + 1] * 0x1p-32 + 0x1p-33) * 0x1p-32;
        };
        auto [first, second] = make(unit(0), unit(2));  // both in (0, 1)
        out[2 * pair] = static_cast<T>(first);
        if (2 * pair + 1 < n) out[2 * pair + 1] = static_cast<T>(second);
      }
    });
  });
  return array;
}

// Zeros that take address space but no memory, as long as nobody writes.
Array untouched(const Shape& shape, DType type) {
  auto bytes = static_cast<size_t>(std::max<int64_t>(1, shape.size() * element_size(type)));
  const void* data = mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  BERTIE_CHECK(data != MAP_FAILED, "initializer", "the system has no {} bytes more", bytes);
  std::shared_ptr<const void> owner(data, [bytes](const void* p) { munmap(const_cast<void*>(p), bytes); });
  return Array::wrap(data, shape, type, std::move(owner));
}

}  // namespace

Array normal(const Shape& shape, double mean, double stddev, uint64_t seed, uint64_t stream, DType type) {
  BERTIE_CHECK(stddev >= 0, "normal", "the standard deviation can't be negative: {}", stddev);
  return fill(shape, seed, stream, type, [=](double u, double v) {  // Box and Muller, 1958
    double radius = stddev * std::sqrt(-2 * std::log(u));
    return std::pair(mean + radius * std::cos(2 * M_PI * v), mean + radius * std::sin(2 * M_PI * v));
  });
}

Array uniform(const Shape& shape, double low, double high, uint64_t seed, uint64_t stream, DType type) {
  BERTIE_CHECK(low <= high, "uniform", "needs low ≤ high, got {} and {}", low, high);
  return fill(shape, seed, stream, type,
              [=](double u, double v) { return std::pair(low + (high - low) * u, low + (high - low) * v); });
}

double xavier_bound(int64_t in, int64_t out) { return std::sqrt(6.0 / static_cast<double>(in + out)); }
double kaiming_bound(int64_t in) { return std::sqrt(6.0 / static_cast<double>(std::max<int64_t>(in, 1))); }

Array Initializer::weight(const Shape& shape, int64_t in) {
  if (kind_ == Kind::unset) return untouched(shape, type_);
  if (kind_ == Kind::normal) return bertie::normal(shape, 0, stddev_, seed_, stream_++, type_);
  if (kind_ != Kind::xavier && kind_ != Kind::kaiming) return bias(shape, in);
  double bound = kind_ == Kind::xavier ? xavier_bound(in, shape[0]) : kaiming_bound(in);
  return uniform(shape, -bound, bound, seed_, stream_++, type_);
}

Array Initializer::bias(const Shape& shape, int64_t in) {
  if (kind_ != Kind::fan_in) return constant(shape, 0);
  double bound = 1 / std::sqrt(static_cast<double>(std::max<int64_t>(in, 1)));
  return uniform(shape, -bound, bound, seed_, stream_++, type_);
}

Array Initializer::embedding(const Shape& shape) {
  if (kind_ == Kind::unset) return untouched(shape, type_);
  return bertie::normal(shape, 0, kind_ == Kind::normal ? stddev_ : 1, seed_, stream_++, type_);
}

Array Initializer::constant(const Shape& shape, double value) {
  return value == 0 ? Array::zeros(shape, type_) : Array::full(shape, value, type_);
}

}  // namespace bertie
