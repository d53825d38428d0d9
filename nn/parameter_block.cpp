#include "bertie/nn/parameter_block.h"

#include <algorithm>
#include <cmath>

#include "bertie/autograd/accumulate_table.h"
#include "bertie/autograd/node.h"
#include "bertie/autograd/threads.h"

namespace bertie {

namespace {

double norm(const Array& block) {
  constexpr int64_t chunk = 1 << 16;
  std::vector<double> partial((block.size() + chunk - 1) / chunk);
  dispatch_compute("norm", block.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* values = block.data<T>();
    parallel_ranges(block.size(), chunk, [&](int64_t begin, int64_t end) {
      partial[begin / chunk] = accumulate_kernels<T>().sum_of_squares(values + begin, end - begin);
    });
  });
  double sum = 0;
  for (double part : partial) sum += part;
  return std::sqrt(sum);
}

}  // namespace

ParameterBlock::ParameterBlock(Module& model) {
  std::vector<Parameter> parameters = model.parameters();
  std::erase_if(parameters, [](const Parameter& parameter) { return !parameter.tensor.requires_grad(); });
  BERTIE_CHECK(!parameters.empty(), "parameter_block", "the model has no parameters to train");
  DType type = parameters.front().tensor.dtype();
  int64_t size = 0;
  for (const Parameter& parameter : parameters) {
    BERTIE_CHECK(parameter.tensor, "parameter_block", "{} has given its value up and can't be trained",
                 parameter.names[0]);
    BERTIE_CHECK(parameter.tensor.dtype() == type, "parameter_block", "{} is {}, but {} is {}",
                 parameter.names[0], name(parameter.tensor.dtype()), parameters.front().names[0], name(type));
    int64_t end = size + parameter.tensor.array().size();
    segments_.push_back({parameter, size, end});
    size = end;
  }
  values_ = Array::empty({size}, type);
  gradients_ = Array::zeros({size}, type);
  if (model.precision() == Precision::bf16) rounded_ = Array::empty({size}, DType::bf16);
  size_t bound = 0;
  try {
    for (; bound < segments_.size(); ++bound) {
      Tensor& tensor = segments_[bound].parameter.tensor;
      int64_t begin = segments_[bound].begin;
      tensor.bind(values_.flat(begin, tensor.shape()), gradients_.flat(begin, tensor.shape()));
      if (rounded_) tensor.bind_rounded(rounded_.flat(begin, tensor.shape()));
    }
  } catch (...) {  // no destructor will run
    while (bound > 0) segments_[--bound].parameter.tensor.unbind();
    throw;
  }
}

ParameterBlock::~ParameterBlock() {
  for (Segment& segment : segments_) segment.parameter.tensor.unbind();
}

void ParameterBlock::rounded_is_current() {
  for (Segment& segment : segments_) segment.parameter.tensor.rounded_is_current();
}

void ParameterBlock::zero_grad() {
  for (Segment& segment : segments_) segment.parameter.tensor.zero_grad();
}

void ParameterBlock::collect_in(const Array& block, const std::vector<bool>& holds) {
  BERTIE_CHECK(
      block.shape() == gradients_.shape() && block.dtype() == dtype() && holds.size() == segments_.size(),
      "parameter_block", "gradients of {} {} in {} segments can't be collected in {} {} of {}", name(dtype()),
      gradients_.shape(), segments_.size(), name(block.dtype()), block.shape(), holds.size());
  for (size_t i = 0; i < segments_.size(); ++i) {
    Node& parameter = *segments_[i].parameter.tensor.node();
    parameter.grad = block.flat(segments_[i].begin, parameter.shape);
    parameter.has_grad = holds[i];
  }
}

void ParameterBlock::check_reached(const char* who) const {
  std::string unreached;
  for (const Segment& segment : segments_)
    if (!segment.parameter.tensor.grad())
      unreached += (unreached.empty() ? "" : ", ") + segment.parameter.names[0];
  BERTIE_CHECK(unreached.empty(), who, "the loss doesn't reach these parameters: {}", unreached);
}

double ParameterBlock::gradient_norm() const {
  check_reached("gradient_norm");
  return norm(gradients_);
}

double ParameterBlock::value_norm() const { return norm(values_); }

double clip_factor(double norm, double max_norm) { return std::min(1.0, max_norm / (norm + 1e-6)); }

}  // namespace bertie
