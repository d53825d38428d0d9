#include <fmt/format.h>

#include <cmath>

#include "bertie/autograd/accumulate_table.h"
#include "bertie/autograd/backward.h"
#include "bertie/autograd/node.h"

namespace bertie {
namespace {

double norm(const Array& array) {
  return dispatch("explain", array.dtype(), [&](auto zero) {
    using T = decltype(zero);
    return std::sqrt(accumulate_kernels<T>().sum_of_squares(array.data<T>(), array.size()));
  });
}

}  // namespace

std::string explain(const Tensor& loss) {
  std::string text =
      fmt::format("{:<4} {:<16} {:<20} {:>14} {:>14}\n", "#", "operation", "shape", "|value|", "|gradient|");
  int line = 0;
  bool all_finite = true;
  BackwardHooks hooks;
  hooks.on_node = [&](const Node& node, const Array& gradient) {
    double value = node.value ? norm(node.value) : 0, slope = norm(gradient);
    text += fmt::format("{:<4} {:<16} {:<20} {:>14} {:>14}", line++, node.op, node.shape.str(),
                        node.value ? fmt::format("{:.6g}", value) : "freed", fmt::format("{:.6g}", slope));
    if (all_finite && !(std::isfinite(value) && std::isfinite(slope))) {
      all_finite = false;
      text += "  <-- the first that isn't finite";
    }
    text += '\n';
  };
  backward(loss, hooks);
  return text;
}

}  // namespace bertie
