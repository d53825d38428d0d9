#include "apps/pretrain_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "apps/console/memory_limits.h"
#include "bertie/autograd/error.h"
#include "bertie/autograd/memory.h"
#include "bertie/autograd/threads.h"
#include "bertie/nn/part_tree.h"

namespace bertie {
namespace {

// How many standard deviations a normal variable exceeds with this probability.
double normal_quantile(double probability) {
  double low = 0, high = 38;
  for (int i = 0; i < 60; ++i) {
    double middle = (low + high) / 2;
    (std::erfc(middle / std::sqrt(2.0)) / 2 > probability ? low : high) = middle;
  }
  return high;
}

// Batches that wait on the stream's thread or are being made, and the step's own.
constexpr int64_t batches_there = 5;

int64_t batch_bytes(const BatchSize& batch, bool types) {
  return batch.tokens * (types ? 8 : 4) + batch.scored * 12;
}

// The largest one in low … high that is `good`, as all below it are; `low` where none is.
template <class Good>
int64_t largest_number(int64_t low, int64_t high, Good good) {
  while (low < high) {
    int64_t middle = low + (high - low + 1) / 2;
    if (good(middle))
      low = middle;
    else
      high = middle - 1;
  }
  return low;
}

constexpr int64_t most_evaluation_tokens = 4096;  // of a batch of held-out text

// What oneDNN and OpenBLAS have in use for a thread's products, the copies of their factors above all.
constexpr int64_t thread_bytes = int64_t{8} << 20;

// What this process takes beside its arrays: what it has now, of which mapped text, pages that the system
// takes back at need, doesn't count, and what its threads will need more for products. Pages of arrays that
// are no more stay, and serve others.
int64_t memory_besides(const PretrainingText& text) {
  int64_t mapped = 0;
  for (const TokenizedLines* lines : {&text.training, &text.held_out})
    mapped += static_cast<int64_t>(lines->ids.size_bytes() + lines->offsets.size_bytes());
  ProcessMemory now = process_memory();
  return std::max<int64_t>(
             0, now.resident - std::min(mapped, now.resident_files) - memory_counters().peak_bytes) +
         thread_count() * thread_bytes;
}

// With 1, 2, … parts, up to as many as a step has sequences on average.
int64_t most_parts(const PretrainRun& run) {
  return std::max<int64_t>(
      1, static_cast<int64_t>(static_cast<double>(run.batches.step_tokens) / run.batches.mean_length));
}

// One after the other: where more parts need another block of gradients, they may take more.
std::optional<PretrainMemory> with_fewest_parts(const PretrainRun& run, int64_t limit) {
  for (int64_t parts = 1; parts <= most_parts(run); ++parts)
    if (PretrainMemory memory = pretrain_memory(run, parts); memory.resident() <= limit) return memory;
  return {};
}

PretrainMemory least_memory(const PretrainRun& run) {
  PretrainMemory least = pretrain_memory(run, 1);
  for (int64_t parts = 2; parts <= most_parts(run); ++parts)
    if (PretrainMemory memory = pretrain_memory(run, parts); memory.resident() < least.resident())
      least = memory;
  return least;
}

// "--parts 4 fits"
std::string help_within(const PretrainRun& run, int64_t limit) {
  if (std::optional<PretrainMemory> fits = with_fewest_parts(run, limit))
    return fmt::format("--parts {} fits", fits->parts);
  PretrainMemory memory = least_memory(run);
  return fmt::format("it takes {} at least, with --parts {}", memory_text(memory.resident()), memory.parts);
}

}  // namespace

int64_t most_scored(int64_t tokens, double share, bool whole_words, double draws) {
  // The pieces of a word are scored together, so that there are fewer independent draws. Of English text an
  // average piece is in a word of about two.
  double variance_factor = whole_words ? 2 : 1;
  auto n = static_cast<double>(tokens);
  double deviation = std::sqrt(n * share * (1 - share) * variance_factor);
  double z = normal_quantile(0.01 / std::max(1.0, draws));
  double most = n * share + z * deviation + variance_factor * (1 - 2 * share) * (z * z - 1) / 6;
  return std::clamp(static_cast<int64_t>(std::ceil(most)), int64_t{1}, tokens);
}

BatchSize RunBatches::largest(int64_t tokens) const {
  tokens = std::max(tokens, longest);
  double parts = static_cast<double>(steps) *
                 std::max(1.0, static_cast<double>(step_tokens) / static_cast<double>(tokens));
  return {tokens, most_scored(tokens, scored_share, whole_words, parts),
          static_cast<int64_t>(static_cast<double>(tokens) / mean_length) + 1, longest};
}

PretrainMemory pretrain_memory(const PretrainRun& run, int64_t parts) {
  const auto& [config, batches, besides, next_sentence, precision, muon, processes] = run;
  BatchSize step = batches.largest(batches.step_tokens), part = step;
  if (parts > 1)  // see plan_parts() of data/batches/batching.h
    part =
        batches.largest(std::min(step.tokens, (batches.step_tokens + parts - 1) / parts + batches.longest));
  std::vector<MemoryMoment> moments = training_moments(config, part,
                                                       {.next_sentence = next_sentence,
                                                        .in_parts = parts > 1,
                                                        .threads = thread_count(),
                                                        .precision = precision,
                                                        .muon = muon,
                                                        .processes = processes});
  auto evaluation = [&run](int64_t tokens) {
    return peak_of(
        evaluation_moments(run.config, run.batches.largest(tokens), thread_count(), run.precision));
  };
  int64_t evaluated = largest_number(batches.longest, batches.evaluation_tokens, [&](int64_t tokens) {
    return evaluation(tokens).bytes <= peak_of(moments).bytes;
  });
  moments.push_back(evaluation(evaluated));
  moments.back().name = "evaluation, " + moments.back().name;
  const MemoryMoment& peak = peak_of(moments);
  int64_t parameters = pretraining_parameters(config, next_sentence);
  return {.parts = parts,
          .part_tokens = part.tokens,
          .evaluation_tokens = evaluated,
          .weights = (precision == Precision::bf16 ? 6 : 4) * parameters,
          .gradients = 4 * parameters * places_for(parts),
          .moments = 8 * parameters - (muon ? 4 * encoder_matrix_parameters(config) : 0),
          .activations = peak.bytes + batches_there * batch_bytes(step, next_sentence),
          .moment = peak.name,
          .besides = besides};
}

PretrainMemory pretrain_memory_within(const PretrainRun& run, int64_t limit) {
  if (std::optional<PretrainMemory> fits = with_fewest_parts(run, limit)) return *fits;
  fail("memory-limit", "{} isn't enough: {}", memory_text(limit), help_within(run, limit));
}

RunBatches run_batches(const PretrainOptions& o, const PretrainingText& text, int64_t steps,
                       int64_t batch_tokens) {
  const TokenizedLines& lines = text.training;
  auto ids = static_cast<int64_t>(lines.ids.size());
  int64_t stride = 1 + ids / 4'000'000, scorable = 0;  // a sample of a large text
  for (int64_t i = 0; i < ids; i += stride) scorable += text.scorable[lines.ids[i]];
  double of_tokens =
      static_cast<double>(scorable * stride) / static_cast<double>(ids);  // not [CLS] and [SEP]
  RunBatches batches{.step_tokens = batch_tokens,
                     .evaluation_tokens = most_evaluation_tokens,
                     .longest = o.max_length,
                     .mean_length = 0.9 * static_cast<double>(o.max_length),
                     .scored_share = o.mask_probability * of_tokens,
                     .whole_words = o.whole_words,
                     .steps = steps > 0 ? steps : 1'000'000};
  if (o.next_sentence) {
    batches.scored_share *= 1 - 3 / static_cast<double>(o.max_length);
    return batches;
  }
  int64_t longest = 0, all = tokens_of(lines);
  for (int64_t i = 0; i < lines.size(); ++i)
    longest = std::max(longest, lines.offsets[i + 1] - lines.offsets[i] + 2);
  batches.longest = longest;
  batches.mean_length = static_cast<double>(all) / static_cast<double>(lines.size());
  batches.scored_share *= static_cast<double>(ids) / static_cast<double>(all);
  batches.step_tokens = std::min(batch_tokens, all);
  return batches;
}

void check_least_memory(const BertConfig& config, const PretrainOptions& o) {
  BertConfig least = config;
  if (o.model.empty()) least.vocab_size = 1;
  int64_t bytes = 16 * pretraining_parameters(least, o.next_sentence) -
                  (o.muon ? 4 * encoder_matrix_parameters(least) : 0) + process_memory().resident;
  MemoryLimit allowed = smallest_memory_limit();
  if (o.memory_limit && *o.memory_limit < allowed.resident) allowed = {*o.memory_limit, "--memory-limit"};
  BERTIE_CHECK(bytes <= allowed.resident, "memory-limit",
               "the program takes {} with weights, gradients and moments alone; {}", memory_text(bytes),
               allowed.str());
}

MemoryPlan::MemoryPlan(const PretrainOptions& options, const BertConfig& config, const PretrainingText& text,
                       int64_t steps, int64_t batch_tokens, Precision precision, int processes)
    : run_{.config = config,
           .batches = run_batches(options, text, steps, batch_tokens),
           .besides = memory_besides(text),
           .next_sentence = options.next_sentence,
           .precision = precision,
           .muon = options.muon,
           .processes = processes},
      wanted_(options.memory_limit) {}

int64_t MemoryPlan::fewest_parts() const {
  return wanted_ ? pretrain_memory_within(run_, *wanted_).parts : 1;
}

PretrainMemory MemoryPlan::in(int64_t parts, bool is_continued) const {
  PretrainMemory memory = pretrain_memory(run_, parts);
  auto help = [&](int64_t limit) {
    return is_continued ? fmt::format("the parts of the run that is continued, {}, can't change", parts)
                        : help_within(run_, limit);
  };
  BERTIE_CHECK(!wanted_ || memory.resident() <= *wanted_, "memory-limit",
               "{} isn't enough, the run takes {}: {}", memory_text(*wanted_), memory_text(memory.resident()),
               help(*wanted_));
  MemoryLimit limit = smallest_memory_limit();
  BERTIE_CHECK(memory.resident() <= limit.resident, "memory-limit", "the run takes {}; {}: {}",
               memory_text(memory.resident()), limit.str(), help(limit.resident));
  return memory;
}

std::string PretrainMemory::str() const {
  std::string of_parts =
      parts > 1 ? fmt::format("; each step in {} parts of up to {} tokens", parts, part_tokens) : "";
  return fmt::format(
      "Memory: {} at the peak: weights {}, gradients {}, moments {}, activations {} ({}); resident about "
      "{}{}",
      memory_text(live()), memory_text(weights), memory_text(gradients), memory_text(moments),
      memory_text(activations), moment, memory_text(resident()), of_parts);
}

FactTable PretrainMemory::facts() const {
  return {"Memory",
          {{"At the peak", memory_text(live())},
           {"Weights", memory_text(weights)},
           {"Gradients", memory_text(gradients)},
           {"Moments", memory_text(moments)},
           {"Activations", fmt::format("{}, {}", memory_text(activations), moment)},
           {"Resident, about", memory_text(resident())},
           {"Parts of a step", fmt::format("{}, of up to {} tokens", parts, part_tokens)}}};
}

}  // namespace bertie
