// What somebody should know about a model's directory that was read, and that is no error.
#pragma once
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>
#include <vector>

namespace bertie {

struct LoadNote {
  std::string text;                // a sentence, or, where there are names, what is said of them
  std::vector<std::string> names;  // of keys or tensors; programs may shorten the list

  std::string str() const {
    return names.empty() ? text : fmt::format("{}: {}", text, fmt::join(names, " "));
  }
  bool operator==(const LoadNote&) const = default;
};

}  // namespace bertie
