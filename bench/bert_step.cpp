#include "bench/bert_step.h"

#include <algorithm>
#include <cmath>

#include "bench/bert_input.h"
#include "bertie/autograd/node.h"
#include "bertie/models/bert_flops.h"
#include "bertie/nn/muon.h"

namespace bertie {
namespace {

// `count` different ones of the rows 0 … total-1, in order (Knuth, TAOCP 3.4.2, algorithm S).    [count] i64
Array random_rows(Random& random, int64_t count, int64_t total) {
  std::vector<int64_t> rows;
  for (int64_t row = 0; row < total; ++row)
    if (static_cast<int64_t>(random.below(total - row)) < count - std::ssize(rows)) rows.push_back(row);
  return Array::from(rows);
}

}  // namespace

BertConfig benchmark_config(const std::string& preset) {
  BertConfig config = bert_preset(preset);
  config.vocab_size = preset == "base" ? 30522 : 8192;
  return config;
}

BertStep::BertStep(const BertConfig& config, const Packing& packing, Precision precision, int64_t parts,
                   bool muon, Processes& processes)
    : config_(config),
      model_(config_, Initializer::normal(config_.initializer_range, 0)),
      parameters_((model_.set_precision(precision), model_)),
      processes_(processes) {
  AdamOptions adam{.weight_decay = 0.01};
  if (muon)
    optimizer_ =
        std::make_unique<Muon>(parameters_, model_.bert().encoder(), MuonOptions{.rest = adam}, processes);
  else
    optimizer_ = std::make_unique<AdamW>(parameters_, adam);
  TokenBatch& tokens = batch_.tokens;
  tokens.offsets = packing.offsets;
  for (size_t n = 1; n < tokens.offsets.size(); ++n) tokens.sequences.push_back(static_cast<int64_t>(n) - 1);
  int64_t scored = std::max<int64_t>(1, std::llround(0.15 * static_cast<double>(tokens.tokens())));
  Random random(0);
  tokens.ids = random_ids(random, tokens.tokens(), config_.vocab_size);
  batch_.scored_rows = random_rows(random, scored, tokens.tokens());
  batch_.labels = random_ids(random, scored, config_.vocab_size);
  parts_ = cut_batch(batch_, parts);
}

GemmBackend BertStep::gemm_backend() const {
  DType type = precision() == Precision::bf16 ? DType::bf16 : DType::f32;
  return bertie::gemm_backend(type, tokens(), config_.intermediate_size, config_.hidden_size);
}

double BertStep::flops() const {
  return mlm_training_flops(config_, batch_.tokens.offsets, batch_.scored_rows.size());
}

StepSeconds BertStep::run(const std::function<void(const Tensor&)>& on_final_gradient) {
  seconds_ = {};
  operation_ = nullptr;
  last_ = Clock::now();
  BackwardHooks hooks;
  hooks.on_final_gradient = on_final_gradient;
  hooks.on_node = [this](const Node& node, const Array&) {
    double elapsed = lap();
    seconds_.backward += elapsed;
    if (operation_) *operation_ += elapsed;
    if (!node.is_parameter) operation_ = &seconds_.backward_by_operation[node.op];
  };
  TrainingOptions training{
      .steps = 1, .schedule = {.peak = 1e-4, .decay = Schedule::Decay::constant}, .processes = &processes_};
  ++step_;
  train(
      parameters_, *optimizer_, training, *this, [](const StepReport&) { return true; }, hooks);
  seconds_.update = lap();
  return seconds_;
}

double BertStep::lap() {
  auto now = Clock::now();
  return std::chrono::duration<double>(now - std::exchange(last_, now)).count();
}

Tensor BertStep::loss(int64_t part) {
  if (part > 0) seconds_.backward += lap();  // its end: adding up
  const MaskedBatch& batch = parts_[part];
  if (batch.tokens.sequences.empty()) return {};
  Tensor logits = model_.rounded_logits(bert_input(batch.tokens, 0, step_), batch.scored_rows);
  Tensor loss = model_.loss(logits, batch.labels, static_cast<double>(batch_.labels.size()));
  seconds_.forward += lap();
  return loss;
}

}  // namespace bertie
