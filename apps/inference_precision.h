// "--precision" and "--keep-f32", for programs that only use a model: it may also be in int8.
#pragma once
#include <string>
#include <vector>

#include "bertie/models/bert.h"

namespace CLI {
class App;
}

namespace bertie {

struct InferencePrecision {
  std::string precision = "f32";
  std::vector<std::string> keep_f32;  // what BertModel::pack() is to leave
};

// After parsing, the app does what check_precision() does.
void declare_inference_precision(CLI::App& app, InferencePrecision& options);
// Throws CLI's error of wrong usage where the options don't go together.
void check_precision(const InferencePrecision& options);
// Has a model compute so from now on, and tells it. In f32 a single text is done before its weights were
// packed.
void set_precision(BertModel& model, const InferencePrecision& options, bool single_text);

}  // namespace bertie
