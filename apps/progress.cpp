#include "apps/progress.h"

#include <fmt/core.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "apps/program.h"

namespace bertie {
namespace {

constexpr size_t longest_bar = 24, shortest_bar = 5;

// A dumb terminal can't take back what it shows.
bool rewrites_lines() {
  const char* terminal = std::getenv("TERM");
  return isatty(STDERR_FILENO) && !(terminal && std::strcmp(terminal, "dumb") == 0);
}

int terminal_columns() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  const char* columns = std::getenv("COLUMNS");
  int value = columns ? std::atoi(columns) : 0;
  return value > 0 ? value : 80;
}

std::string times(const ProgressLine& line) {
  std::string text = duration(line.elapsed);
  return line.seconds_left < 0 ? text : text + ", " + duration(line.seconds_left) + " left";
}

// What is counted is shown as it is where there are details to it, else as a share.
std::string count(const ProgressLine& line) {
  if (line.total == 0) return "";
  if (!line.details.empty()) return fmt::format("{}/{}", line.done, line.total);
  return fmt::format("{} %", line.done * 100 / line.total);
}

std::string join(const std::string& a, const std::string& b) {
  return a.empty() || b.empty() ? a + b : a + "  " + b;
}

}  // namespace

std::string duration(double seconds) {
  int64_t total = std::llround(seconds);
  if (total >= 3600) return fmt::format("{}:{:02}:{:02}", total / 3600, total / 60 % 60, total % 60);
  return fmt::format("{}:{:02}", total / 60, total % 60);
}

std::string ProgressLine::text(int columns) const {
  auto width = static_cast<size_t>(std::max(columns, 1));
  std::string rest = join(count(*this), details);
  if (total > 0) rest = join(rest, times(*this));
  std::string begin = details.empty() ? what : "";  // details tell what is done
  size_t used = join(begin, rest).size() + 4;       // the brackets, and two spaces
  if (total > 0 && used + shortest_bar <= width) {
    size_t bar = std::min(longest_bar, width - used);
    auto filled = static_cast<size_t>(done * static_cast<int64_t>(bar) / total);
    begin = join(begin, fmt::format("[{}{}]", std::string(filled, '#'), std::string(bar - filled, '.')));
  }
  return join(begin, rest).substr(0, width);
}

std::string ProgressLine::log() const {
  return "  " + join(details.empty() ? what : "", join(join(count(*this), details), times(*this)));
}

Progress::Progress(std::string what, int64_t total) : terminal_(rewrites_lines()) {
  line_.what = std::move(what);
  line_.total = total;
  if (terminal_) show("");
}

Progress::~Progress() { clear(); }

void Progress::update(int64_t done, const std::function<std::string()>& details) {
  recent_.add(worked(), {static_cast<double>(done - line_.done)});
  line_.done = done;
  double waited = std::chrono::duration<double>(Clock::now() - printed_).count();
  // A log of a run of hours needs no line every ten seconds.
  if (waited >= (terminal_ ? 0.5 : std::max(10.0, elapsed() / 30))) show(details ? details() : "");
}

void Progress::show(const std::string& details) {
  printed_ = Clock::now();
  line_.details = details;
  line_.elapsed = elapsed();
  double lately = recent_.sums()[0], to_do = static_cast<double>(line_.total - line_.done);
  line_.seconds_left = lately > 0 ? recent_.seconds() * to_do / lately : -1;
  if (!terminal_) return print_message(line_.log());
  // The last column stays free: some terminals begin a new line once it is written.
  write_now("\r\033[K" + line_.text(terminal_columns() - 1));
  shown_ = true;
}

void Progress::pause() {
  clear();
  paused_at_ = Clock::now();
}

void Progress::resume() { paused_ += std::chrono::duration<double>(Clock::now() - paused_at_).count(); }

double Progress::elapsed() const { return std::chrono::duration<double>(Clock::now() - begin_).count(); }

double Progress::worked() const { return elapsed() - paused_; }

void Progress::clear() {
  if (!shown_) return;
  write_now("\r\033[K");
  shown_ = false;
}

}  // namespace bertie
