#include "apps/console/progress.h"

#include <fmt/core.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "apps/console/program.h"

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

ProgressPart times(const ProgressLine& line) {
  std::string elapsed = duration(line.elapsed);
  if (line.seconds_left < 0) return {elapsed, elapsed};
  std::string left = duration(line.seconds_left) + " left";
  return {elapsed + ", " + left, left};
}

// The parts one after the other, `space` between them.
std::string join(const std::vector<ProgressPart>& parts, std::string ProgressPart::*form, const char* space) {
  std::string text;
  for (const ProgressPart& part : parts) text += (text.empty() ? "" : space) + part.*form;
  return text;
}

}  // namespace

std::string duration(double seconds) {
  int64_t total = std::llround(seconds);
  if (total >= 3600) return fmt::format("{}:{:02}:{:02}", total / 3600, total / 60 % 60, total % 60);
  return fmt::format("{}:{:02}", total / 60, total % 60);
}

void RecentSums::add(double now, std::vector<double> values) {
  added_.push_back({now, std::move(values)});
  while (added_.size() > 10 && added_.front().when < now - 20) {
    begin_ = added_.front().when;
    added_.pop_front();
  }
}

std::vector<double> RecentSums::sums() const {
  if (added_.empty()) return {};
  std::vector<double> total(added_.front().values.size());
  for (const Added& one : added_)
    for (size_t i = 0; i < total.size(); ++i) total[i] += one.values[i];
  return total;
}

// What is counted is shown as it is where there are details to it, else as a share.
std::vector<ProgressPart> ProgressLine::parts() const {
  std::vector<ProgressPart> parts;
  if (details.empty()) parts.push_back({what, what});  // details tell what is done
  if (total > 0) {
    int64_t percent = done * 100 / total;
    if (details.empty())
      parts.push_back({fmt::format("{} %", percent), fmt::format("{} %", percent)});
    else
      parts.push_back({fmt::format("{}/{}", done, total), fmt::format("{}%", percent)});
    parts.push_back(times(*this));
  }
  parts.insert(parts.end(), details.begin(), details.end());
  return parts;
}

std::string ProgressLine::text(int columns) const {
  auto width = static_cast<size_t>(std::max(columns, 1));
  std::vector<ProgressPart> shown = parts();
  for (std::string ProgressPart::*form : {&ProgressPart::full, &ProgressPart::brief})
    if (std::string text = join(shown, form, "  "); text.size() <= width) return with_bar(text, width);
  std::string text = join(shown, &ProgressPart::brief, " ");
  for (; text.size() > width && shown.size() > 1; text = join(shown, &ProgressPart::brief, " "))
    shown.pop_back();
  return text.substr(0, width);
}

std::string ProgressLine::with_bar(std::string text, size_t width) const {
  size_t used = text.size() + 4;  // the brackets, and two spaces
  if (total == 0 || used + shortest_bar > width) return text;
  size_t bar = std::min(longest_bar, width - used);
  auto filled = static_cast<size_t>(done * static_cast<int64_t>(bar) / total);
  size_t at = details.empty() ? what.size() + 2 : 0;
  return text.insert(at, fmt::format("[{}{}]  ", std::string(filled, '#'), std::string(bar - filled, '.')));
}

std::string ProgressLine::log() const { return "  " + join(parts(), &ProgressPart::full, "  "); }

Progress::Progress(std::string what, int64_t total) : terminal_(rewrites_lines()) {
  line_.what = std::move(what);
  line_.total = total;
  if (terminal_) show({});
}

Progress::~Progress() { clear(); }

void Progress::update(int64_t done, const std::function<std::vector<ProgressPart>()>& details) {
  recent_.add(worked(), {static_cast<double>(done - line_.done)});
  line_.done = done;
  double waited = std::chrono::duration<double>(Clock::now() - printed_).count();
  // A log of a run of hours needs no line every ten seconds.
  if (waited >= (terminal_ ? 0.5 : std::max(10.0, elapsed() / 30)))
    show(details ? details() : std::vector<ProgressPart>());
}

void Progress::show(std::vector<ProgressPart> details) {
  printed_ = Clock::now();
  line_.details = std::move(details);
  line_.elapsed = elapsed();
  std::vector<double> sums = recent_.sums();
  double lately = sums.empty() ? 0 : sums[0], to_do = static_cast<double>(line_.total - line_.done);
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
