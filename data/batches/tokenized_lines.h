// Lines as token ids, cut to the length that a model can take.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "bertie/autograd/error.h"
#include "bertie/data/tokenizer/tokenizer.h"

namespace bertie {

// Sequence i is ids [offsets[i], offsets[i + 1]), without [CLS] and [SEP], which a batch adds.
struct TokenizedLines {
  std::vector<int32_t> ids;
  std::vector<int64_t> offsets = {0};

  int64_t size() const { return static_cast<int64_t>(offsets.size()) - 1; }
  std::span<const int32_t> operator[](int64_t sequence) const {
    BERTIE_CHECK(sequence >= 0 && sequence < size(), "batch", "there are {} sequences, asked for number {}",
                 size(), sequence);
    return std::span(ids).subspan(offsets[sequence], offsets[sequence + 1] - offsets[sequence]);
  }
};

// One sequence per line; a line of more than max_length − 2 tokens gives several, cut between words unless a
// single word is longer. Lines without tokens are left out. In parallel, the same on any number of threads.
// Throws where max_length, which counts [CLS] and [SEP], is below 3.
TokenizedLines tokenize_lines(const Tokenizer& tokenizer, std::span<const std::string_view> lines,
                              int64_t max_length);

}  // namespace bertie
