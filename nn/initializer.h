// Initial values of parameters.
#pragma once
#include "bertie/autograd/array.h"

namespace bertie {

// Elements are a function of (seed, stream, index), so they don't depend on the number of threads.
Array normal(const Shape& shape, double mean, double stddev, uint64_t seed, uint64_t stream, DType type);
Array uniform(const Shape& shape, double low, double high, uint64_t seed, uint64_t stream, DType type);

// Half the width of a uniform distribution for a weight [out, in]:
double xavier_bound(int64_t in, int64_t out);  // √(6 / (in + out)), Glorot & Bengio, 2010
double kaiming_bound(int64_t in);              // √(6 / in), for relu; He et al., 2015

// How a model starts. Modules ask it for their parameters one after the other.
class Initializer {
 public:
  // Weights and biases of a Linear uniform in ±1/√in, embeddings N(0, 1): what PyTorch does.
  static Initializer fan_in(uint64_t seed, DType type = DType::f32) { return {Kind::fan_in, 0, seed, type}; }
  // Weights uniform within xavier_bound() or kaiming_bound(), biases 0, embeddings N(0, 1).
  static Initializer xavier(uint64_t seed, DType type = DType::f32) { return {Kind::xavier, 0, seed, type}; }
  static Initializer kaiming(uint64_t seed, DType type = DType::f32) {
    return {Kind::kaiming, 0, seed, type};
  }
  // Weights and embeddings N(0, σ), biases 0: BERT's (Devlin et al., 2018, with σ = 0.02).
  static Initializer normal(double stddev, uint64_t seed, DType type = DType::f32) {
    return {Kind::normal, stddev, seed, type};
  }
  // For a model whose parameters come from a file: until they are replaced, weights and embeddings are zeros
  // that take no memory and can't be written to. Biases are 0, as everywhere.
  static Initializer unset(DType type = DType::f32) { return {Kind::unset, 0, 0, type}; }

  Array weight(const Shape& shape, int64_t in);  // [out, in]
  Array bias(const Shape& shape, int64_t in);
  Array embedding(const Shape& shape);
  Array constant(const Shape& shape, double value);
  DType dtype() const { return type_; }

 private:
  enum class Kind { fan_in, xavier, kaiming, normal, unset };
  Initializer(Kind kind, double stddev, uint64_t seed, DType type)
      : kind_(kind), stddev_(stddev), seed_(seed), type_(type) {}

  Kind kind_;
  double stddev_;
  uint64_t seed_;
  uint64_t stream_ = 0;  // one per parameter
  DType type_;
};

}  // namespace bertie
