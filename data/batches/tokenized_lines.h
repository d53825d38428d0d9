// Lines as token ids, cut to the length that a model can take.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "bertie/autograd/error.h"
#include "bertie/data/tokenizer/tokenizer.h"

namespace bertie {

// What TokenizedLines are made from in memory.
struct TokenVectors {
  std::vector<int32_t> ids;
  std::vector<int64_t> offsets = {0};
  std::vector<int64_t> document_offsets = {0};

  // Ends a sequence, or a document, with what was added last; neither is ever empty.
  void end_sequence();
  void end_document();
};

// Sequence i is ids [offsets[i], offsets[i + 1]), without [CLS] and [SEP], which a batch adds. Document d is
// sequences [document_offsets[d], document_offsets[d + 1]). They lie in memory or in mapped files, whose
// owner they keep; a copy costs nothing.
struct TokenizedLines {
  std::span<const int32_t> ids;
  std::span<const int64_t> offsets, document_offsets;
  std::shared_ptr<const void> owner;

  TokenizedLines();  // none
  // Sequences after the last end of a document are one more.
  explicit TokenizedLines(TokenVectors vectors);

  int64_t size() const { return static_cast<int64_t>(offsets.size()) - 1; }
  int64_t documents() const { return static_cast<int64_t>(document_offsets.size()) - 1; }
  std::span<const int32_t> operator[](int64_t sequence) const {
    BERTIE_CHECK(sequence >= 0 && sequence < size(), "batch", "there are {} sequences, asked for number {}",
                 size(), sequence);
    return ids.subspan(offsets[sequence], offsets[sequence + 1] - offsets[sequence]);
  }
};

// One sequence per line; a line of more than max_length − 2 tokens gives several, cut between words unless a
// single word is longer. Lines without tokens are left out. All are one document. In parallel, the same on
// any number of threads. Throws where max_length, which counts [CLS] and [SEP], is below 3.
TokenizedLines tokenize_lines(const Tokenizer& tokenizer, std::span<const std::string_view> lines,
                              int64_t max_length);

// The same for text that comes in blocks.
class LineTokenizer {
 public:
  // The tokenizer must outlive this.
  LineTokenizer(const Tokenizer& tokenizer, int64_t max_length);

  // Some lines one after the other. Line i has sequences [line_offsets[i], line_offsets[i + 1]), perhaps
  // none.
  struct Part {
    TokenVectors sequences;  // without documents
    std::vector<int64_t> line_offsets = {0};
  };
  std::vector<Part> tokenize(std::span<const std::string_view> lines) const;

 private:
  const Tokenizer& tokenizer_;
  int64_t limit_;
  std::vector<bool> continues_word_;
};

}  // namespace bertie
