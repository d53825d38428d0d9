// Words and what is said of each.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "bertie/data/tasks/file_place.h"

namespace bertie {

struct TaggedSentence {
  std::vector<std::string> words;
  std::vector<std::string> tags;  // one for each word
  FilePlace place = {};           // of the first word
  bool has_lines = true;  // each word has a line of its own, the next one's; else all have that of the first

  FilePlace place_of(size_t word) const {
    return {place.file, place.line + (has_lines ? static_cast<int64_t>(word) : 0)};
  }
};

}  // namespace bertie
