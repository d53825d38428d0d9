#include "tests/op_cases/op_case.h"

#include <cmath>
#include <utility>

#include "bertie/autograd/random.h"

namespace bertie {

const std::vector<OpCase>& op_cases() {
  static const std::vector<OpCase> table = [] {
    std::vector<OpCase> cases;
    add_elementwise_cases(cases);
    add_reduce_cases(cases);
    add_layout_cases(cases);
    add_matmul_cases(cases);
    add_softmax_cases(cases);
    add_layer_norm_cases(cases);
    add_dropout_cases(cases);
    add_embedding_cases(cases);
    add_attention_cases(cases);
    add_loss_cases(cases);
    return cases;
  }();
  return table;
}

std::vector<Array> make_inputs(const OpCase& op, const Sizes& sizes, DType type, uint64_t seed) {
  Random random(seed);
  std::vector<Array> arrays;
  for (const Input& input : op.inputs(sizes)) {
    Array values = Array::empty(input.shape, DType::f64);
    double* out = values.mutable_data<double>();
    std::vector<int64_t> places;  // of spaced values, in random order
    for (int64_t i = 0; i < values.size() && input.spaced; ++i) {
      places.push_back(i);
      std::swap(places[i], places[random.below(i + 1)]);
    }
    for (int64_t i = 0; i < values.size(); ++i) {
      auto draw = [&] {
        if (!input.spaced) return random.uniform();
        return (static_cast<double>(places[i]) + random.uniform() / 2) / static_cast<double>(values.size());
      };
      // Rounded to f32, so that the f32 and the f64 run start from the same numbers.
      do out[i] = static_cast<float>(input.low + (input.high - input.low) * draw());
      while (std::abs(out[i]) < input.away_from_zero);
    }
    arrays.push_back(type == DType::f64 ? values : values.cast(type));
  }
  return arrays;
}

}  // namespace bertie
