#include "apps/run/run_optimizer.h"

#include "bertie/nn/muon.h"

namespace bertie {

std::unique_ptr<Optimizer> make_optimizer(const RunOptions& options, ParameterBlock& parameters,
                                          const BertModel& model, Processes& processes) {
  AdamOptions adam;
  adam.weight_decay = options.weight_decay;
  if (options.muon)
    return std::make_unique<Muon>(parameters, model.encoder(), MuonOptions{.rest = adam}, processes);
  return std::make_unique<AdamW>(parameters, adam);
}

}  // namespace bertie
