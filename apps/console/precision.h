// "--precision", for programs that train a model or use one.
#pragma once
#include <string>
#include <vector>

#include "bertie/models/bert.h"

namespace CLI {
class App;
}

namespace bertie {

void declare_precision(CLI::App& app, std::string& precision);

// The same for programs that only use a model, which may also be in int8.
struct InferencePrecision {
  std::string precision = "f32";
  std::vector<std::string> keep_f32;  // what BertModel::quantize() is to leave
};
void declare_inference_precision(CLI::App& app, InferencePrecision& options);
// Has a model compute so, whose BERT is `bert`; tells it.
void set_precision(Module& model, BertModel& bert, const InferencePrecision& options);

// Says what it is, and why where that was left to the program; nothing where f32 was asked for.
void tell_precision(const PrecisionChoice& choice);

}  // namespace bertie
