#include "apps/console/precision.h"

#include <CLI/CLI.hpp>

#include "apps/console/progress.h"
#include "bertie/autograd/memory.h"

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

void declare_inference_precision(CLI::App& app, InferencePrecision& options) {
  app.add_option("--precision", options.precision,
                 "What products take: f32; bf16, half as long; int8, a quarter; or auto, which is bf16 where "
                 "this CPU's products of it take less time than those of f32")
      ->check(CLI::IsMember({"f32", "bf16", "int8", "auto"}))
      ->capture_default_str();
  app.add_option("--keep-f32", options.keep_f32,
                 "With --precision int8: layers that stay in f32, as 11 or 11.output, separated by commas")
      ->delimiter(',');
}

void set_precision(Module& model, BertModel& bert, const InferencePrecision& options) {
  PrecisionChoice choice = choose_precision(options.precision);
  BERTIE_CHECK(options.keep_f32.empty() || choice.precision == Precision::int8, "keep-f32",
               "goes with --precision int8 alone");
  if (choice.precision == Precision::int8) {
    bert.quantize(options.keep_f32);
    give_back_free_memory();
  } else {
    model.set_precision(choice.precision);
  }
  tell_precision(choice);
}

}  // namespace bertie
