#include "bertie/nn/shared_work.h"

#include <algorithm>

namespace bertie {
namespace {

// The last byte of what a process tells of its piece; the others are the result, or what it threw.
enum class Outcome : char { result, failure };

std::string told_of(const std::function<std::string(int64_t piece)>& work, int64_t piece) {
  std::string text;
  Outcome outcome = Outcome::result;
  try {
    text = work(piece);
  } catch (const std::exception& error) {
    text = error.what();
    outcome = Outcome::failure;
  }
  return text + static_cast<char>(outcome);
}

}  // namespace

void share_work(Processes* processes, int64_t pieces, const std::function<std::string(int64_t piece)>& work,
                const std::function<void(int64_t piece, std::string_view result)>& take) {
  BERTIE_CHECK(pieces >= 0, "processes", "there must be 0 pieces of work or more, got {}", pieces);
  if (!processes || processes->count() == 1) {
    for (int64_t piece = 0; piece < pieces; ++piece) take(piece, work(piece));
    return;
  }
  for (int64_t first = 0; first < pieces; first += processes->count()) {
    int64_t own = first + processes->rank();
    std::vector<std::string> told = processes->gather(own < pieces ? told_of(work, own) : "");
    for (int64_t piece = first; piece < std::min(pieces, first + processes->count()); ++piece) {
      std::string& text = told[piece - first];
      auto outcome = static_cast<Outcome>(text.back());
      text.pop_back();
      if (outcome == Outcome::failure) throw SharedError(text);
      try {
        take(piece, text);
      } catch (const Error& error) {
        throw SharedError(error.what());
      }
    }
  }
}

int64_t least_of_all(Processes* processes, int64_t mine) {
  if (!processes) return mine;
  std::vector<int64_t> numbers(processes->count(), mine), sizes(numbers.size(), sizeof(mine));
  processes->gather(std::as_writable_bytes(std::span(numbers)), sizes);
  return *std::min_element(numbers.begin(), numbers.end());
}

}  // namespace bertie
