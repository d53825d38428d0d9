// A line of a file, as messages name it.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

namespace bertie {

struct FilePlace {
  std::shared_ptr<const std::string> file;  // none: the data was made in memory
  int64_t line = 0;                         // from 1

  std::string str() const;  // "train.tsv, line 7", or "the data" where there is no file
};

}  // namespace bertie
