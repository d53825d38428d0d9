// Is a gradient right? Compares it with central differences, element by element.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "bertie/autograd/backward.h"

namespace bertie {

struct GradcheckOptions {
  double tolerance = 1e-6;  // of |a − n| / max(|a|, |n|, 0.01 · largest gradient of that input)
  double step = 1e-3;       // h of the differences, times max(1, |x|)
  uint64_t seed = 1;        // of the random upstream gradient
  BackwardHooks hooks;
};

// Throws an Error that names operation, input, element, analytic and numeric value where they disagree, and
// where an input receives no gradient. `f` maps the inputs, given as f64 parameters, to a result of any
// shape; it must give the same result each time. Every element of every input is checked, under a random
// upstream gradient:
//   gradcheck("my_op", [](const std::vector<Tensor>& in) { return my_op(in[0], in[1]); }, {x, w});
// The difference is (8 (f(x+h) − f(x−h)) − (f(x+2h) − f(x−2h))) / 12h, whose error falls with h⁴.
void gradcheck(const std::string& name, const std::function<Tensor(const std::vector<Tensor>&)>& f,
               const std::vector<Array>& inputs, const GradcheckOptions& options = {});

}  // namespace bertie
