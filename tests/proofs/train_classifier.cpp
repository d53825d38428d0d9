// Trains the small classifier of tests/nn/classifier.h, dropout and accumulation on, and writes
// OUTPUT/model.safetensors. Saves to OUTPUT/checkpoints every three steps, and continues from there.
//   train_classifier OUTPUT [STEPS]
#include <cstdio>
#include <filesystem>

#include "bertie/nn/parameter_file.h"
#include "bertie/nn/training.h"
#include "tests/nn/classifier.h"

using namespace bertie;

namespace {

void run(const std::string& output, int64_t steps) {
  std::filesystem::create_directories(output);
  Classifier model(Initializer::fan_in(1), 4096);  // products and passes of several tasks
  ParameterBlock parameters(model);
  AdamW optimizer(parameters, {.weight_decay = 0.01});
  Spirals objective(model, {{1, 30, 6}, {20}, {2, 1, 1, 25}});
  Checkpoints checkpoints(
      {.folder = output + "/checkpoints",
       .configuration = nlohmann::json{{"steps", steps}}.dump(),
       .every_steps = 3,
       .tell = [](const std::string& text) { std::fprintf(stderr, "%s\n", text.c_str()); }});
  TrainingOptions options{
      .steps = steps, .schedule = {.peak = 0.01, .warmup = 0.2}, .checkpoints = &checkpoints};
  if (auto checkpoint = checkpoints.latest())
    options.start = checkpoints.restore(*checkpoint, parameters, optimizer, objective);
  std::fprintf(stderr, "begins at step %lld\n", static_cast<long long>(options.start.steps));
  train(parameters, optimizer, options, objective, [&](const StepReport& report) {
    if (report.step % 7 == 3) checkpoints.scored(report.loss);
    return true;
  });
  save_parameters(model, output + "/model.safetensors");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    std::fprintf(stderr, "usage: train_classifier OUTPUT [STEPS]\n");
    return 2;
  }
  try {
    run(argv[1], argc > 2 ? std::stoll(argv[2]) : 24);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "train_classifier: %s\n", error.what());
    return 1;
  }
  return 0;
}
