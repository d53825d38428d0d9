// What all programs share: options, exit status, Ctrl-C, messages and the progress line.
// Results go to standard output, everything else to standard error.
#pragma once
#include <fmt/core.h>

#include <chrono>
#include <functional>
#include <string>

namespace CLI {
class App;
class Option;
class Validator;
}  // namespace CLI

namespace bertie {

// Parses the options of `app`, runs `body` and returns the exit status: 0; 1 after an Error, whose message is
// printed as one line; 2 for wrong usage; 130 when Ctrl-C ended it. `--threads N` and
// `--version` are added to every program.
int run_program(CLI::App& app, int argc, char** argv, const std::function<void()>& body);

// For CLI::Option::check() of every name of a file or a folder, and where else nothing can't be meant: what
// is wrong with it. An empty one is most likely an unset variable of a shell.
std::string check_file_name(const std::string& name);

// For CLI::Option::check(): like CLI::Range, but NaN isn't within.
CLI::Validator number_in(double low, double high);

// Makes an option of several values take each as it is given. CLI11 takes '[UNK]' for a list of its own, of
// UNK.
CLI::Option* take_brackets(CLI::Option* option);

// The name of metrics.jsonl until the model that it describes is in the folder.
constexpr const char* unfinished_metrics = "unfinished-metrics.jsonl";

// For a program that will write a model: makes the folder and finds out now, not after the training, whether
// it can be written and has room. Throws where files of a model are there already, unless `overwrite`.
void prepare_model_folder(const std::string& folder, bool overwrite, int64_t model_bytes);

// True once Ctrl-C (SIGINT) or SIGTERM has come. A program that trains then finishes its step, saves and
// returns. A second Ctrl-C ends it at once.
bool interrupted();

void print_message(const std::string& text);  // a line on standard error
void print_result(const std::string& text);   // a line on standard output; throws when it can't be written

template <class... Arguments>
void message(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  print_message(fmt::format(format, std::forward<Arguments>(arguments)...));
}
template <class... Arguments>
void result(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  print_result(fmt::format(format, std::forward<Arguments>(arguments)...));
}

std::string duration(double seconds);  // "2:05", "1:02:05"

// On a terminal one line that is rewritten, with a bar; elsewhere a plain line now and then.
class Progress {
 public:
  explicit Progress(int64_t total);
  ~Progress();
  // `details()` is called only when something is printed.
  void update(int64_t done, const std::function<std::string()>& details);
  void clear();  // makes room for another message

 private:
  using Clock = std::chrono::steady_clock;
  int64_t total_;
  bool terminal_;
  bool shown_ = false;
  Clock::time_point last_;
};

}  // namespace bertie
