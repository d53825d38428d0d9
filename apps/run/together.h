// How a training program is one program, though several processes run it (nn/processes.h): the first speaks
// for all, they begin alike, and they end together.
#pragma once
#include <functional>
#include <string>

#include "bertie/nn/processes.h"

namespace CLI {
class App;
}  // namespace CLI

namespace bertie {

// For the beginning of main(): of the processes that a launcher started, the first alone speaks.
void let_first_speak();

// The body of a program, in each process. A SharedError is told by the first, and all leave in order. What
// one throws alone it tells itself, with its name, and ends all. One process without others does just what
// the body does.
void run_together(const CLI::App& app, double peer_timeout, const std::function<void(Processes&)>& body);

// Of an exception of this process alone, as run_together() tells it.
void tell_failure(const std::string& program, const Processes& processes, const std::exception& error);

// Everyone's: throws, naming the process and what differs, where not all are of the same version and have the
// same options, but for --threads. A note where the machines or their libraries differ, whose results may.
void check_same_command(Processes& processes, const CLI::App& app);
// Everyone's: the same of what they are about to train, a JSON object.
void check_same_settings(Processes& processes, const std::string& settings);

}  // namespace bertie
