#include "bertie/nn/muon.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <type_traits>

#include "bertie/autograd/accumulate_table.h"
#include "bertie/autograd/node.h"
#include "bertie/autograd/threads.h"
#include "bertie/ops/gemm.h"
#include "bertie/ops/kernels/newton_schulz.h"
#include "bertie/ops/kernels/optimizer.h"

namespace bertie {
namespace {

constexpr double of_x = 3.4445, of_gram = -4.7750, of_square = 2.0315;
constexpr int iterations = 5;
constexpr double least_norm = 1e-7;
constexpr int64_t piece = 1 << 15;          // elements per task
constexpr int64_t most_elements = 1 << 20;  // of the matrices at a time, where that is more than one

int64_t pieces_of(int64_t size) { return (size + piece - 1) / piece; }

// visit(p, matrix, from, to) for each piece of each of `count` matrices of `size` elements; p counts them.
template <class Visit>
void visit_pieces(int64_t count, int64_t size, Visit&& visit) {
  int64_t pieces = pieces_of(size);
  parallel_tasks(count * pieces, [&](int64_t p) {
    int64_t from = p % pieces * piece;
    visit(p, p / pieces, from, std::min(size, from + piece));
  });
}

// y, stored as S, is each x divided by its norm. They may be the same memory where S is T.
template <class S, class T>
void normalize(S* y, const T* x, int64_t count, int64_t size) {
  std::vector<double> squares(count * pieces_of(size));
  visit_pieces(count, size, [&](int64_t p, int64_t matrix, int64_t from, int64_t to) {
    squares[p] = accumulate_kernels<T>().sum_of_squares(x + matrix * size + from, to - from);
  });
  std::vector<double> factors;
  for (int64_t matrix = 0; matrix < count; ++matrix) {
    double sum = 0;
    for (int64_t p = matrix * pieces_of(size); p < (matrix + 1) * pieces_of(size); ++p) sum += squares[p];
    factors.push_back(1 / std::max(std::sqrt(sum), least_norm));
  }
  visit_pieces(count, size, [&](int64_t, int64_t matrix, int64_t from, int64_t to) {
    newton_schulz_kernels<S>().scale(y + matrix * size + from, x + matrix * size + from, to - from,
                                     factors[matrix]);
  });
}

// x [count, rows, columns]; product: memory of as many numbers, in what S is computed in.
template <class S>
void iterate(S* x, Compute<S>* product, int64_t count, int64_t rows, int64_t columns) {
  int64_t least = std::min(rows, columns), most = std::max(rows, columns), size = rows * columns;
  bool tall = rows > columns;  // then A = Xᵀ X, and X ← a X + X (b A + c A²), in place of a transposed X
  Array memory = Array::empty({count, least, least}, dtype_of<S>());
  S* gram = memory.mutable_data<S>();
  Factor<S> x_as_it_is{x, columns, false, size}, of_symmetric{gram, least, false, least * least};
  auto combine = [](S* y, const Compute<S>* p, int64_t n, double of_y, double of_product) {
    parallel_ranges(n, piece, [&](int64_t from, int64_t to) {
      newton_schulz_kernels<S>().combine(y + from, p + from, to - from, of_y, of_product);
    });
  };
  for (int i = 0; i < iterations; ++i) {
    gemm(Product<S>{.M = least,
                    .N = least,
                    .K = most,
                    .a = {x, columns, tall, size},
                    .b = {x, columns, !tall, size},
                    .c = gram,
                    .c_stride = least,
                    .batch = count,
                    .c_batch_stride = least * least});
    gemm(Product<S, Compute<S>>{.M = least,
                                .N = least,
                                .K = least,
                                .a = of_symmetric,
                                .b = of_symmetric,
                                .c = product,
                                .c_stride = least,
                                .batch = count,
                                .c_batch_stride = least * least});
    combine(gram, product, count * least * least, of_gram, of_square);
    gemm(Product<S, Compute<S>>{.M = rows,
                                .N = columns,
                                .K = least,
                                .a = tall ? x_as_it_is : of_symmetric,
                                .b = tall ? of_symmetric : x_as_it_is,
                                .c = product,
                                .c_stride = columns,
                                .batch = count,
                                .c_batch_stride = size});
    combine(x, product, count * size, of_x, 1);
  }
}

// The segments of the block that are matrices of the module.
std::vector<size_t> matrices_within(const ParameterBlock& parameters, const Module& within) {
  std::set<const Node*> wanted;
  for (const Parameter& parameter : within.parameters())
    if (parameter.tensor.shape().rank() == 2) wanted.insert(parameter.tensor.node().get());
  std::vector<size_t> segments;
  for (size_t i = 0; i < parameters.segments().size(); ++i)
    if (wanted.contains(parameters.segments()[i].parameter.tensor.node().get())) segments.push_back(i);
  BERTIE_CHECK(!segments.empty(), "muon", "there are no matrices to train within {}",
               within.path().empty() ? "the model" : within.path());
  return segments;
}

}  // namespace

Array orthogonalized(Array matrices, DType products) {
  DType type = matrices.dtype();
  BERTIE_CHECK(matrices.shape().rank() == 3, "muon", "takes a batch of matrices [B, r, c], got {}",
               matrices.shape());
  BERTIE_CHECK((products == type && type != DType::bf16) || (products == DType::bf16 && type == DType::f32),
               "muon", "matrices of {} can't be multiplied in {}", name(type), name(products));
  if (!matrices.unique()) matrices = matrices.clone();
  int64_t count = matrices.shape()[0], rows = matrices.shape()[1], columns = matrices.shape()[2];
  dispatch("muon", products, [&](auto zero) {
    using S = decltype(zero);
    auto* values = matrices.mutable_data<Compute<S>>();
    Array other = Array::empty(matrices.shape(), products);
    S* written = other.mutable_data<S>();
    if constexpr (std::is_same_v<S, Compute<S>>) {
      normalize(values, values, count, rows * columns);
      iterate(values, written, count, rows, columns);
    } else {
      normalize(written, values, count, rows * columns);
      iterate(written, values, count, rows, columns);
      matrices.convert_from(other);
    }
  });
  return matrices;
}

int64_t orthogonalized_together(int64_t rows, int64_t columns, int64_t of_all) {
  return std::clamp<int64_t>(most_elements / std::max<int64_t>(1, rows * columns), 1,
                             std::max<int64_t>(1, of_all));
}

int64_t orthogonalizing_memory(int64_t rows, int64_t columns, int64_t together, DType products) {
  int64_t least = std::min(rows, columns);
  return together * (rows * columns * (element_size(DType::f32) + element_size(products)) +
                     least * least * element_size(products));
}

Muon::Muon(ParameterBlock& parameters, const Module& within, const MuonOptions& options)
    : Muon(parameters, matrices_within(parameters, within), within, options) {}

Muon::Muon(ParameterBlock& parameters, const std::vector<size_t>& segments, const Module& within,
           const MuonOptions& options)
    : AdamW(parameters, options.rest, gaps_of(parameters, segments)),
      momentum_(options.momentum),
      within_(within.path().empty() ? "the model" : within.path()) {
  BERTIE_CHECK(options.momentum >= 0 && options.momentum < 1, "muon",
               "the momentum must be in 0 … 1 (1 excluded), got {}", options.momentum);
  for (size_t i : segments) {
    const auto& [parameter, begin, end] = parameters.segments()[i];
    int64_t rows = parameter.tensor.shape()[0] / std::ssize(parameter.names),
            columns = parameter.tensor.shape()[1];
    auto alike = std::find_if(matrices_.begin(), matrices_.end(),
                              [=](const Matrices& m) { return m.rows == rows && m.columns == columns; });
    if (alike == matrices_.end()) alike = matrices_.insert(alike, {rows, columns, {}});
    for (int64_t at = begin; at < end; at += rows * columns) alike->begins.push_back(at);
  }
}

std::vector<AdamW::Gap> Muon::gaps_of(const ParameterBlock& parameters, const std::vector<size_t>& segments) {
  std::vector<Gap> gaps;
  for (size_t i : segments) gaps.push_back({parameters.segments()[i].begin, parameters.segments()[i].end});
  return gaps;
}

std::string Muon::str() const {
  int64_t count = 0, elements = 0;
  for (const Matrices& m : matrices_) {
    count += std::ssize(m.begins);
    elements += std::ssize(m.begins) * m.rows * m.columns;
  }
  return fmt::format("Muon for {}'s matrices ({}, of {} parameters), AdamW for the other {} parameters",
                     within_, count, elements, parameters_.size() - elements);
}

void Muon::update_others(double learning_rate, double gradient_scale, double weight_decay) {
  for (const Matrices& matrices : matrices_) {
    size_t all = matrices.begins.size();
    auto together = static_cast<size_t>(
        orthogonalized_together(matrices.rows, matrices.columns, static_cast<int64_t>(all)));
    for (size_t first = 0; first < all; first += together)
      update_matrices(matrices, first, std::min(together, all - first), learning_rate, gradient_scale,
                      weight_decay);
  }
}

void Muon::update_matrices(const Matrices& matrices, size_t first, size_t count, double learning_rate,
                           double gradient_scale, double weight_decay) {
  auto batch = static_cast<int64_t>(count);
  int64_t size = matrices.rows * matrices.columns;
  const int64_t* begins = matrices.begins.data() + first;
  double kept = 1 - learning_rate * weight_decay,
         rate =
             learning_rate * 0.2 * std::sqrt(static_cast<double>(std::max(matrices.rows, matrices.columns)));
  dispatch_compute("muon", parameters_.dtype(), [&](auto zero) {
    using T = decltype(zero);
    Array direction = Array::empty({batch, matrices.rows, matrices.columns}, parameters_.dtype());
    T *along = direction.mutable_data<T>(), *momentum = first_moment_.mutable_data<T>(),
      *parameter = parameters_.values().mutable_data<T>();
    const T* gradient = parameters_.gradients().data<T>();
    visit_pieces(batch, size, [&](int64_t, int64_t matrix, int64_t from, int64_t to) {
      int64_t at = begins[matrix] + from;
      optimizer_kernels<T>().muon_direction(momentum + at, gradient + at, along + matrix * size + from,
                                            to - from, gradient_scale, momentum_);
    });
    direction =
        orthogonalized(std::move(direction), parameters_.rounded() ? DType::bf16 : parameters_.dtype());
    const T* step = direction.data<T>();
    bfloat16* rounded = parameters_.rounded() ? parameters_.rounded().mutable_data<bfloat16>() : nullptr;
    visit_pieces(batch, size, [&](int64_t, int64_t matrix, int64_t from, int64_t to) {
      int64_t at = begins[matrix] + from;
      optimizer_kernels<T>().muon_step(parameter + at, step + matrix * size + from,
                                       rounded ? rounded + at : nullptr, to - from, kept, rate);
    });
  });
}

}  // namespace bertie
