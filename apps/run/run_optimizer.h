// The optimizer that a training program was asked for.
#pragma once
#include <memory>

#include "apps/run/run_options.h"
#include "bertie/models/bert.h"
#include "bertie/nn/optimizer.h"

namespace bertie {

// AdamW, or Muon for the matrices of the model's encoder that are trained. `parameters` and `processes` must
// outlive it. Throws where Muon has none.
std::unique_ptr<Optimizer> make_optimizer(const RunOptions& options, ParameterBlock& parameters,
                                          const BertModel& model, Processes& processes);

}  // namespace bertie
