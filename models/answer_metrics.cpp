#include "bertie/models/answer_metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <tuple>
#include <utility>

#include "bertie/autograd/error.h"
#include "bertie/data/tokenizer/characters.h"
#include "bertie/data/tokenizer/utf8.h"

namespace bertie {
namespace {

// Whether the next character that isn't case-ignorable has a case.
template <class Iterator>
bool cased_follows(Iterator at, Iterator end) {
  at = std::find_if_not(at, end, is_case_ignorable);
  return at != end && is_cased(*at);
}

// As Python's str.lower(): a sigma at the end of a word has a form of its own.
std::u32string lower_case(std::string_view text) {
  std::u32string read, lower;
  for (size_t i = 0; i < text.size();) {
    Utf8Character c = decode_utf8(text.substr(i));
    read += c.code_point;
    i += c.bytes;
  }
  constexpr char32_t capital_sigma = 0x3A3, final_sigma = 0x3C2;
  for (auto c = read.begin(); c != read.end(); ++c)
    if (*c == capital_sigma && cased_follows(std::reverse_iterator(c), read.rend()) &&
        !cased_follows(c + 1, read.end()))
      lower += final_sigma;
    else
      for (char32_t each : bertie::lower_case(*c)) lower += each;
  return lower;
}

bool is_ascii_punctuation(char32_t c) { return c < 0x80 && is_punctuation(c); }

// What separates words for Python's str.split().
bool is_split_at(char32_t c) { return is_white_space(c) || (c >= 0x1C && c <= 0x1F); }

bool is_article(std::u32string_view word) { return word == U"a" || word == U"an" || word == U"the"; }

struct WordCounts {
  int64_t all = 0;
  std::map<std::string_view, int64_t> of_word;
  explicit WordCounts(std::string_view normalized) {
    for (size_t begin = 0; begin < normalized.size(); all++) {
      size_t end = std::min(normalized.find(' ', begin), normalized.size());
      ++of_word[normalized.substr(begin, end - begin)];
      begin = end + 1;
    }
  }
};

// Of two normalized answers; NaN where neither has a word.
double word_f1(std::string_view predicted, std::string_view truth) {
  WordCounts a(predicted), b(truth);
  int64_t common = 0;
  for (const auto& [word, count] : a.of_word)
    if (auto other = b.of_word.find(word); other != b.of_word.end()) common += std::min(count, other->second);
  return 2 * static_cast<double>(common) / static_cast<double>(a.all + b.all);
}

struct AnswerScore {
  double exact_match = 0, f1 = 0;
};

// With the truth that is best for it, of normalized ones. `both_empty` is F1 where neither has a word.
AnswerScore best_score(std::string_view predicted, std::span<const std::string> truths, double both_empty) {
  AnswerScore best;
  for (const std::string& truth : truths) {
    double f1 = word_f1(predicted, truth);
    best.exact_match = std::max(best.exact_match, predicted == truth ? 1.0 : 0.0);
    best.f1 = std::max(best.f1, std::isnan(f1) ? both_empty : f1);
  }
  return best;
}

class MeanScore {
 public:
  void add(const AnswerScore& score) {
    ++questions_;
    exact_match_ += score.exact_match;
    f1_ += score.f1;
  }
  AnswerScores in_percent() const {
    double number = static_cast<double>(questions_);
    return {questions_, 100 * exact_match_ / number, 100 * f1_ / number};
  }

 private:
  int64_t questions_ = 0;
  double exact_match_ = 0, f1_ = 0;
};

std::vector<std::string> normalized_truths(const AnsweredQuestion& question) {
  std::vector<std::string> truths;
  for (const std::string& truth : question.truths) truths.push_back(normalize_answer(truth));
  return truths;
}

// Begins with no answer at all, which is right where there is none, and lets one question after the other be
// answered, the surest first: one that has an answer wins its score, one that has none loses what was right.
std::pair<double, double> best_threshold(std::span<const AnsweredQuestion> questions,
                                         std::span<const size_t> surest_first,
                                         std::span<const double> score) {
  double sum = static_cast<double>(std::count_if(
      questions.begin(), questions.end(), [](const auto& question) { return question.truths.empty(); }));
  double best = sum, threshold = 0;
  for (size_t i : surest_first) {
    const AnsweredQuestion& question = questions[i];
    if (!question.truths.empty())
      sum += score[i];
    else if (!question.predicted.empty())
      sum -= 1;
    if (sum > best) {
      best = sum;
      threshold = question.null_score;
    }
  }
  return {100 * best / static_cast<double>(questions.size()), threshold};
}

}  // namespace

std::string normalize_answer(std::string_view text) {
  std::u32string lower = lower_case(text);
  std::erase_if(lower, is_ascii_punctuation);
  // An article counts between any characters that are no letters and no numbers, and leaves a space.
  std::u32string kept;
  for (size_t begin = 0; begin < lower.size();) {
    size_t end = begin;
    while (end < lower.size() && is_letter_or_number(lower[end])) end++;
    std::u32string_view word(lower.data() + begin, end - begin);
    kept += is_article(word) ? U" " : word;
    if (end < lower.size()) kept += lower[end];
    begin = end + 1;
  }
  std::string normalized;
  bool space = false;
  for (char32_t c : kept) {
    if (is_split_at(c)) {
      space = !normalized.empty();
      continue;
    }
    if (space) normalized += ' ';
    space = false;
    append_utf8(c, normalized);
  }
  return normalized;
}

AnswerScores squad1_scores(std::span<const AnsweredQuestion> questions) {
  MeanScore mean;
  for (const AnsweredQuestion& question : questions) {
    BERTIE_CHECK(!question.truths.empty(), "squad1_scores", "every question must have a true answer");
    mean.add(best_score(normalize_answer(question.predicted), normalized_truths(question), 0));
  }
  return mean.in_percent();
}

Squad2Scores squad2_scores(std::span<const AnsweredQuestion> questions, double threshold) {
  MeanScore all, with_answer, without_answer;
  std::vector<double> exact_match, f1;
  for (const AnsweredQuestion& question : questions) {
    BERTIE_CHECK(!std::isnan(question.null_score), "squad2_scores", "a null_score must be a number");
    std::vector<std::string> truths = normalized_truths(question);
    std::erase(truths, "");
    if (truths.empty()) truths.push_back("");
    AnswerScore score = best_score(normalize_answer(question.predicted), truths, 1);
    exact_match.push_back(score.exact_match);
    f1.push_back(score.f1);
    bool has_answer = !question.truths.empty();
    if (question.null_score > threshold) score.exact_match = score.f1 = has_answer ? 0 : 1;
    all.add(score);
    (has_answer ? with_answer : without_answer).add(score);
  }
  std::vector<size_t> surest_first(questions.size());
  std::iota(surest_first.begin(), surest_first.end(), 0);
  std::stable_sort(surest_first.begin(), surest_first.end(),
                   [&](size_t a, size_t b) { return questions[a].null_score < questions[b].null_score; });
  Squad2Scores scores{all.in_percent(), with_answer.in_percent(), without_answer.in_percent()};
  std::tie(scores.best_exact_match, scores.best_exact_match_threshold) =
      best_threshold(questions, surest_first, exact_match);
  std::tie(scores.best_f1, scores.best_f1_threshold) = best_threshold(questions, surest_first, f1);
  return scores;
}

}  // namespace bertie
