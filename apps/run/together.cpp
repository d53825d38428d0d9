#include "apps/run/together.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "apps/console/program.h"
#include "apps/run/metrics.h"
#include "apps/run/run_facts.h"
#include "bertie/autograd/version.h"
#include "bertie/nn/checkpoint.h"

namespace bertie {
namespace {

// The first process that says something else than the very first one, and what: "process 2 of 2 on b has
// WHAT than process 1 of 2 on a:" with a line for each difference, or nothing.
std::string difference(Processes& processes, const std::string& mine, const std::string& what) {
  std::vector<std::string> all = processes.gather(mine), names = processes.gather(processes.name());
  for (size_t r = 1; r < all.size(); ++r)
    if (Listing different = configuration_differences(all[0], all[r]); !different.empty())
      return fmt::format("{}, here, has {} than {}, there:{}", names[r], what, names[0], different.str());
  return {};
}

}  // namespace

void let_first_speak() {
  if (launched().rank > 0) be_silent();
}

void tell_failure(const std::string& program, const Processes& processes, const std::exception& error) {
  tell_error(program, processes.name() + ": " + text_of(error));
}

void run_together(const CLI::App& app, double peer_timeout, const std::function<void(Processes&)>& body) {
  std::unique_ptr<Processes> processes = join_processes(peer_timeout);
  if (processes->count() == 1) return body(*processes);
  try {
    body(*processes);
  } catch (const SharedError& error) {
    // Before the others leave: a launcher ends who is left when one has ended with an error.
    if (processes->is_first()) tell_error(app.get_name(), text_of(error));
    throw AlreadyTold();
  } catch (const std::exception& error) {
    tell_failure(app.get_name(), *processes, error);
    processes->end_all();
  }
}

void check_same_command(Processes& processes, const CLI::App& app) {
  if (processes.count() == 1) return;
  Record command{{"program", app.get_name()}, {"version", version()}};
  for (const auto& [name, value] : given_options(app).rows)
    if (name != "--threads") command[name] = value;
  if (std::string differs = difference(processes, command.dump(), "other options"); !differs.empty())
    throw SharedError("[processes] " + differs);
  Record machine;
  for (const auto& [name, value] : computing_facts()) machine[name] = value;
  if (std::string differs = difference(processes, machine.dump(), "another machine"); !differs.empty())
    message("Note: {}\nThe result may differ in its last digits from that of machines that are alike",
            differs);
}

void check_same_settings(Processes& processes, const std::string& settings) {
  if (processes.count() == 1) return;
  if (std::string differs = difference(processes, settings, "other settings"); !differs.empty())
    throw SharedError("[processes] " + differs);
}

}  // namespace bertie
