#include "bertie/data/tasks/file_place.h"

#include <fmt/core.h>

#include "bertie/autograd/error.h"

namespace bertie {

std::string FilePlace::str() const {
  if (!file) return "the data";
  return line > 0 ? fmt::format("{}, line {}", shown(*file), line) : shown(*file);
}

}  // namespace bertie
