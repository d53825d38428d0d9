// A training step of a BERT, for the programs that time it.
#pragma once
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bertie/data/batches/batch_parts.h"
#include "bertie/models/bert_heads.h"
#include "bertie/nn/training.h"
#include "bertie/ops/gemm.h"

namespace bertie {

// A preset with 30,522 words for base and 8,192 otherwise.
BertConfig benchmark_config(const std::string& preset);

// Where the seconds of one step went.
struct StepSeconds {
  double forward = 0, backward = 0, update = 0;
  std::map<std::string_view, double> backward_by_operation;
  double whole() const { return forward + backward + update; }
};

// Random ids, 15 % of the positions scored, dropout 0.1, clipping at global norm 1; AdamW with weight decay
// 0.01, or Muon for the encoder's matrices.
class BertStep : private Objective {
 public:
  // Sequences as packed, in so many parts; those of each process are its own, where there are several.
  BertStep(const BertConfig& config, const Packing& packing, Precision precision, int64_t parts,
           bool muon = false, Processes& processes = this_process());

  int64_t tokens() const { return batch_.tokens.tokens(); }  // of all parts
  const ParameterBlock& parameters() const { return parameters_; }
  Precision precision() const { return model_.precision(); }
  GemmBackend gemm_backend() const;  // the library that serves the largest products of a layer
  double flops() const;

  StepSeconds run(const std::function<void(const Tensor&)>& on_final_gradient = {});

 private:
  using Clock = std::chrono::steady_clock;

  double lap();
  int64_t begin_step(int64_t) override { return std::ssize(parts_); }
  Tensor loss(int64_t part) override;

  BertConfig config_;
  BertForMaskedLM model_;
  ParameterBlock parameters_;
  Processes& processes_;
  std::unique_ptr<Optimizer> optimizer_;
  MaskedBatch batch_;
  std::vector<MaskedBatch> parts_;
  uint64_t step_ = 0;
  StepSeconds seconds_;          // of the step that runs
  double* operation_ = nullptr;  // the one whose turn it is
  Clock::time_point last_ = {};
};

}  // namespace bertie
