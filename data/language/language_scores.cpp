#include "bertie/data/language/language_scores.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "bertie/autograd/error.h"
#include "bertie/autograd/threads.h"

namespace bertie {
namespace {

using Context = WordPosterior::Context;
constexpr std::pair<LanguageScore::Column, Context> other_exact_columns[] = {
    {LanguageScore::two_neighbors, Context::two_neighbors}, {LanguageScore::left, Context::left}};

constexpr int label_mark = phenomena;  // in place of one of a phenomenon: the labels of pairs

template <class T>
int64_t largest(const T* values, int64_t count) {
  return std::max_element(values, values + count) - values;
}

}  // namespace

// A line in a batch.
struct LanguageScores::Segment {
  int64_t sequence = 0;
  std::vector<int32_t> truth = {}, observed = {};
  std::vector<int64_t> scored = {};  // positions in the line
  int64_t first_scored = 0;          // the first one's place among all of the batch
  Line* line = nullptr;
  const PairPosterior* pair = nullptr;
  int place = 0;  // in the pair
};

LanguageScores::LanguageScores(std::vector<double> unigram_log_p)
    : unigram_log_p_(std::move(unigram_log_p)), posterior_(language()) {
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
void LanguageScores::Sums::add(std::span<const double> p, const T* log_p, int64_t choice, int32_t truth) {
  int64_t best = largest(p.data(), static_cast<int64_t>(p.size()));
  positions += 1;
  right[LanguageScore::best] += best == truth;
  right[LanguageScore::model] += choice == truth;
  loss[LanguageScore::best] -= std::log(p[truth]);
  loss[LanguageScore::model] -= static_cast<double>(log_p[truth]);
  accuracy_lost += p[best] - (choice < 0 ? 0 : p[choice]);
  for (size_t i = 0; i < p.size(); ++i)
    if (p[i] > 0) loss_lost += p[i] * (std::log(p[i]) - static_cast<double>(log_p[i]));
}

std::vector<LanguageScores::Segment> LanguageScores::segments_of(const MaskedBatch& batch) {
  const TokenBatch& tokens = batch.tokens;
  const auto *ids = tokens.ids.data<int32_t>(), *labels = batch.labels.data<int32_t>();
  std::span<const int64_t> rows(batch.scored_rows.data<int64_t>(), batch.scored_rows.size());
  std::vector<Segment> segments;
  auto add_segment = [&](int64_t sequence, int64_t begin, int64_t end) {
    Segment segment{sequence};
    for (int64_t row = begin; row < end; ++row) {
      segment.truth.push_back(ids[row] - first_word_id);
      segment.observed.push_back(std::max(segment.truth.back(), WordPosterior::hidden));
    }
    auto first = std::lower_bound(rows.begin(), rows.end(), begin);
    segment.first_scored = first - rows.begin();
    for (auto row = first; row != rows.end() && *row < end; ++row) {
      segment.scored.push_back(*row - begin);
      segment.truth[*row - begin] = labels[row - rows.begin()] - first_word_id;
    }
    segment.line = &lines_[segment.truth];
    segments.push_back(std::move(segment));
  };
  for (int64_t n = 0; n < static_cast<int64_t>(tokens.sequences.size()); ++n) {
    int64_t begin = tokens.offsets[n] + 1, end = tokens.offsets[n + 1] - 1;  // within [CLS] and [SEP]
    if (!batch.next_sentence_labels) {
      add_segment(n, begin, end);
      continue;
    }
    const auto* types = tokens.token_type_ids.data<int32_t>();
    int64_t second = std::find(types + begin, types + end, 1) - types;
    BERTIE_CHECK(second > begin && second < end, "language", "sequence {} must have two segments", n);
    add_segment(n, begin, second - 1);
    add_segment(n, second, end);
    segments.back().place = 1;
  }
  return segments;
}

// Once for each line, which may be in several segments.
void LanguageScores::parse(std::span<const Segment> segments) const {
  std::map<Line*, const Segment*> unknown;
  for (const Segment& segment : segments)
    if (!segment.scored.empty() && segment.line->states.empty()) unknown.try_emplace(segment.line, &segment);
  std::vector<const Segment*> tasks;
  for (const auto& [line, segment] : unknown) tasks.push_back(segment);
  parallel_tasks(static_cast<int64_t>(tasks.size()), [&](int64_t task) {
    const Segment& segment = *tasks[task];
    segment.line->states = language().parse(segment.truth);
    BERTIE_CHECK(!segment.line->states.empty(), "language",
                 "sequence {} of the batch must be of the language's lines", segment.sequence);
  });
}

template <class T>
void LanguageScores::judge(const Segment& segment, const T* log_p, Judgment* judgments) const {
  int64_t words = language().word_count(), all = static_cast<int64_t>(unigram_log_p_.size());
  auto posterior = [&](Context context) {
    return segment.pair ? (*segment.pair)(segment.place, segment.scored, context)
                        : posterior_(segment.observed, segment.scored, context);
  };
  auto count = [&](size_t i, LanguageScore::Column column, bool right, double log_p_of_truth) {
    Sums& sums = judgments[segment.first_scored + static_cast<int64_t>(i)].sums;
    sums.right[column] += right;
    sums.loss[column] -= log_p_of_truth;
  };

  std::vector<double> p = posterior(Context::line);
  for (size_t i = 0; i < segment.scored.size(); ++i) {
    int32_t word = segment.truth[segment.scored[i]];
    int64_t place = segment.first_scored + static_cast<int64_t>(i);
    const T* guess = log_p + place * all;
    judgments[place].mark = language().states[segment.line->states[segment.scored[i]]].mark;
    judgments[place].sums.add(std::span(p).subspan(i * words, words), guess + first_word_id,
                              largest(guess, all) - first_word_id, word);
    count(i, LanguageScore::unigram, unigram_choice_ - first_word_id == word,
          unigram_log_p_[word + first_word_id]);
  }
  for (auto [column, context] : other_exact_columns) {
    p = posterior(context);
    for (size_t i = 0; i < segment.scored.size(); ++i) {
      const double* row = &p[i * words];
      int32_t word = segment.truth[segment.scored[i]];
      count(i, column, largest(row, words) == word, std::log(row[word]));
    }
  }
}

std::vector<LanguageScores::Judgment> LanguageScores::judge(const MaskedBatch& batch, const Array& log_p,
                                                            const Array& next_sentence_log_p) {
  auto check = [](const char* what, const Array& given, const Shape& shape) {
    BERTIE_CHECK(given, "language", "the {} must be {}, got none", what, shape);
    BERTIE_CHECK(given.shape() == shape, "language", "the {} must be {}, got {}", what, shape, given.shape());
  };
  auto ids = static_cast<int64_t>(unigram_log_p_.size()),
       sequences = static_cast<int64_t>(batch.tokens.sequences.size());
  check("log-probabilities", log_p, {batch.labels.size(), ids});
  if (batch.next_sentence_labels) check("log-probabilities of labels", next_sentence_log_p, {sequences, 2});

  std::vector<Segment> segments = segments_of(batch);
  std::vector<std::optional<PairPosterior>> pairs(batch.next_sentence_labels ? sequences : 0);
  parallel_tasks(static_cast<int64_t>(pairs.size()), [&](int64_t n) {
    pairs[n].emplace(posterior_, segments[2 * n].observed, segments[2 * n + 1].observed);
    segments[2 * n].pair = segments[2 * n + 1].pair = &*pairs[n];
  });
  parse(segments);
  std::vector<Judgment> judgments(static_cast<size_t>(batch.labels.size()) + pairs.size());
  dispatch_compute("language", log_p.dtype(), [&](auto zero) {
    using T = decltype(zero);
    parallel_tasks(static_cast<int64_t>(segments.size()), [&](int64_t s) {
      if (!segments[s].scored.empty()) judge(segments[s], log_p.data<T>(), judgments.data());
    });
  });
  if (pairs.empty()) return judgments;
  dispatch_compute("language", next_sentence_log_p.dtype(), [&](auto zero) {
    for (int64_t n = 0; n < sequences; ++n) {
      const auto* guess = next_sentence_log_p.data<decltype(zero)>() + 2 * n;
      const double p[] = {pairs[n]->neighbors(), 1 - pairs[n]->neighbors()};
      Judgment& judgment = judgments[batch.labels.size() + n];
      judgment.mark = label_mark;
      judgment.sums.add(p, guess, largest(guess, 2), batch.next_sentence_labels.data<int32_t>()[n]);
    }
  });
  return judgments;
}

void LanguageScores::add(const MaskedBatch& batch, const Array& log_p, const Array& next_sentence_log_p) {
  add(batch, judge(batch, log_p, next_sentence_log_p));
}

void LanguageScores::add(const MaskedBatch& batch, std::span<const Judgment> judgments) {
  int64_t scored = batch.labels.size(),
          labels = batch.next_sentence_labels ? batch.next_sentence_labels.size() : 0;
  BERTIE_CHECK(std::ssize(judgments) == scored + labels, "language",
               "there must be a judgment of each of {} tokens and {} labels, got {}", scored, labels,
               judgments.size());
  for (int64_t i = 0; i < scored + labels; ++i)
    BERTIE_CHECK(i < scored ? judgments[i].mark >= 0 && judgments[i].mark < phenomena
                            : judgments[i].mark == label_mark,
                 "language", "judgment {} of {} tokens and {} labels has the mark {}", i, scored, labels,
                 judgments[i].mark);
  std::vector<Segment> segments = segments_of(batch);
  for (const Segment& segment : segments)
    for (int64_t i = 0; i < std::ssize(segment.scored); ++i) {
      const Judgment& judgment = judgments[segment.first_scored + i];
      segment.line->sums[judgment.mark] += judgment.sums;
    }
  for (int64_t n = 0; n < labels; ++n) segments[2 * n].line->sums[label_mark] += judgments[scored + n].sums;
}

LanguageScore LanguageScores::score(int first, int last) const {
  std::vector<Sums> of_line;
  Sums total;
  for (const auto& [words, line] : lines_) {
    Sums& sums = of_line.emplace_back();
    for (int p = first; p <= last; ++p) sums += line.sums[p];
    total += sums;
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

LanguageScore LanguageScores::next_sentence() const { return score(label_mark, label_mark); }

LanguageScore LanguageScores::of(Phenomenon phenomenon) const {
  return score(static_cast<int>(phenomenon), static_cast<int>(phenomenon));
}

}  // namespace bertie
