// Text to train on: files of lines. A line is a unit of text, a blank line ends a document, and so does the
// end of a file. Only '\n' ends a line; one of white space alone is blank.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace bertie {

struct Corpus {
  std::vector<std::string> sources;                       // names of the files
  std::vector<std::shared_ptr<const std::string>> texts;  // their contents, which the lines point into
  std::vector<std::string_view> lines;                    // of all files; no blank ones
  std::vector<int64_t> document_offsets = {0};            // document d is lines [offsets[d], offsets[d + 1])

  // Invalid UTF-8, replaced by U+FFFD: how many sequences, and where the first one was.
  int64_t replaced = 0;
  std::string first_replaced_source;
  int64_t first_replaced_line = 0;  // from 1

  int64_t documents() const { return static_cast<int64_t>(document_offsets.size()) - 1; }
};

// Regular files, pipes, and standard input as "-". Throws an Error that names the file where one can't be
// read, has no text (nothing but white space), or is binary (a NUL within its first 64 KiB).
Corpus read_corpus(const std::vector<std::string>& paths);

// Adds a text that comes from elsewhere than a file; `source` names it. Throws as read_corpus() does.
void add_text(Corpus& corpus, const std::string& source, std::string text);

// Lines of a corpus, in its order. They point into it.
struct CorpusSplit {
  std::vector<std::string_view> training;
  std::vector<std::string_view> held_out;
};

// Holds out every 20th document, or, where there are fewer than 20, every 20th line; of fewer than 20 lines
// the last one. Throws an Error where there is only one line.
CorpusSplit split_corpus(const Corpus& corpus);

}  // namespace bertie
