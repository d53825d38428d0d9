// The lines of a corpus, block by block, for work on many threads.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "bertie/data/batches/corpus.h"

namespace bertie {

class SourceReader;

class CorpusReader {
 public:
  // The corpus must outlive this.
  explicit CorpusReader(const Corpus& corpus, CorpusProgress progress = {});
  ~CorpusReader();
  CorpusReader(const CorpusReader&) = delete;
  CorpusReader& operator=(const CorpusReader&) = delete;

  // Goes to the next block, of some megabytes; false at the end. Throws where a file can't be read, or isn't
  // any more what it was when the corpus was made.
  bool next();
  // Until the next call. No line is blank, and all are valid UTF-8.
  std::span<const std::string_view> lines() const;
  std::span<const int64_t> documents() const { return documents_; }  // number of each line's document
  int64_t first_line() const { return first_line_; }                 // number of the first of these lines

 private:
  const Corpus& corpus_;
  CorpusProgress progress_;
  std::unique_ptr<SourceReader> reader_;
  size_t source_ = 0;
  std::vector<int64_t> documents_;
  int64_t first_line_ = 0, last_document_ = -1;
  int64_t done_ = 0, total_ = 0;  // bytes
};

}  // namespace bertie
