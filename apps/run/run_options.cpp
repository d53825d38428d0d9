#include "apps/run/run_options.h"

#include <fmt/format.h>

#include <algorithm>

#include "apps/console/options.h"
#include "apps/console/precision.h"
#include "apps/run/metrics.h"
#include "apps/run/model_folder.h"
#include "bertie/autograd/error.h"
#include "bertie/nn/checkpoint.h"

namespace bertie {
namespace {

constexpr int64_t most_parts = 65'536;

}  // namespace

std::string resuming_command(int argc, char** argv) {
  std::string command;
  for (int i = 0; i < argc; ++i)
    if (std::string word = argv[i]; word != "--overwrite" && word != "--resume")
      command += shell_word(word) + " ";
  return command + "--resume";
}

void declare_run_options(CLI::App& app, RunOptions& o, const std::string& evaluations) {
  constexpr int64_t many = int64_t{1} << 40;
  declare_precision(app, o.precision);
  app.add_option(
         "--parts", o.parts,
         "Parts of a step's batch, computed one after the other for less memory; their gradients are "
         "added up in an order that depends on this number alone (default: what the resumed run has, else "
         "one for each process)")
      ->transform(integer_in(1, most_parts));
  app.add_option("--output", o.output, "Model directory to write")
      ->check(check_folder_name)
      ->capture_default_str();
  app.add_option("--evaluate-steps", o.evaluate_steps,
                 "Steps between evaluations on the held-out text (default: " + evaluations + ")")
      ->transform(integer_in(1, many));
  app.add_option("--checkpoint-steps", o.checkpoint_steps, "Steps between checkpoints; 0: by time alone")
      ->transform(integer_in(0, many))
      ->capture_default_str();
  app.add_option("--checkpoint-minutes", o.checkpoint_minutes,
                 "Minutes between checkpoints; 0: by steps alone")
      ->check(number_in(0, 1e6))
      ->capture_default_str();
  auto* resume = app.add_flag("--resume", o.resume,
                              "Continue from the newest checkpoint in OUTPUT/checkpoints, if there is one");
  app.add_flag("--overwrite", o.overwrite, "Replace a model and checkpoints that are there already")
      ->excludes(resume);
  app.add_flag("--tensorboard", o.tensorboard, "Write event files for TensorBoard to OUTPUT/tensorboard");
  app.add_option("--peer-timeout", o.peer_timeout,
                 "Of several processes (mpirun, srun), how long one waits for another that doesn't answer "
                 "before it ends, as 60s or 5m (default: 60s)")
      ->transform(duration_in(1, 1e6));
}

void declare_update_options(CLI::App& app, RunOptions& o, const UpdateHelp& help) {
  app.add_option_function<std::string>(
         "--optimizer", [&o](const std::string& name) { o.muon = name == "muon"; },
         fmt::format("adamw, or muon for the encoder's matrices and AdamW for all else (default: {})",
                     o.muon ? "muon" : "adamw"))
      ->check(CLI::IsMember({"adamw", "muon"}));
  app.add_option(
         "--learning-rate", o.learning_rate,
         fmt::format("Largest learning rate; it falls to zero at the end (default: {})", help.default_rate))
      ->check(number_in(0, 1e3));
  app.add_option("--weight-decay", o.weight_decay, "On all but biases and LayerNorm; with 0, AdamW is Adam")
      ->check(number_in(0, 1e3))
      ->capture_default_str();
  app.add_option("--max-gradient-norm", o.max_gradient_norm,
                 "Larger gradients are scaled down to it; 0: never")
      ->check(number_in(0, 1e9))
      ->capture_default_str();
  app.add_option("--dropout", o.dropout,
                 fmt::format("Of {} (default: {})", help.dropped, help.default_dropout))
      ->check(number_in(0, 0.999));
  app.add_option("--seed", o.seed, fmt::format("Seed of {}", help.seeded))
      ->transform(integer_in(0, int64_t{1} << 62))
      ->capture_default_str();
}

std::string checkpoints_of(const RunOptions& options) { return options.output + "/" + checkpoint_folder; }

bool resumes(const RunOptions& options) {
  return options.resume && (Checkpoints::any_in(checkpoints_of(options)) || is_finished(options.output));
}

std::optional<std::string> settings_to_resume(const RunOptions& options) {
  if (!options.resume) return {};
  std::optional<std::string> newest = Checkpoints::newest_configuration(checkpoints_of(options));
  return newest ? newest : finished_settings(options.output);
}

std::optional<int64_t> parts_to_resume(Processes& processes, const RunOptions& options) {
  int64_t parts = 0;
  processes.let_first([&] {
    Record settings = Record::parse(settings_to_resume(options).value_or(""), nullptr, false);
    if (settings.is_object() && settings.contains("parts") && settings["parts"].is_number_integer())
      parts = settings["parts"];
  });
  parts = processes.of_first(parts);
  if (parts < 1 || parts > most_parts) return {};  // a damaged file, which is told of when it is read
  return parts;
}

int64_t agreed_parts(Processes& processes, const RunOptions& options, std::optional<int64_t> continued,
                     int64_t needs) {
  int count = processes.count();
  std::optional<int64_t> set = options.parts ? options.parts : continued;
  if (!set) {
    for (const std::string& of_one : processes.gather(std::to_string(needs)))
      needs = std::max<int64_t>(needs, std::stoll(of_one));
    return std::max<int64_t>(needs, count);
  }
  if (*set < count)
    throw SharedError(fmt::format(
        "[parts] {} of a step can't be divided among {} processes: start {} at most{}", *set, count, *set,
        options.parts ? ", or ask for more parts"
                      : ", as the parts of the run that is continued can't change"));
  return *set;
}

Precision agreed_precision(Processes& processes, const RunOptions& options) {
  PrecisionChoice choice;
  processes.let_each([&] { choice = choose_precision(options.precision); });
  for (const std::string& of_one : processes.gather(name(choice.precision)))
    if (of_one != name(choice.precision))
      choice = {Precision::of_parameters, "not all machines' products of bf16 take less time"};
  tell_precision(choice);
  return choice.precision;
}

void check_checkpoints(const RunOptions& options) {
  if (options.resume || options.overwrite) return;
  BERTIE_CHECK(!Checkpoints::any_in(checkpoints_of(options)), "output",
               "{} has checkpoints of a run: --resume continues it, --overwrite replaces it",
               checkpoints_of(options));
}

}  // namespace bertie
