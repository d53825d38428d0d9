#include "bertie/data/language/language_scores.h"

#include <algorithm>
#include <cmath>

#include "bertie/autograd/error.h"
#include "bertie/autograd/threads.h"

namespace bertie {
namespace {

using Context = WordPosterior::Context;
constexpr std::pair<LanguageScore::Column, Context> exact_columns[] = {
    {LanguageScore::best, Context::line},
    {LanguageScore::two_neighbors, Context::two_neighbors},
    {LanguageScore::left, Context::left}};

template <class T>
int64_t largest(const T* values, int64_t count) {
  return std::max_element(values, values + count) - values;
}

}  // namespace

LanguageScores::LanguageScores(const TokenizedLines& lines, std::vector<double> unigram_log_p)
    : lines_(lines),
      unigram_log_p_(std::move(unigram_log_p)),
      posterior_(language()),
      states_(lines.size()),
      sums_(lines.size()) {
  int64_t ids = first_word_id + language().word_count(), given = static_cast<int64_t>(unigram_log_p_.size());
  BERTIE_CHECK(given == ids, "language", "the vocabulary must have {} ids, got {}", ids, given);
  unigram_choice_ = largest(unigram_log_p_.data(), ids);
}

void LanguageScores::Sums::operator+=(const Sums& other) {
  positions += other.positions;
  for (int c = 0; c < LanguageScore::columns; ++c) {
    right[c] += other.right[c];
    loss[c] += other.loss[c];
  }
  accuracy_lost += other.accuracy_lost;
  loss_lost += other.loss_lost;
}

template <class T>
void LanguageScores::add_line(const MaskedBatch& batch, size_t sequence, std::span<const int64_t> rows,
                              const T* log_p) {
  int64_t line = batch.tokens.sequences[sequence];
  std::span<const int32_t> ids = lines_[line];
  int64_t begin = batch.tokens.offsets[sequence] + 1;  // after [CLS]
  int64_t end = batch.tokens.offsets[sequence + 1] - 1;
  BERTIE_CHECK(end - begin == static_cast<int64_t>(ids.size()), "language",
               "line {} must have {} words, as given before, the batch has {}", line, ids.size(),
               end - begin);
  int64_t words = language().word_count(), all = static_cast<int64_t>(unigram_log_p_.size());
  std::vector<int32_t> truth(ids.size()), observed(ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    int32_t shown = batch.tokens.ids.data<int32_t>()[begin + i];
    truth[i] = ids[i] - first_word_id;
    observed[i] = shown < first_word_id ? WordPosterior::hidden : shown - first_word_id;
  }
  if (states_[line].empty()) states_[line] = language().parse(truth);
  BERTIE_CHECK(!states_[line].empty(), "language", "line {} must be one of the language's", line);
  std::vector<int64_t> scored;
  for (int64_t row : rows) scored.push_back(row - begin);

  auto sums_at = [&](size_t i) -> Sums& {
    return sums_[line][language().states[states_[line][scored[i]]].mark];
  };
  auto count = [&](size_t i, LanguageScore::Column column, bool right, double log_p_of_truth) {
    sums_at(i).right[column] += right;
    sums_at(i).loss[column] -= log_p_of_truth;
  };
  for (auto [column, context] : exact_columns) {
    std::vector<double> p = posterior_(observed, scored, context);
    for (size_t i = 0; i < scored.size(); ++i) {
      const double* row = &p[i * words];
      int32_t word = truth[scored[i]];
      int64_t choice = largest(row, words);
      count(i, column, choice == word, std::log(row[word]));
      if (column != LanguageScore::best) continue;
      const T* guess = log_p + static_cast<int64_t>(i) * all;
      int64_t guessed = largest(guess, all) - first_word_id;
      count(i, LanguageScore::model, guessed == word, static_cast<double>(guess[word + first_word_id]));
      count(i, LanguageScore::unigram, unigram_choice_ - first_word_id == word,
            unigram_log_p_[word + first_word_id]);
      Sums& sums = sums_at(i);
      sums.positions += 1;
      sums.accuracy_lost += row[choice] - (guessed < 0 ? 0 : row[guessed]);
      for (int64_t w = 0; w < words; ++w)
        if (row[w] > 0)
          sums.loss_lost += row[w] * (std::log(row[w]) - static_cast<double>(guess[w + first_word_id]));
    }
  }
}

void LanguageScores::add(const MaskedBatch& batch, const Array& log_p) {
  auto ids = static_cast<int64_t>(unigram_log_p_.size());
  BERTIE_CHECK(log_p.shape() == Shape({batch.labels.size(), ids}), "language",
               "the log-probabilities must be [{}, {}], got {}", batch.labels.size(), ids, log_p.shape());
  std::span<const int64_t> rows(batch.scored_rows.data<int64_t>(), batch.scored_rows.size());
  dispatch("language", log_p.dtype(), [&](auto zero) {
    using T = decltype(zero);
    // A line is in a batch once, so no two tasks write to the same sums.
    parallel_tasks(static_cast<int64_t>(batch.tokens.sequences.size()), [&](int64_t n) {
      auto first = std::lower_bound(rows.begin(), rows.end(), batch.tokens.offsets[n]);
      auto last = std::lower_bound(first, rows.end(), batch.tokens.offsets[n + 1]);
      if (first != last) add_line(batch, n, {first, last}, log_p.data<T>() + (first - rows.begin()) * ids);
    });
  });
}

LanguageScore LanguageScores::score(int first, int last) const {
  std::vector<Sums> of_line(sums_.size());
  Sums total;
  for (size_t line = 0; line < sums_.size(); ++line) {
    for (int p = first; p <= last; ++p) of_line[line] += sums_[line][p];
    total += of_line[line];
  }
  LanguageScore score;
  score.positions = static_cast<int64_t>(total.positions);
  double count = std::max(total.positions, 1.0);
  for (int c = 0; c < LanguageScore::columns; ++c) {
    score.accuracy[c] = total.right[c] / count;
    score.loss[c] = total.loss[c] / count;
  }
  score.accuracy_lost = total.accuracy_lost / count;
  score.loss_lost = total.loss_lost / count;
  // Of a ratio of sums over independent lines: sum of squares of what a line has beyond its share.
  auto error = [&](auto sums) {
    auto difference = [&](const Sums& s) {
      return (s.*sums)[LanguageScore::best] - (s.*sums)[LanguageScore::model];
    };
    double mean = difference(total) / count, squares = 0;
    for (const Sums& line : of_line) squares += std::pow(difference(line) - mean * line.positions, 2);
    return std::sqrt(squares) / count;
  };
  score.accuracy_error = error(&Sums::right);
  score.loss_error = error(&Sums::loss);
  return score;
}

LanguageScore LanguageScores::all() const { return score(0, phenomena - 1); }

LanguageScore LanguageScores::of(Phenomenon phenomenon) const {
  return score(static_cast<int>(phenomenon), static_cast<int>(phenomenon));
}

}  // namespace bertie
