#include "bertie/ops/packed_linear.h"

#include <algorithm>
#include <cstring>

#include "bertie/autograd/conversion_table.h"
#include "bertie/autograd/threads.h"
#include "bertie/ops/kernels/attention.h"
#include "bertie/ops/kernels/elementwise.h"
#include "bertie/ops/kernels/packed_product.h"
#include "bertie/ops/kernels/quantization.h"

namespace bertie {
namespace {

int64_t whole(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

// How a type's columns lie: in panels of so many, so many numbers of each side by side.
struct Layout {
  int64_t panel, together, depth;  // depth: a column's length
};
Layout layout_of(DType type, int64_t in) {
  if (type == DType::f32) return {attention_kernels<float>().panel_columns, 1, in};
  return {panel_columns, type == DType::i8 ? int8_together : bf16_together,
          whole(in, depth_bytes / element_size(type))};
}

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

// Calls work(row, rows, column, columns) for the blocks of a product, of at most `most_rows`, in parallel. A
// task's rows stay in the second cache while it goes through them.
constexpr int64_t task_rows = 128;
template <class Work>
void for_blocks(int64_t rows, int64_t out, int64_t most_rows, Work&& work) {
  int64_t across = whole(out, block_columns) / block_columns, down = whole(rows, task_rows) / task_rows;
  parallel_tasks(across * down, [&](int64_t task) {
    int64_t column = task / down * block_columns, begin = task % down * task_rows;
    for (int64_t row = begin, end = std::min(rows, begin + task_rows); row < end; row += most_rows)
      work(row, std::min(most_rows, end - row), column, std::min(block_columns, out - column));
  });
}

// What the products of all types need.
struct Sizes {
  int64_t rows, in, out, depth;
  InputFunction f;
};

void multiply(const Sizes& s, const float* x, const float* w, int64_t panel, const float* bias, float* y) {
  Array applied;
  if (s.f != InputFunction::identity) {
    applied = Array::empty({s.rows, s.in}, DType::f32);
    float* fx = applied.mutable_data<float>();
    for_rows(s.rows, s.in, [&](int64_t begin, int64_t end) {
      loop_of<float>(s.f)(x + begin * s.in, fx + begin * s.in, (end - begin) * s.in);
    });
    x = fx;
  }
  for_blocks(s.rows, s.out, task_rows, [&](int64_t row, int64_t count, int64_t column, int64_t columns) {
    SmallProduct<float> product{
        count, panel, s.in, x + row * s.in, s.in, 1, w + column * s.in, panel, y + row * s.out + column,
        s.out};
    product.accumulate = bias != nullptr;
    for (int64_t i = 0; bias && i < count; ++i) std::copy_n(bias + column, columns, product.c + i * s.out);
    for (; columns > 0; columns -= panel, product.b += panel * s.in, product.c += panel) {
      product.N = std::min(panel, columns);
      // A thread's next task goes on behind this one's columns. With few rows the weight comes from memory
      // about as slowly as it is used: of 4 to 16 rows, asking early takes 5 % away; of 128 it costs 1 %.
      bool is_last = column + block_columns >= s.out && columns <= panel;
      product.then_read = s.rows <= 32 && !is_last ? product.b + panel * s.in : nullptr;
      attention_kernels<float>().multiply(product);
    }
  });
}

void multiply(const Sizes& s, const bfloat16* x, const bfloat16* w, const float* bias, bfloat16* y) {
  const ConversionKernels<bfloat16>& kernels = conversion_kernels<bfloat16>();
  PackedRows<bfloat16> packed(s.rows, s.in);
  for_rows(s.rows, s.in, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      if (s.f != InputFunction::identity)
        loop_of<bfloat16>(s.f)(x + i * s.in, packed.row(i), s.in);
      else
        std::copy_n(x + i * s.in, s.in, packed.row(i));
      std::fill(packed.row(i) + s.in, packed.row(i + 1), bfloat16(0.0f));
    }
  });
  Bf16Loop product = bf16_loop(bf16_instructions());
  for_blocks(s.rows, s.out, block_rows, [&](int64_t row, int64_t count, int64_t column, int64_t columns) {
    alignas(64) float sums[block_rows * block_columns];
    product({count, s.depth, packed.row(row), packed.stride, w + column * s.depth, sums});
    for (int64_t i = 0; i < count; ++i) {
      bfloat16* place = y + (row + i) * s.out + column;
      if (bias)
        kernels.store_sum(sums + i * block_columns, bias + column, place, columns);
      else
        kernels.store(sums + i * block_columns, place, columns);
    }
  });
}

// `scales` and `totals` are those of w's rows.
void multiply(const Sizes& s, const float* x, const int8_t* w, const float* scales, const float* totals,
              const float* bias, float* y) {
  const QuantizationKernels& kernels = quantization_kernels();
  PackedRows<uint8_t> packed(s.rows, s.in);
  std::vector<ByteRow> rounded(s.rows);
  for_rows(s.rows, s.in, [&](int64_t begin, int64_t end) {
    bool is_applied = s.f != InputFunction::identity;
    std::vector<float> values(is_applied ? s.in : 0);
    for (int64_t i = begin; i < end; ++i) {
      const float* row = x + i * s.in;
      if (is_applied) {
        loop_of<float>(s.f)(row, values.data(), s.in);
        row = values.data();
      }
      rounded[i] = kernels.to_bytes(row, packed.row(i), s.in);
      std::fill(packed.row(i) + s.in, packed.row(i + 1), uint8_t{0});
    }
  });
  Int8Loop product = int8_loop(int8_instructions());
  for_blocks(s.rows, s.out, block_rows, [&](int64_t row, int64_t count, int64_t column, int64_t columns) {
    alignas(64) int32_t sums[block_rows * block_columns];
    product({count, s.depth, packed.row(row), packed.stride, w + column * s.depth, sums});
    for (int64_t i = 0; i < count; ++i)
      kernels.from_sums(sums + i * block_columns, rounded[row + i], scales + column, totals + column,
                        bias ? bias + column : nullptr, y + (row + i) * s.out + column, columns);
  });
}

}  // namespace

PackedWeight::PackedWeight(const Array& W, DType type) {
  constexpr int64_t most_depth = 1 << 16;  // of int8: 255 · 127 · 2¹⁶ < 2³¹
  BERTIE_CHECK(W && W.dtype() == DType::f32 && W.shape().rank() == 2, "pack",
               "a weight must be f32 [out, in], got {} {}", name(W.dtype()), W.shape());
  BERTIE_CHECK(type == DType::f32 || type == DType::bf16 || type == DType::i8, "pack",
               "is to f32, bf16 or i8, not to {}", name(type));
  BERTIE_CHECK(type != DType::i8 || W.shape()[1] <= most_depth, "pack", "a row may have {} numbers, got {}",
               +most_depth, W.shape());
  out_ = W.shape()[0];
  in_ = W.shape()[1];
  auto [panel, together, depth] = layout_of(type, in_);
  int64_t columns = whole(out_, block_columns);
  values_ = Array::zeros({columns / panel, depth / together, panel, together}, type);
  const float* from = W.data<float>();
  if (type == DType::f32) {
    float* values = values_.mutable_data<float>();
    parallel_ranges(out_, panel, [&, in = in_, panel = panel](int64_t begin, int64_t end) {
      attention_kernels<float>().transpose(from + begin * in, in, end - begin, in, values + begin * in,
                                           panel);
    });
    return;
  }
  if (type == DType::bf16) {
    bfloat16* values = values_.mutable_data<bfloat16>();
    parallel_ranges(out_, panel_columns, [&, depth = depth](int64_t begin, int64_t end) {
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
  parallel_ranges(out_, panel_columns, [&, depth = depth](int64_t begin, int64_t end) {
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

int64_t PackedWeight::bytes() const {
  return values_.bytes() + (scales_ ? scales_.bytes() + totals_.bytes() : 0);
}

Array PackedWeight::values() const {
  Array result = Array::empty({out_, in_}, DType::f32);
  float* to = result.mutable_data<float>();
  int64_t panel = values_.shape()[2], n = values_.shape()[3], depth = values_.shape()[1] * n;
  for (int64_t i = 0; i < out_; ++i) {
    double scale = scales_ ? scales_.item(i) : 1;
    for (int64_t k = 0; k < in_; ++k)
      *to++ = static_cast<float>(
          scale * values_.item(i / panel * panel * depth + k / n * n * panel + i % panel * n + k % n));
  }
  return result;
}

Tensor linear(const Tensor& x, const PackedWeight& W, const Tensor& b, InputFunction f) {
  BERTIE_CHECK(x && W, "linear", "needs an input and a weight with values");
  DType type = W.dtype() == DType::bf16 ? DType::bf16 : DType::f32;
  BERTIE_CHECK(x.dtype() == type && (!b || b.dtype() == DType::f32), "linear",
               "x must be {} and b f32 where W is {}: x is {}, b is {}", name(type), name(W.dtype()),
               name(x.dtype()), b ? name(b.dtype()) : "none");
  int64_t out = W.out_, in = W.in_;
  BERTIE_CHECK(x.shape().rank() >= 1 && x.shape()[-1] == in, "linear",
               "x must be [..., in]: x is {}, W is {}", x.shape(), W.shape());
  BERTIE_CHECK(!b || b.shape() == Shape{out}, "linear", "b must be [out]: b is {}, W is {}",
               b ? b.shape() : Shape(), W.shape());
  int64_t rows = Shape(x.shape().begin(), x.shape().rank() - 1).size();
  Array y = Array::empty(x.shape().with(-1, out), type);
  const float* bias = b ? b.array().data<float>() : nullptr;
  Sizes sizes{rows, in, out, layout_of(W.dtype(), in).depth, f};
  if (W.dtype() == DType::bf16)
    multiply(sizes, x.array().data<bfloat16>(), W.values_.data<bfloat16>(), bias, y.mutable_data<bfloat16>());
  else if (W.dtype() == DType::i8)
    multiply(sizes, x.array().data<float>(), W.values_.data<int8_t>(), W.scales_.data<float>(),
             W.totals_.data<float>(), bias, y.mutable_data<float>());
  else
    multiply(sizes, x.array().data<float>(), W.values_.data<float>(), W.values_.shape()[2], bias,
             y.mutable_data<float>());

  std::vector<Tensor> inputs{x};
  if (b) inputs.push_back(b);
  return record("linear", y, inputs, [](const Array&, const Needs&) -> Gradients {
    fail("linear", "a weight that was packed once and for all has no gradient");
  });
}

}  // namespace bertie
