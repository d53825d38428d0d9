// The lines of a text file, one by one: valid UTF-8, without a byte-order mark.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "bertie/data/files/line_blocks.h"
#include "bertie/data/tasks/file_place.h"

namespace bertie {

class TextLines {
 public:
  // `path` as LineBlocks takes it: a file, perhaps compressed by gzip, a pipe, or "-"; `where` begins
  // messages.
  TextLines(const char* where, const std::string& path);
  TextLines(const char* where, std::unique_ptr<InputFile> file);

  // Goes to the next line; false at the end. Waits where a pipe has none yet. Throws where the file can't be
  // read or the line isn't UTF-8, naming it.
  bool next();
  // The line, without its '\n', until next() is called; a '\r' before that is a part of it.
  std::string_view line() const { return line_; }
  FilePlace place() const { return {path_, number_}; }
  // Whether next() wouldn't wait for anybody.
  bool has_next() const;

 private:
  const char* where_;
  std::shared_ptr<const std::string> path_;
  LineBlocks blocks_;
  std::span<const std::string_view> waiting_;  // lines of the block that come next
  std::string_view line_;
  int64_t number_ = 0;
};

// A line's text, without the '\r' that Windows puts before its '\n'.
std::string_view without_return(std::string_view line);
// Whether there is nothing but white space.
bool is_blank(std::string_view text);
// The text without the white space around it.
std::string_view stripped(std::string_view text);

}  // namespace bertie
