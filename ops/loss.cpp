#include "bertie/ops/loss.h"

#include <algorithm>
#include <cmath>

#include "bertie/autograd/accumulate_table.h"
#include "bertie/autograd/conversion_table.h"
#include "bertie/autograd/threads.h"
#include "bertie/ops/kernels/elementwise.h"
#include "bertie/ops/kernels/softmax.h"

namespace bertie {
namespace {

constexpr int64_t ignored = -1;

// The labels as i64, with `ignored` for rows that count for nothing.
std::vector<int64_t> checked_labels(const Array& labels, const Shape& logits, int64_t ignore_index) {
  BERTIE_CHECK(logits.rank() == 2, "cross_entropy", "logits must be [T, V], got {}", logits);
  BERTIE_CHECK(labels && labels.shape() == Shape{logits[0]} &&
                   (labels.dtype() == DType::i32 || labels.dtype() == DType::i64),
               "cross_entropy", "labels must be [{}] of i32 or i64, got {} {}", logits[0],
               labels ? name(labels.dtype()) : "none", labels.shape());
  std::vector<int64_t> result(labels.size());
  for (int64_t t = 0; t < labels.size(); ++t) {
    int64_t label = labels.dtype() == DType::i32 ? labels.data<int32_t>()[t] : labels.data<int64_t>()[t];
    BERTIE_CHECK(label == ignore_index || (label >= 0 && label < logits[1]), "cross_entropy",
                 "labels must be in 0 … {} or {} (ignored): label {} in row {}", logits[1] - 1, ignore_index,
                 label, t);
    result[t] = label == ignore_index ? ignored : label;
  }
  return result;
}

}  // namespace

Tensor cross_entropy(const Tensor& logits, const Array& labels, const CrossEntropyOptions& options) {
  check_value("cross_entropy", logits);
  std::vector<int64_t> targets = checked_labels(labels, logits.shape(), options.ignore_index);
  double smoothing = options.label_smoothing;
  BERTIE_CHECK(smoothing >= 0 && smoothing <= 1, "cross_entropy", "label_smoothing must be in 0 … 1, got {}",
               smoothing);
  BERTIE_CHECK(options.denominator >= 0, "cross_entropy", "the denominator must be positive, got {}",
               options.denominator);
  double denominator = options.denominator;
  if (denominator == 0)
    for (int64_t target : targets) denominator += target != ignored;
  BERTIE_CHECK(denominator > 0, "cross_entropy", "all {} rows are ignored and no denominator is given",
               targets.size());

  return dispatch("cross_entropy", logits.dtype(), [&](auto zero) {
    using T = decltype(zero);
    using C = Compute<T>;
    int64_t rows = logits.shape()[0], classes = logits.shape()[1];
    std::vector<LogSum<C>> log_sums(rows);
    std::vector<double> losses(rows, 0.0);
    const T* z = logits.array().data<T>();
    const SoftmaxKernels<T>& softmax = softmax_kernels<T>();
    int64_t grain = 1 + (1 << 14) / (classes + 1);
    parallel_ranges(rows, grain, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        if (targets[t] == ignored) continue;
        const T* row = z + t * classes;
        auto [largest, rest] = log_sums[t] = softmax.log_sum_exp(row, classes);
        double below = static_cast<double>(C(row[targets[t]])) - largest;
        if (smoothing > 0) {
          double mean = softmax.sum_shifted(row, largest, classes) / static_cast<double>(classes);
          below = smoothing * mean + (1 - smoothing) * below;
        }
        losses[t] = rest - below;
      }
    });
    double sum = 0;
    for (double loss : losses) sum += loss;
    return record(
        "cross_entropy", Array::full({}, sum / denominator, dtype_of<C>()), {logits},
        [z = logits.array(), log_sums, targets, denominator, smoothing, grain, rows, classes](
            Array dy, const Needs&) mutable -> Gradients {
          const T* in = z.data<T>();
          Array dz = z.unique() ? z.take_memory() : Array::empty(z.shape(), z.dtype());
          C factor = static_cast<C>(dy.item() / denominator);
          C share = static_cast<C>(smoothing / static_cast<double>(classes));
          T* out = dz.mutable_data<T>();
          const SoftmaxKernels<T>& softmax = softmax_kernels<T>();
          parallel_ranges(rows, grain, [&](int64_t begin, int64_t end) {
            for (int64_t t = begin; t < end; ++t) {
              T* row = out + t * classes;
              if (targets[t] == ignored) {
                std::fill(row, row + classes, T(0));
                continue;
              }
              C own = in[t * classes + targets[t]];  // in dz's memory perhaps
              softmax.cross_entropy_gradient(in + t * classes, log_sums[t], share, factor, row, classes);
              softmax_kernels<C>().cross_entropy_gradient(&own, log_sums[t], share, factor, &own, 1);
              row[targets[t]] = own - static_cast<C>(1 - smoothing) * factor;
            }
          });
          return {dz};
        });
  });
}

Tensor mean_squared_error(const Tensor& x, const Tensor& target) {
  check_value("mean_squared_error", x);
  check_value("mean_squared_error", target);
  BERTIE_CHECK(x.shape() == target.shape() && x.dtype() == target.dtype(), "mean_squared_error",
               "both must agree: {} {} and {} {}", name(x.dtype()), x.shape(), name(target.dtype()),
               target.shape());
  int64_t n = x.array().size();
  BERTIE_CHECK(n > 0, "mean_squared_error", "there is nothing to average in shape {}", x.shape());
  return dispatch("mean_squared_error", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    using C = Compute<T>;
    constexpr int64_t chunk = 1 << 13;
    // x − target, of elements begin … end-1
    auto differences = [](const Array& x, const Array& target, int64_t begin, int64_t end) {
      std::vector<C> d(end - begin), b(end - begin);
      conversion_kernels<T>().load(x.data<T>() + begin, d.data(), end - begin);
      conversion_kernels<T>().load(target.data<T>() + begin, b.data(), end - begin);
      elementwise_kernels<C>().subtract(d.data(), 1, b.data(), 1, d.data(), end - begin);
      return d;
    };
    std::vector<double> partial((n + chunk - 1) / chunk);
    parallel_ranges(n, chunk, [&](int64_t begin, int64_t end) {
      std::vector<C> d = differences(x.array(), target.array(), begin, end);
      partial[begin / chunk] = accumulate_kernels<C>().sum_of_squares(d.data(), end - begin);
    });
    double sum = 0;
    for (double part : partial) sum += part;
    return record(
        "mean_squared_error", Array::full({}, sum / static_cast<double>(n), dtype_of<C>()), {x, target},
        [x = x.array(), target = target.array(), n, differences](Array dy, const Needs& needs) -> Gradients {
          // d/dx = 2 (x − target) / n, and its negative for the target
          C factor = static_cast<C>(2 * dy.item() / static_cast<double>(n));
          Array dx = save_if(needs[0], Array::empty(x.shape(), x.dtype()));
          Array dtarget = save_if(needs[1], Array::empty(x.shape(), x.dtype()));
          T* to_x = dx ? dx.mutable_data<T>() : nullptr;
          T* to_target = dtarget ? dtarget.mutable_data<T>() : nullptr;
          parallel_ranges(n, chunk, [&](int64_t begin, int64_t end) {
            std::vector<C> d = differences(x, target, begin, end);
            const ConversionKernels<T>& kernels = conversion_kernels<T>();
            if (to_x) kernels.store_scaled(d.data(), factor, to_x + begin, end - begin);
            if (to_target) kernels.store_scaled(d.data(), -factor, to_target + begin, end - begin);
          });
          return {dx, dtarget};
        });
  });
}

}  // namespace bertie
