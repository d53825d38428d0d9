// What a long piece of work shows of itself on standard error.
#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>

namespace bertie {

std::string duration(double seconds);  // "2:05", "1:02:05"

// Sums of what came lately: within the last 20 seconds, and at least the last 10 additions, so that neither
// short nor long steps make them jump.
template <size_t count>
class RecentSums {
 public:
  // `now`: seconds since the beginning, on a clock that stands still where the work does.
  void add(double now, const std::array<double, count>& values) {
    added_.push_back({now, values});
    while (added_.size() > 10 && added_.front().when < now - 20) {
      begin_ = added_.front().when;
      added_.pop_front();
    }
  }
  std::array<double, count> sums() const {
    std::array<double, count> total{};
    for (const Added& one : added_)
      for (size_t i = 0; i < count; ++i) total[i] += one.values[i];
    return total;
  }
  double seconds() const { return added_.empty() ? 0 : added_.back().when - begin_; }  // that they took

 private:
  struct Added {
    double when;
    std::array<double, count> values;
  };
  std::deque<Added> added_;
  double begin_ = 0;  // when the first of them began
};

// One line of at most `columns` characters. What there is no room for is left out: the bar first, then what
// stands at the end. seconds_left below 0: unknown.
struct ProgressLine {
  std::string what;  // "Training"
  int64_t done = 0, total = 0;
  std::string details;
  double elapsed = 0, seconds_left = -1;

  std::string text(int columns) const;
  std::string log() const;  // without a bar, as long as it gets
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

  // `details()`, in short words, is called only when something is printed.
  void update(int64_t done, const std::function<std::string()>& details = {});

  // Between the two something else is done and may print: it counts as elapsed, not as worked.
  void pause();
  void resume();

  double elapsed() const;  // seconds since the beginning
  double worked() const;   // without the pauses

 private:
  using Clock = std::chrono::steady_clock;
  void show(const std::string& details);
  void clear();

  ProgressLine line_;
  bool terminal_, shown_ = false;
  Clock::time_point begin_ = Clock::now(), printed_ = begin_, paused_at_;
  double paused_ = 0;
  RecentSums<1> recent_;  // what was done
};

}  // namespace bertie
