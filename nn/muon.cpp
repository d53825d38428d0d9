#include "bertie/nn/muon.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "bertie/autograd/node.h"
#include "bertie/nn/matrix_pieces.h"
#include "bertie/ops/gemm.h"
#include "bertie/ops/kernels/optimizer.h"

namespace bertie {
namespace {

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

constexpr int64_t most_elements = 1 << 20;  // of the matrices at a time, where that is more than one

}  // namespace

DType orthogonalizing_products(bool model_in_bf16) {
  return model_in_bf16 || bf16_products_gain() ? DType::bf16 : DType::f32;
}

Muon::Muon(ParameterBlock& parameters, const Module& within, const MuonOptions& options, Processes& processes)
    : Muon(parameters, matrices_within(parameters, within), within, options, processes) {}

Muon::Muon(ParameterBlock& parameters, const std::vector<size_t>& segments, const Module& within,
           const MuonOptions& options, Processes& processes)
    : AdamW(parameters, options.rest, gaps_of(parameters, segments)),
      muon_(options),
      products_(parameters.dtype() != DType::f32 ? parameters.dtype()
                                                 : options.products.value_or(orthogonalizing_products(
                                                       static_cast<bool>(parameters.rounded())))),
      processes_(processes),
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
  return fmt::format(
      "Muon for {}'s matrices ({}, of {} parameters; products in {}), AdamW for the other {} parameters",
      within_, count, elements, name(products_), parameters_.size() - elements);
}

void Muon::update_others(double learning_rate, double gradient_scale, double weight_decay) {
  for (const Matrices& matrices : matrices_) {
    size_t all = matrices.begins.size();
    auto together = static_cast<size_t>(orthogonalized_together(
        matrices.rows, matrices.columns, static_cast<int64_t>(all), processes_.count()));
    for (size_t first = 0; first < all; first += together)
      update_matrices(matrices, first, std::min(together, all - first), learning_rate, gradient_scale,
                      weight_decay);
  }
}

void Muon::orthogonalize(Array& directions) const {
  if (processes_.count() == 1) {
    directions = orthogonalized(std::move(directions), products_, muon_.orthogonalization);
    return;
  }
  int64_t count = directions.shape()[0], each = directions.bytes() / count;
  auto begin_of = [&](int rank) { return count * rank / processes_.count(); };
  std::vector<int64_t> sizes;
  for (int rank = 0; rank < processes_.count(); ++rank)
    sizes.push_back((begin_of(rank + 1) - begin_of(rank)) * each);
  Array own = directions.rows(begin_of(processes_.rank()), begin_of(processes_.rank() + 1));
  own.copy_from(orthogonalized(own.clone(), products_, muon_.orthogonalization));
  processes_.gather(
      {static_cast<std::byte*>(directions.mutable_bytes()), static_cast<size_t>(directions.bytes())}, sizes);
}

void Muon::update_matrices(const Matrices& matrices, size_t first, size_t count, double learning_rate,
                           double gradient_scale, double weight_decay) {
  auto batch = static_cast<int64_t>(count);
  int64_t size = matrices.rows * matrices.columns;
  const int64_t* begins = matrices.begins.data() + first;
  double kept = 1 - learning_rate * weight_decay,
         rate = learning_rate * muon_.step_size *
                std::sqrt(static_cast<double>(std::max(matrices.rows, matrices.columns)));
  dispatch_compute("muon", parameters_.dtype(), [&](auto zero) {
    using T = decltype(zero);
    Array direction = Array::empty({batch, matrices.rows, matrices.columns}, parameters_.dtype());
    T *along = direction.mutable_data<T>(), *momentum = first_moment_.mutable_data<T>(),
      *parameter = parameters_.values().mutable_data<T>();
    const T* gradient = parameters_.gradients().data<T>();
    visit_pieces(batch, size, [&](int64_t, int64_t matrix, int64_t from, int64_t to) {
      int64_t at = begins[matrix] + from;
      optimizer_kernels<T>().muon_direction(momentum + at, gradient + at, along + matrix * size + from,
                                            to - from, gradient_scale, muon_.momentum);
    });
    orthogonalize(direction);
    const T* step = direction.data<T>();
    bfloat16* rounded = parameters_.rounded() ? parameters_.rounded().mutable_data<bfloat16>() : nullptr;
    visit_pieces(batch, size, [&](int64_t, int64_t matrix, int64_t from, int64_t to) {
      int64_t at = begins[matrix] + from;
      optimizer_kernels<T>().muon_step(parameter + at, step + matrix * size + from,
                                       rounded ? rounded + at : nullptr, to - from, kept, rate);
    });
  });
}

int64_t orthogonalized_together(int64_t rows, int64_t columns, int64_t all, int processes) {
  int64_t fit = most_elements / std::max<int64_t>(1, rows * columns);
  return std::max<int64_t>(1, std::min(all, std::max<int64_t>(processes, fit)));
}

int64_t muon_memory(int64_t rows, int64_t columns, int64_t all, DType products, int processes) {
  int64_t together = orthogonalized_together(rows, columns, all, processes);
  int64_t own = (together + processes - 1) / processes;
  // Where others orthogonalize their share, the directions of all are beside what is the own one.
  int64_t directions = processes > 1 ? together * rows * columns * element_size(DType::f32) : 0;
  return directions + own * orthogonalizing_memory(rows, columns, products);
}

}  // namespace bertie
