#include "bertie/ops/quantized_linear.h"

#include <algorithm>
#include <cstring>

#include "bertie/autograd/conversion_table.h"
#include "bertie/autograd/threads.h"
#include "bertie/ops/kernels/elementwise.h"
#include "bertie/ops/kernels/packed_product.h"
#include "bertie/ops/kernels/quantization.h"

namespace bertie {
namespace {

int64_t whole(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

// How many numbers of a column lie side by side, and of how many its length is a multiple.
int64_t side_by_side(DType type) { return type == DType::i8 ? int8_together : bf16_together; }
int64_t whole_depth(int64_t in, DType type) { return whole(in, depth_bytes / element_size(type)); }

// A column [depth] to its place among those of its panel.
template <class T>
void pack(const T* column, int64_t depth, int64_t index, T* panel) {
  constexpr int64_t together = 4 / sizeof(T);
  panel += index * together;
  for (int64_t k = 0; k < depth; k += together, panel += panel_columns * together)
    std::memcpy(panel, column + k, 4);
}

// What a product reads: the rows of f(x), rounded or as they are, in T, with zeros behind each, and as many
// of them as tiles have.
template <class T>
struct PackedRows {
  int64_t stride;  // an odd number of cache lines, so that a tile's rows lie in different sets
  Array memory;
  T* numbers;

  PackedRows(int64_t rows, int64_t in) {
    constexpr int64_t tile_rows = 16, line = depth_bytes / sizeof(T);
    stride = (whole(in, line) / line | 1) * line;
    memory = Array::empty({whole(rows, tile_rows) * stride * static_cast<int64_t>(sizeof(T))}, DType::i8);
    numbers = static_cast<T*>(memory.mutable_bytes());
  }
  T* row(int64_t i) const { return numbers + i * stride; }
};

template <class T>
UnaryLoop<T> loop_of(InputFunction f) {
  const ElementwiseKernels<T>& kernels = elementwise_kernels<T>();
  return f == InputFunction::gelu ? kernels.gelu : kernels.gelu_tanh;
}

// Calls work(begin, end) for ranges of rows, in parallel.
template <class Work>
void for_rows(int64_t rows, int64_t in, Work&& work) {
  constexpr int64_t least_work = 1 << 14;
  parallel_ranges(rows, 1 + least_work / std::max<int64_t>(in, 1), work);
}

// Calls work(row, rows, column, columns) for the blocks of a product, in parallel. A task's rows stay in the
// second cache while it goes through them.
template <class Work>
void for_blocks(int64_t rows, int64_t out, Work&& work) {
  constexpr int64_t task_rows = 128;
  int64_t across = whole(out, block_columns) / block_columns, down = whole(rows, task_rows) / task_rows;
  parallel_tasks(across * down, [&](int64_t task) {
    int64_t column = task / down * block_columns, begin = task % down * task_rows;
    for (int64_t row = begin, end = std::min(rows, begin + task_rows); row < end; row += block_rows)
      work(row, std::min(block_rows, end - row), column, std::min(block_columns, out - column));
  });
}

}  // namespace

QuantizedWeight::QuantizedWeight(const Array& W, DType type) {
  constexpr int64_t most_depth = 1 << 16;  // 255 · 127 · 2¹⁶ < 2³¹
  BERTIE_CHECK(W && W.dtype() == DType::f32 && W.shape().rank() == 2, "quantize",
               "a weight must be f32 [out, in], got {} {}", name(W.dtype()), W.shape());
  BERTIE_CHECK(W.shape()[1] <= most_depth, "quantize", "a row may have {} numbers, got {}", +most_depth,
               W.shape());
  BERTIE_CHECK(type == DType::i8 || type == DType::bf16, "quantize", "is to i8 or bf16, not to {}",
               name(type));
  out_ = W.shape()[0];
  in_ = W.shape()[1];
  int64_t columns = whole(out_, block_columns), depth = whole_depth(in_, type), n = side_by_side(type);
  values_ = Array::zeros({columns / panel_columns, depth / n, panel_columns, n}, type);
  const float* from = W.data<float>();
  if (type == DType::bf16) {
    bfloat16* values = values_.mutable_data<bfloat16>();
    parallel_ranges(out_, panel_columns, [&](int64_t begin, int64_t end) {
      std::vector<bfloat16> row(depth, 0.0f);
      for (int64_t i = begin; i < end; ++i) {
        conversion_kernels<bfloat16>().store(from + i * in_, row.data(), in_);
        pack(row.data(), depth, i - begin, values + begin * depth);
      }
    });
    return;
  }
  scales_ = Array::zeros({columns}, DType::f32);
  totals_ = Array::zeros({columns}, DType::f32);
  int8_t* values = values_.mutable_data<int8_t>();
  float *scales = scales_.mutable_data<float>(), *totals = totals_.mutable_data<float>();
  parallel_ranges(out_, panel_columns, [&](int64_t begin, int64_t end) {
    std::vector<int8_t> row(depth);
    for (int64_t i = begin; i < end; ++i) {
      scales[i] = quantization_kernels().to_int8(from + i * in_, row.data(), in_);
      int64_t total = 0;
      for (int64_t k = 0; k < in_; ++k) total += row[k];
      totals[i] = static_cast<float>(total);
      pack(row.data(), depth, i - begin, values + begin * depth);
    }
  });
}

int64_t QuantizedWeight::bytes() const {
  return values_.bytes() + (scales_ ? scales_.bytes() + totals_.bytes() : 0);
}

Array QuantizedWeight::values() const {
  Array result = Array::empty({out_, in_}, DType::f32);
  float* to = result.mutable_data<float>();
  int64_t depth = whole_depth(in_, dtype()), n = side_by_side(dtype());
  for (int64_t i = 0; i < out_; ++i) {
    double scale = scales_ ? scales_.item(i) : 1;
    for (int64_t k = 0; k < in_; ++k)
      *to++ =
          static_cast<float>(scale * values_.item(i / panel_columns * panel_columns * depth +
                                                  k / n * n * panel_columns + i % panel_columns * n + k % n));
  }
  return result;
}

Tensor linear(const Tensor& x, const QuantizedWeight& W, const Tensor& b, InputFunction f) {
  BERTIE_CHECK(x && W, "linear", "needs an input and a weight with values");
  bool is_int8 = W.dtype() == DType::i8;
  DType type = is_int8 ? DType::f32 : DType::bf16;
  BERTIE_CHECK(x.dtype() == type && (!b || b.dtype() == DType::f32), "linear",
               "x must be {} and b f32 where W is {}: x is {}, b is {}", name(type), name(W.dtype()),
               name(x.dtype()), b ? name(b.dtype()) : "none");
  int64_t out = W.out_, in = W.in_, depth = whole_depth(in, W.dtype());
  BERTIE_CHECK(x.shape().rank() >= 1 && x.shape()[-1] == in, "linear",
               "x must be [..., in]: x is {}, W is {}", x.shape(), W.shape());
  BERTIE_CHECK(!b || b.shape() == Shape{out}, "linear", "b must be [out]: b is {}, W is {}",
               b ? b.shape() : Shape(), W.shape());
  int64_t rows = Shape(x.shape().begin(), x.shape().rank() - 1).size();
  Array y = Array::empty(x.shape().with(-1, out), type);
  const float* bias = b ? b.array().data<float>() : nullptr;
  bool is_applied = f != InputFunction::identity;

  if (is_int8) {
    const QuantizationKernels& kernels = quantization_kernels();
    const float* from = x.array().data<float>();
    PackedRows<uint8_t> packed(rows, in);
    std::vector<ByteRow> rounded(rows);
    for_rows(rows, in, [&](int64_t begin, int64_t end) {
      std::vector<float> values(is_applied ? in : 0);
      for (int64_t i = begin; i < end; ++i) {
        const float* row = from + i * in;
        if (is_applied) {
          loop_of<float>(f)(row, values.data(), in);
          row = values.data();
        }
        rounded[i] = kernels.to_bytes(row, packed.row(i), in);
        std::fill(packed.row(i) + in, packed.row(i + 1), uint8_t{0});
      }
    });
    Int8Loop product = int8_loop(int8_instructions());
    const float *scales = W.scales_.data<float>(), *totals = W.totals_.data<float>();
    const int8_t* w = W.values_.data<int8_t>();
    float* to = y.mutable_data<float>();
    for_blocks(rows, out, [&](int64_t row, int64_t count, int64_t column, int64_t columns) {
      alignas(64) int32_t sums[block_rows * block_columns];
      product({count, depth, packed.row(row), packed.stride, w + column * depth, sums});
      for (int64_t i = 0; i < count; ++i)
        kernels.from_sums(sums + i * block_columns, rounded[row + i], scales + column, totals + column,
                          bias ? bias + column : nullptr, to + (row + i) * out + column, columns);
    });
  } else {
    const ConversionKernels<bfloat16>& kernels = conversion_kernels<bfloat16>();
    const bfloat16* from = x.array().data<bfloat16>();
    PackedRows<bfloat16> packed(rows, in);
    for_rows(rows, in, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        if (is_applied)
          loop_of<bfloat16>(f)(from + i * in, packed.row(i), in);
        else
          std::copy_n(from + i * in, in, packed.row(i));
        std::fill(packed.row(i) + in, packed.row(i + 1), bfloat16(0.0f));
      }
    });
    Bf16Loop product = bf16_loop(bf16_instructions());
    const bfloat16* w = W.values_.data<bfloat16>();
    bfloat16* to = y.mutable_data<bfloat16>();
    for_blocks(rows, out, [&](int64_t row, int64_t count, int64_t column, int64_t columns) {
      alignas(64) float sums[block_rows * block_columns];
      product({count, depth, packed.row(row), packed.stride, w + column * depth, sums});
      for (int64_t i = 0; i < count; ++i) {
        bfloat16* place = to + (row + i) * out + column;
        if (bias)
          kernels.store_sum(sums + i * block_columns, bias + column, place, columns);
        else
          kernels.store(sums + i * block_columns, place, columns);
      }
    });
  }
  std::vector<Tensor> inputs{x};
  if (b) inputs.push_back(b);
  return record("linear", y, inputs, [](const Array&, const Needs&) -> Gradients {
    fail("linear", "a weight that was rounded once and for all has no gradient");
  });
}

}  // namespace bertie
