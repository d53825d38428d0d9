// What all programs share: exit status, Ctrl-C, messages. Their options are in apps/console/options.h, the
// progress line in apps/console/progress.h. Results go to standard output, everything else to standard error.
#pragma once
#include <fmt/core.h>

#include <exception>
#include <functional>
#include <string>

#include "apps/console/signals.h"

namespace CLI {
class App;
}  // namespace CLI

namespace bertie {

// Parses the options of `app`, runs `body` and returns the exit status: 0; 1 after an Error, whose message is
// printed as one line; 2 for wrong usage; 130 when Ctrl-C ended it (apps/console/signals.h). Ends by SIGPIPE
// where nobody reads standard output any more. `--threads N` and `--version` are added to every program.
int run_program(CLI::App& app, int argc, char** argv, const std::function<void()>& body);

// Of several processes that run one program together, one speaks for all: from now on this one prints
// nothing, but for what ends it alone (tell_error).
void be_silent();

// Ends a program with status 1: what there was to tell is told.
struct AlreadyTold : std::exception {};

// The line of an error that ends a program; with its cause where that is a limit of memory.
std::string text_of(const std::exception& error);
void tell_error(const std::string& program, const std::string& text);
// The same where processes can't talk to each other (yet): a silent one first gives the launcher time to end
// it, since the one that speaks has most likely told the same error and ended. What it has alone is told
// then.
void tell_error_after_first(const std::string& program, const std::string& text);

// On standard error, where text may get lost (closed, a full disk): the work goes on.
void write_now(const std::string& text);
void print_message(const std::string& text);  // a line
// A line on standard output; throws when it can't be written.
void print_result(const std::string& text);

template <class... Arguments>
void message(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  print_message(fmt::format(format, std::forward<Arguments>(arguments)...));
}
template <class... Arguments>
void result(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  print_result(fmt::format(format, std::forward<Arguments>(arguments)...));
}

}  // namespace bertie
