// One source of a corpus, block by block, and what there is to say about it at its end.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bertie/data/batches/corpus.h"
#include "bertie/data/files/content_hash.h"
#include "bertie/data/files/line_blocks.h"

namespace bertie {

class SourceReader {
 public:
  // The source must outlive this.
  SourceReader(const CorpusSource& source, Documents documents);

  // Goes to the next block, of some megabytes, which may have no lines; false at the end.
  bool next();
  std::span<const std::string_view> lines() const { return lines_; }
  bool begins_document(size_t line) const { return begins_[line]; }

  int64_t position() const;  // bytes of the file read so far
  // The source with what all that was read so far is.
  CorpusSource found() const;

 private:
  // What is made from some of a block's lines.
  struct Part {
    std::vector<std::string> texts;
    std::vector<size_t> lines;  // the line of each
    int64_t replaced = 0;
    size_t first_replaced = 0;  // line
    std::string failure;
  };
  void refuse_binary(std::span<const std::string_view> raw);
  Part make_valid(std::span<const std::string_view> raw, size_t begin, size_t end) const;
  // The last line of the block before goes on with these.
  void add_lines(std::span<const std::string_view> raw, bool goes_on);
  void add_line(std::string_view line);
  void add_object(std::string_view text);

  const CorpusSource& source_;
  Documents documents_;
  bool is_json_, begins_next_ = true;
  LineBlocks blocks_;
  int64_t bytes_ = 0;  // of the lines so far, at most those looked at for a NUL
  std::vector<Part> parts_;
  std::vector<std::string_view> lines_;
  std::vector<bool> begins_;
  ContentHash hash_;
  CorpusSource found_;
};

}  // namespace bertie
