#include "bertie/ops/quantized_linear.h"

#include <algorithm>
#include <cstring>

#include "bertie/autograd/threads.h"
#include "bertie/ops/kernels/elementwise.h"
#include "bertie/ops/kernels/int8_product.h"
#include "bertie/ops/kernels/quantization.h"

namespace bertie {
namespace {

int64_t whole(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

// f(x), each row rounded.
struct ByteRows {
  int64_t stride;  // an odd number of cache lines, so that a tile's rows lie in different sets
  Array q;         // [rows, stride], zeros behind each row
  std::vector<ByteRow> rows;

  const uint8_t* row(int64_t i) const {
    return reinterpret_cast<const uint8_t*>(q.data<int8_t>()) + i * stride;
  }
};

ByteRows to_bytes(const float* x, int64_t rows, int64_t in, InputFunction f) {
  const QuantizationKernels& kernels = quantization_kernels();
  const ElementwiseKernels<float>& functions = elementwise_kernels<float>();
  constexpr int64_t tile_rows = 16, least_work = 1 << 14;
  ByteRows result{(whole(in, int8_depth) / int8_depth | 1) * int8_depth, {}, {}};
  result.q = Array::empty({whole(rows, tile_rows), result.stride}, DType::i8);
  result.rows.resize(rows);
  auto* q = reinterpret_cast<uint8_t*>(result.q.mutable_data<int8_t>());
  parallel_ranges(rows, 1 + least_work / std::max<int64_t>(in, 1), [&](int64_t begin, int64_t end) {
    std::vector<float> values(f == InputFunction::identity ? 0 : in);
    for (int64_t i = begin; i < end; ++i) {
      const float* row = x + i * in;
      if (f == InputFunction::gelu) functions.gelu(row, values.data(), in);
      if (f == InputFunction::gelu_tanh) functions.gelu_tanh(row, values.data(), in);
      result.rows[i] =
          kernels.to_bytes(f == InputFunction::identity ? row : values.data(), q + i * result.stride, in);
      std::memset(q + i * result.stride + in, 0, result.stride - in);
    }
  });
  return result;
}

}  // namespace

QuantizedWeight::QuantizedWeight(const Array& W) {
  constexpr int64_t most_depth = 1 << 16;  // 255 · 127 · 2¹⁶ < 2³¹
  BERTIE_CHECK(W && W.dtype() == DType::f32 && W.shape().rank() == 2, "quantize",
               "a weight must be f32 [out, in], got {} {}", name(W.dtype()), W.shape());
  BERTIE_CHECK(W.shape()[1] <= most_depth, "quantize", "a row may have {} numbers, got {}", +most_depth,
               W.shape());
  out_ = W.shape()[0];
  in_ = W.shape()[1];
  int64_t columns = whole(out_, int8_columns), depth = whole(in_, int8_depth);
  values_ = Array::zeros({columns / int8_panel, depth / int8_quartet, int8_panel, int8_quartet}, DType::i8);
  scales_ = Array::zeros({columns}, DType::f32);
  totals_ = Array::zeros({columns}, DType::f32);
  const float* from = W.data<float>();
  int8_t* values = values_.mutable_data<int8_t>();
  float *scales = scales_.mutable_data<float>(), *totals = totals_.mutable_data<float>();
  const QuantizationKernels& kernels = quantization_kernels();
  parallel_ranges(out_, int8_panel, [&](int64_t begin, int64_t end) {
    std::vector<int8_t> row(depth);
    for (int64_t i = begin; i < end; ++i) {
      scales[i] = kernels.to_int8(from + i * in_, row.data(), in_);
      int64_t total = 0;
      for (int64_t k = 0; k < in_; ++k) total += row[k];
      totals[i] = static_cast<float>(total);
      int8_t* to = values + begin * depth + (i - begin) * int8_quartet;
      for (int64_t k = 0; k < depth; k += int8_quartet, to += int8_panel * int8_quartet)
        std::memcpy(to, row.data() + k, int8_quartet);
    }
  });
}

Array QuantizedWeight::values() const {
  Array result = Array::empty({out_, in_}, DType::f32);
  float* to = result.mutable_data<float>();
  int64_t depth = whole(in_, int8_depth);
  for (int64_t i = 0; i < out_; ++i) {
    const int8_t* row = values_.data<int8_t>() + i / int8_panel * int8_panel * depth +
                        i % int8_panel * int8_quartet;
    for (int64_t k = 0; k < in_; ++k)
      *to++ = scales_.data<float>()[i] *
              static_cast<float>(row[k / int8_quartet * int8_panel * int8_quartet + k % int8_quartet]);
  }
  return result;
}

Tensor linear(const Tensor& x, const QuantizedWeight& W, const Tensor& b, InputFunction f) {
  BERTIE_CHECK(x && W, "linear", "needs an input and a weight with values");
  BERTIE_CHECK(x.dtype() == DType::f32 && (!b || b.dtype() == DType::f32), "linear",
               "x and b must be f32 where W is int8: x is {}, b is {}", name(x.dtype()),
               b ? name(b.dtype()) : "none");
  int64_t out = W.out_, in = W.in_;
  BERTIE_CHECK(x.shape().rank() >= 1 && x.shape()[-1] == in, "linear",
               "x must be [..., in]: x is {}, W is {}", x.shape(), W.shape());
  BERTIE_CHECK(!b || b.shape() == Shape{out}, "linear", "b must be [out]: b is {}, W is {}",
               b ? b.shape() : Shape(), W.shape());
  Array y = Array::empty(x.shape().with(-1, out), DType::f32);
  int64_t rows = in > 0 ? x.array().size() / in : y.size() / std::max<int64_t>(out, 1);
  ByteRows bytes = to_bytes(x.array().data<float>(), rows, in, f);
  const QuantizationKernels& kernels = quantization_kernels();
  Int8Loop product = int8_loop(int8_instructions());
  const float *scales = W.scales_.data<float>(), *totals = W.totals_.data<float>();
  const float* bias = b ? b.array().data<float>() : nullptr;
  const int8_t* w = W.values_.data<int8_t>();
  float* to = y.mutable_data<float>();
  // A task's rows stay in the second cache while it goes through the columns' next blocks.
  constexpr int64_t task_rows = 128;
  int64_t depth = whole(in, int8_depth);
  int64_t across = whole(out, int8_columns) / int8_columns, down = whole(rows, task_rows) / task_rows;
  parallel_tasks(across * down, [&](int64_t task) {
    int64_t column = task / down * int8_columns, columns = std::min(int8_columns, out - column);
    int64_t begin = task % down * task_rows, end = std::min(rows, begin + task_rows);
    alignas(64) int32_t sums[int8_rows * int8_columns];
    for (int64_t row = begin; row < end; row += int8_rows) {
      int64_t count = std::min(int8_rows, end - row);
      product({count, depth, bytes.row(row), bytes.stride, w + column * depth, sums});
      for (int64_t i = 0; i < count; ++i)
        kernels.from_sums(sums + i * int8_columns, bytes.rows[row + i], scales + column, totals + column,
                          bias ? bias + column : nullptr, to + (row + i) * out + column, columns);
    }
  });
  std::vector<Tensor> inputs{x};
  if (b) inputs.push_back(b);
  return record("linear", y, inputs, [](const Array&, const Needs&) -> Gradients {
    fail("linear", "a weight in int8 has no gradient: train in f32 or bf16");
  });
}

}  // namespace bertie
