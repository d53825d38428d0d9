// "--precision", for programs that train a model; those that use one: apps/inference_precision.h.
#pragma once
#include <string>

#include "bertie/nn/precision.h"

namespace CLI {
class App;
}

namespace bertie {

void declare_precision(CLI::App& app, std::string& precision);

// Says what it is, and why where that was left to the program; nothing where f32 was asked for.
void tell_precision(const PrecisionChoice& choice);

}  // namespace bertie
