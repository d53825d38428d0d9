#include "bertie/nn/optimizer.h"

#include <algorithm>
#include <cmath>

#include "bertie/autograd/threads.h"
#include "bertie/ops/kernels/optimizer.h"

namespace bertie {
namespace {

constexpr int64_t grain = 1 << 15;  // elements per task

bool decays(const ParameterBlock::Segment& segment) { return segment.parameter.tensor.shape().rank() >= 2; }

}  // namespace

void Optimizer::step(double learning_rate, double gradient_scale) {
  BERTIE_CHECK(learning_rate >= 0 && std::isfinite(learning_rate), "optimizer",
               "the learning rate must be ≥ 0, got {}", learning_rate);
  BERTIE_CHECK(std::isfinite(gradient_scale), "optimizer", "the gradients' scale isn't finite: {}",
               gradient_scale);
  parameters_.check_reached("optimizer");
  ++steps_;
  // Runs of neighbors of one decay group: few, long passes over memory.
  const std::vector<ParameterBlock::Segment>& segments = parameters_.segments();
  for (size_t first = 0, last; first < segments.size(); first = last) {
    last = first + 1;
    if (!is_updated(segments[first])) continue;
    for (; last < segments.size() && is_updated(segments[last]); ++last)
      if (weight_decay_ != 0 && decays(segments[last]) != decays(segments[first])) break;
    update(segments[first].begin, segments[last - 1].end, learning_rate, gradient_scale,
           decays(segments[first]) ? weight_decay_ : 0);
  }
  update_others(learning_rate, gradient_scale, weight_decay_);
  if (writes_rounded_ && parameters_.rounded()) parameters_.rounded_is_current();
}

SGD::SGD(ParameterBlock& parameters, double momentum) : Optimizer(parameters, 0), momentum_(momentum) {
  BERTIE_CHECK(momentum >= 0 && momentum < 1, "sgd", "the momentum must be in 0 … 1 (1 excluded), got {}",
               momentum);
  if (momentum > 0) velocity_ = Array::zeros({parameters.size()}, parameters.dtype());
}

std::vector<NamedArray> SGD::state() const {
  if (momentum_ == 0) return {};
  return {{"velocity", velocity_}};
}

void SGD::update(int64_t begin, int64_t end, double learning_rate, double gradient_scale, double) {
  dispatch_compute("sgd", parameters_.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T* parameter = parameters_.values().mutable_data<T>() + begin;
    const T* gradient = parameters_.gradients().data<T>() + begin;
    T* velocity = momentum_ > 0 ? velocity_.mutable_data<T>() + begin : nullptr;
    parallel_ranges(end - begin, grain, [&](int64_t from, int64_t to) {
      optimizer_kernels<T>().sgd(parameter + from, gradient + from, velocity ? velocity + from : nullptr,
                                 to - from, learning_rate, gradient_scale, momentum_);
    });
  });
}

AdamW::AdamW(ParameterBlock& parameters, const AdamOptions& options, std::vector<Gap> gaps)
    : Optimizer(parameters, options.weight_decay), options_(options), gaps_(std::move(gaps)) {
  BERTIE_CHECK(options.beta1 >= 0 && options.beta1 < 1 && options.beta2 >= 0 && options.beta2 < 1, "adam",
               "the betas must be in 0 … 1 (1 excluded), got {} and {}", options.beta1, options.beta2);
  // Squares of smaller gradients are lost in v: beside an epsilon as small as these, nothing would bound a
  // step.
  double least = parameters.dtype() == DType::f32 ? 1e-15 : 1e-150;
  BERTIE_CHECK(options.epsilon >= least, "adam", "epsilon must be at least {} for {} parameters, got {}",
               least, name(parameters.dtype()), options.epsilon);
  BERTIE_CHECK(options.weight_decay >= 0, "adam", "the weight decay can't be negative: {}",
               options.weight_decay);
  writes_rounded_ = true;
  first_moment_ = Array::zeros({parameters.size()}, parameters.dtype());
  second_moment_ = Array::zeros({parameters.size() - gaps_before(parameters.size())}, parameters.dtype());
}

int64_t AdamW::gaps_before(int64_t begin) const {
  int64_t elements = 0;
  for (const Gap& gap : gaps_)
    if (gap.begin < begin) elements += gap.end - gap.begin;
  return elements;
}

bool AdamW::is_updated(const ParameterBlock::Segment& segment) const {
  return std::none_of(gaps_.begin(), gaps_.end(),
                      [&](const Gap& gap) { return gap.begin <= segment.begin && segment.end <= gap.end; });
}

std::vector<NamedArray> AdamW::state() const {
  return {{"first_moment", first_moment_}, {"second_moment", second_moment_}};
}

void AdamW::update(int64_t begin, int64_t end, double learning_rate, double gradient_scale,
                   double weight_decay) {
  double t = static_cast<double>(steps_done());
  AdamStep step{.learning_rate = learning_rate,
                .gradient_scale = gradient_scale,
                .weight_decay = weight_decay,
                .beta1 = options_.beta1,
                .beta2 = options_.beta2,
                .epsilon = options_.epsilon,
                .correction1 = 1 - std::pow(options_.beta1, t),
                .correction2 = 1 - std::pow(options_.beta2, t)};
  dispatch_compute("adam", parameters_.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T* parameter = parameters_.values().mutable_data<T>() + begin;
    const T* gradient = parameters_.gradients().data<T>() + begin;
    T *first = first_moment_.mutable_data<T>() + begin,
      *second = second_moment_.mutable_data<T>() + begin - gaps_before(begin);
    bfloat16* rounded =
        parameters_.rounded() ? parameters_.rounded().mutable_data<bfloat16>() + begin : nullptr;
    parallel_ranges(end - begin, grain, [&](int64_t from, int64_t to) {
      optimizer_kernels<T>().adam(parameter + from, gradient + from, first + from, second + from,
                                  rounded ? rounded + from : nullptr, to - from, step);
    });
  });
}

Adam::Adam(ParameterBlock& parameters, AdamOptions options) : AdamW(parameters, options) {
  BERTIE_CHECK(options.weight_decay == 0, "adam", "Adam has no weight decay; AdamW has");
}

}  // namespace bertie
