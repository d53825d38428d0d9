// What a run of bert_pretrain takes of memory, known before its first step, and how many parts its batches
// are cut into to keep a limit.
#pragma once
#include <optional>
#include <string>

#include "apps/pretrain_options.h"
#include "apps/pretraining_text.h"
#include "apps/run/training_report.h"
#include "bertie/models/bert_memory.h"

namespace bertie {

// The batches of a run, as far as memory depends on them.
struct RunBatches {
  int64_t step_tokens = 0;        // of a step's batch, at most
  int64_t evaluation_tokens = 0;  // of one that is evaluated on, at most
  int64_t longest = 0;            // tokens of the longest sequence
  double mean_length = 1;         // of sequences
  double scored_share = 0;        // of tokens, on average
  bool whole_words = false;       // what is scored comes in words
  int64_t steps = 1;

  // The largest part that such a run is likely to have, of at most so many tokens: that any of its parts has
  // more scored tokens has a probability of 1 %.
  BatchSize largest(int64_t tokens) const;
};

// A number that fewer than one in a hundred runs exceed: in each of `draws` batches the scored ones of so
// many tokens are counted. The upper tail of the binomial distribution, by its normal approximation with a
// correction for its skewness (Cornish & Fisher, 1938).
int64_t most_scored(int64_t tokens, double share, bool whole_words, double draws);

struct PretrainMemory {
  int64_t parts = 1;              // of a step
  int64_t part_tokens = 0;        // of a part, at most
  int64_t evaluation_tokens = 0;  // the same in evaluations: as many as training's memory has room for
  int64_t weights = 0, gradients = 0, moments = 0;
  int64_t activations = 0;  // at the peak's moment, with all else that is alive then
  std::string moment;       // "backward through the decoder"
  int64_t besides = 0;      // of the process: programs, libraries, tables, what threads need of their own

  int64_t live() const { return weights + gradients + moments + activations; }  // bytes of arrays
  int64_t resident() const { return live() + besides; }                         // memory of the process
  std::string str() const;
  FactTable facts() const;
};

// What a process's memory depends on, but for the parts.
struct PretrainRun {
  BertConfig config;
  RunBatches batches;
  int64_t besides = 0;  // see PretrainMemory
  bool next_sentence = false;
  Precision precision = Precision::of_parameters;
  bool muon = false;
  int processes = 1;
};

// Of steps in so many parts.
PretrainMemory pretrain_memory(const PretrainRun& run, int64_t parts);

// With the fewest parts that keep a limit of resident memory. Throws, as an error of --memory-limit, where no
// number does, and says what the run needs at least.
PretrainMemory pretrain_memory_within(const PretrainRun& run, int64_t limit);

// The batches of a run on this text; of `steps` 0, as many as one by the clock may come to.
RunBatches run_batches(const PretrainOptions& options, const PretrainingText& text, int64_t steps,
                       int64_t batch_tokens);

// Before the text is read: throws, naming the limit, where what a run can't do without is more than the
// process may have, its weights, gradients and moments. Words that are to be learned don't count.
void check_least_memory(const BertConfig& config, const PretrainOptions& options);

// Of a run, before its first step; from what the process has in memory when this is made.
class MemoryPlan {
 public:
  MemoryPlan(const PretrainOptions& options, const BertConfig& config, const PretrainingText& text,
             int64_t steps, int64_t batch_tokens, Precision precision, int processes);

  // The fewest parts of a step that keep --memory-limit, 1 where there is none. Throws as
  // pretrain_memory_within() does.
  int64_t fewest_parts() const;
  // With so many parts, which can't change where a run is continued. Throws, naming the limit and how many
  // parts would fit, where it or one of the machine's isn't kept.
  PretrainMemory in(int64_t parts, bool is_continued) const;

 private:
  PretrainRun run_;
  std::optional<int64_t> wanted_;  // --memory-limit
};

}  // namespace bertie
