#include "bertie/models/answer_decoding.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>

#include "bertie/autograd/error.h"

namespace bertie {
namespace {

constexpr char where[] = "best_answers";

void check(const AnswerWindow& window) {
  size_t tokens = window.start_logits.size(), begin = window.context_begin;
  BERTIE_CHECK(tokens > 0 && window.end_logits.size() == tokens, where,
               "a window must have tokens, and two logits for each, got {} and {}", tokens,
               window.end_logits.size());
  BERTIE_CHECK(begin <= tokens && window.spans.size() <= tokens - begin, where,
               "the context must lie among the {} tokens, got {} from {}", tokens, window.spans.size(),
               window.context_begin);
  for (std::span<const float> logits : {window.start_logits, window.end_logits})
    for (float logit : logits)  // twice that is finite, too
      BERTIE_CHECK(std::abs(logit) <= 1e38F, where, "a logit must be a number of at most 1e38, got {}",
                   logit);
  TextSpan before;
  for (const TextSpan& span : window.spans) {
    BERTIE_CHECK(
        span.begin >= before.begin && span.end > span.begin && span.end >= before.end, where,
        "tokens must be in the order of the context and hold some of it, got [{}, {}) behind [{}, {})",
        span.begin, span.end, before.begin, before.end);
    before = span;
  }
}

// The tokens of the n largest logits, best first; of equal ones the later.
std::vector<int64_t> largest(std::span<const float> logits, int64_t n) {
  std::vector<int64_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  auto end = order.begin() + std::min<int64_t>(n, static_cast<int64_t>(order.size()));
  std::partial_sort(order.begin(), end, order.end(), [&](int64_t a, int64_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a > b;
  });
  order.erase(end, order.end());
  return order;
}

void add_answers(const AnswerWindow& window, const AnswerOptions& options, std::vector<AnswerSpan>& answers) {
  auto span_of = [&](int64_t token) -> const TextSpan* {
    int64_t i = token - window.context_begin;
    return i >= 0 && i < static_cast<int64_t>(window.spans.size()) ? &window.spans[i] : nullptr;
  };
  std::vector<int64_t> ends = largest(window.end_logits, options.n_best);
  for (int64_t start : largest(window.start_logits, options.n_best)) {
    const TextSpan* first = span_of(start);
    if (first == nullptr) continue;
    for (int64_t end : ends) {
      const TextSpan* last = span_of(end);
      if (last == nullptr || end < start || end - start >= options.max_answer_length) continue;
      answers.push_back({.place = {first->begin, last->end},
                         .start_logit = window.start_logits[start],
                         .end_logit = window.end_logits[end]});
    }
  }
}

void fill_probabilities(std::vector<AnswerSpan>& answers) {
  double best = -std::numeric_limits<double>::infinity(), sum = 0;
  for (const AnswerSpan& answer : answers) best = std::max<double>(best, answer.score());
  for (AnswerSpan& answer : answers) sum += answer.probability = std::exp(answer.score() - best);
  for (AnswerSpan& answer : answers) answer.probability /= sum;
}

}  // namespace

FoundAnswers best_answers(std::span<const AnswerWindow> windows, const AnswerOptions& options) {
  BERTIE_CHECK(options.n_best >= 1 && options.max_answer_length >= 1, where,
               "n_best and max_answer_length must be at least 1, got {} and {}", options.n_best,
               options.max_answer_length);
  BERTIE_CHECK(!windows.empty(), where, "there must be a window");
  auto is_better = [](const AnswerSpan& a, const AnswerSpan& b) { return a.score() > b.score(); };
  FoundAnswers result;
  std::vector<AnswerSpan>& kept = result.kept;
  std::optional<AnswerSpan> null;
  for (const AnswerWindow& window : windows) {
    check(window);
    AnswerSpan its_null{
        .place = {}, .start_logit = window.start_logits[0], .end_logit = window.end_logits[0]};
    if (!null || is_better(*null, its_null)) null = its_null;
    add_answers(window, options, kept);
  }
  std::stable_sort(kept.begin(), kept.end(), is_better);
  const size_t n_best = options.n_best;
  kept.resize(std::min(kept.size(), n_best));
  size_t chosen = 0;
  if (options.null_answers) {
    result.null_difference = kept.empty() ? std::numeric_limits<float>::infinity()
                                          : null->score() - kept[0].start_logit - kept[0].end_logit;
    bool null_wins = kept.empty() || result.null_difference > options.null_threshold;
    // Behind its equals, and in the place of the last of n_best, unless it is worse than all of them.
    size_t rank = std::upper_bound(kept.begin(), kept.end(), *null, is_better) - kept.begin();
    if (rank < n_best && kept.size() == n_best) kept.pop_back();
    kept.insert(kept.begin() + static_cast<int64_t>(rank), *null);
    if (null_wins)
      chosen = rank;
    else if (rank == 0)
      chosen = 1;
  }
  fill_probabilities(kept);
  if (!kept.empty()) result.chosen = kept[chosen];
  return result;
}

}  // namespace bertie
