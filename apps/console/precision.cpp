#include "apps/console/precision.h"

#include <CLI/CLI.hpp>

#include "apps/console/program.h"

namespace bertie {

void declare_precision(CLI::App& app, std::string& precision) {
  app.add_option("--precision", precision,
                 "What products take and activations are stored as: f32; bf16, half as long; or auto, which "
                 "is bf16 where this CPU's products of it take less time")
      ->check(CLI::IsMember({"f32", "bf16", "auto"}))
      ->capture_default_str();
}

void tell_precision(const PrecisionChoice& choice) {
  if (!choice.reason.empty())
    message("Precision: {}, {}", name(choice.precision), choice.reason);
  else if (choice.precision != Precision::of_parameters)
    message("Precision: {}", name(choice.precision));
}

}  // namespace bertie
