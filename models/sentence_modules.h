// What sentence-transformers makes of a BERT's token embeddings: modules.json of a model's directory and the
// folders that it names (1_Pooling, 2_Dense, 2_Normalize), sentence_bert_config.json and
// config_sentence_transformers.json. Names are those of that library.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "bertie/autograd/tensor.h"
#include "bertie/data/files/load_note.h"
#include "bertie/ops/packing.h"

namespace bertie {

// How the embeddings of a sequence's tokens become one, each from token `first` of the sequence on (but its
// last one where none is left):
//   cls                    that of token `first`
//   mean                   their mean
//   max                    the largest of each component
//   mean_sqrt_len_tokens   their sum / √number
//   weightedmean           Σ (t + 1) x_t / Σ (t + 1), t the place in the whole sequence
//   lasttoken              that of the last token
// Several modes stand one behind the other.    x [T, H] f32 or f64 → [N, modes · H]. Throws on another mode
// and on an empty sequence.
const std::vector<std::string>& pooling_modes();
Array pool(const Array& x, const Packing& packing, const std::vector<std::string>& modes, int64_t first = 0);

// Each row to length 1; a row of zeros stays.    [N, H] → [N, H]
Array normalize_rows(const Array& x);

struct SentenceModules {
  std::string transformer;                // the folder of the BERT
  std::optional<int64_t> max_seq_length;  // counts instead of the tokenizer's model_max_length
  bool do_lower_case = false;             // before the tokenizer does what it does
  std::string prompt;                     // stands before every text
  bool include_prompt = true;             // its tokens are pooled, too
  std::vector<std::string> pooling;       // modes
  // What comes behind pooling: Dense, LayerNorm, Normalize.    [N, H] → [N, H′]
  std::vector<std::function<Tensor(const Tensor&)>> steps;
  std::optional<int64_t> dense_width;  // of the last Dense
  std::string description;             // "mean of the tokens, then Normalize"
  std::vector<LoadNote> notes;

  int64_t width(int64_t hidden) const;  // of what apply() gives for tokens of this width
  Array apply(const Array& x, const Packing& packing, int64_t prompt_tokens = 0) const;
};

// None where the directory has no modules.json. Throws, naming the file and the key, on modules and settings
// that bertie doesn't compute; keys that aren't known have a note.
std::optional<SentenceModules> read_sentence_modules(const std::string& directory);

}  // namespace bertie
