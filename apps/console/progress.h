// What a long piece of work shows of itself on standard error.
#pragma once
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <vector>

namespace bertie {

std::string duration(double seconds);  // "2:05", "1:02:05"

// Sums of what came lately: within the last 20 seconds, and at least the last 10 additions, so that neither
// short nor long steps make them jump.
class RecentSums {
 public:
  // `now`: seconds since the beginning, on a clock that stands still where the work does. As many values each
  // time.
  void add(double now, std::vector<double> values);
  std::vector<double> sums() const;  // none before the first addition
  double count() const { return static_cast<double>(added_.size()); }
  double seconds() const { return added_.empty() ? 0 : added_.back().when - begin_; }  // that they took

 private:
  struct Added {
    double when;
    std::vector<double> values;
  };
  std::deque<Added> added_;
  double begin_ = 0;  // when the first of them began
};

// Something that the line shows, and how where there is less room: "gradient norm 0.52", "|g| 0.52".
struct ProgressPart {
  std::string full, brief;
};

// One line of at most `columns` characters. Where there is no room for all, the parts become brief, then
// stand closer together, then those at the end are left out. A bar takes room that is free. seconds_left
// below 0: unknown.
struct ProgressLine {
  std::string what;  // "Training"
  int64_t done = 0, total = 0;
  std::vector<ProgressPart> details;  // the most important first
  double elapsed = 0, seconds_left = -1;

  std::string text(int columns) const;
  std::string log() const;  // without a bar, as long as it gets

 private:
  std::vector<ProgressPart> parts() const;
  std::string with_bar(std::string text, size_t width) const;
};

// On a terminal one line that is rewritten, never longer than the terminal is wide; elsewhere a plain line
// after ten seconds and then now and then.
class Progress {
 public:
  // Shows the line at once. A total of 0: nothing is counted, only `what` is done is told, and only on a
  // terminal.
  explicit Progress(std::string what, int64_t total = 0);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `details()` is called only when something is printed.
  void update(int64_t done, const std::function<std::vector<ProgressPart>()>& details = {});

  // Between the two something else is done and may print: it counts as elapsed, not as worked.
  void pause();
  void resume();

  double elapsed() const;  // seconds since the beginning
  double worked() const;   // without the pauses

 private:
  using Clock = std::chrono::steady_clock;
  void show(std::vector<ProgressPart> details);
  void clear();

  ProgressLine line_;
  bool terminal_, shown_ = false;
  Clock::time_point begin_ = Clock::now(), printed_ = begin_, paused_at_;
  double paused_ = 0;
  RecentSums recent_;  // what was done
};

}  // namespace bertie
