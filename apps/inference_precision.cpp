#include "apps/inference_precision.h"

#include <CLI/CLI.hpp>

#include "apps/console/precision.h"
#include "bertie/autograd/memory.h"

namespace bertie {

void declare_inference_precision(CLI::App& app, InferencePrecision& options) {
  app.add_option("--precision", options.precision,
                 "What products take: f32; bf16, half as long; int8, a quarter; or auto, which is bf16 where "
                 "this CPU's products of it take less time than those of f32")
      ->check(CLI::IsMember({"f32", "bf16", "int8", "auto"}))
      ->capture_default_str();
  app.add_option("--keep-f32", options.keep_f32,
                 "With --precision int8: layers that stay in f32, as 11 or 11.output, separated by commas")
      ->delimiter(',');
  app.parse_complete_callback([&options] { check_precision(options); });
}

void check_precision(const InferencePrecision& options) {
  if (!options.keep_f32.empty() && options.precision != "int8")
    throw CLI::ValidationError("--keep-f32", "goes with --precision int8");
}

void set_precision(BertModel& model, const InferencePrecision& options, bool single_text) {
  PrecisionChoice choice = choose_precision(options.precision);
  if (choice.precision != Precision::of_parameters || !single_text)
    model.pack(packed(choice.precision), options.keep_f32);
  give_back_free_memory();
  tell_precision(choice);
}

}  // namespace bertie
