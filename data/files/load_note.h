// What somebody should know about a model's directory that was read, and that is no error.
#pragma once
#include <string>
#include <vector>

#include "bertie/autograd/error.h"

namespace bertie {

struct LoadNote {
  std::string text;                // a sentence, or, where there are names, what is said of them
  std::vector<std::string> names;  // of keys or tensors; str() lists ten

  std::string str() const {
    if (names.empty()) return text;
    Listing list(" ");
    for (const std::string& name : names) list.add(shown(name));
    return text + ":" + list.str();
  }
  bool operator==(const LoadNote&) const = default;
};

}  // namespace bertie
