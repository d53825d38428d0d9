// What Ctrl-C (SIGINT), SIGTERM and a closed terminal (SIGHUP) do to a program.
#pragma once
#include <string>

namespace bertie {

// To be called once, before threads are made. From now on each of these signals ends the program at once,
// with the exit status 128 + its number (Ctrl-C: 130). SIGHUP stays ignored where it is, under nohup.
void watch_signals();

// While one is in scope, for what is trained and not saved yet, no such signal ends the program:
// interrupted() becomes true, and each time a message on standard error says what happens instead. One at a
// time.
class FinishFirst {
 public:
  explicit FinishFirst(std::string what_happens);
  ~FinishFirst();
  FinishFirst(const FinishFirst&) = delete;
  FinishFirst& operator=(const FinishFirst&) = delete;
};

bool interrupted();
int interrupt_status();  // 0, or 128 + the number of the first signal that came during a FinishFirst

}  // namespace bertie
