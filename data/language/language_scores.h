// How near a model comes to the best possible predictions of the default text's masked words.
#pragma once
#include <array>
#include <map>
#include <span>
#include <vector>

#include "bertie/data/batches/masking.h"
#include "bertie/data/language/language.h"
#include "bertie/data/language/pair_posterior.h"

namespace bertie {

// Means over scored positions. What a column may look at is said in data/language/word_posterior.h.
struct LanguageScore {
  enum Column { model, best, two_neighbors, left, unigram };
  static constexpr int columns = 5;

  int64_t positions = 0;
  std::array<double, columns> accuracy{};  // share of positions where the most probable word is the true one
  std::array<double, columns> loss{};      // −log p(true word), nats

  // Realized scores are as good as luck has it. With the exact p in place of the true word, nothing but
  // knowledge counts:
  double accuracy_lost = 0;  // max p − p(the model's choice)
  double loss_lost = 0;      // Kullback-Leibler divergence of the model from p, nats
  // Standard errors of the differences best − model in accuracy and loss, as if lines were independent; those
  // of a document share its topic, which makes little difference.
  double accuracy_error = 0, loss_error = 0;
};

class LanguageScores {
 public:
  // Sums over scored positions, or over the labels of pairs.
  struct Sums {
    double positions = 0;
    std::array<double, LanguageScore::columns> right{}, loss{};
    double accuracy_lost = 0, loss_lost = 0;
    void operator+=(const Sums& other);
    // In the columns `model` and `best`: the exact p of all words or labels, the model's log-probabilities of
    // them, and its choice, below 0 where that is none of them.
    template <class T>
    void add(std::span<const double> p, const T* log_p, int64_t choice, int32_t truth);
  };
  // What one of them adds. Nothing but its bytes, so that it can be computed elsewhere.
  struct Judgment {
    int64_t mark = 0;  // its phenomenon, or that of all labels
    Sums sums;
  };

  // unigram_log_p is a log-probability for each id of language_vocabulary(). Throws where it is not as long.
  explicit LanguageScores(std::vector<double> unigram_log_p);

  // A batch of whole lines of the language, or of pairs of them (data/language/pair_posterior.h), which then
  // are what a column looks at. Its ids are those of language_vocabulary(). The model's log-probabilities:
  // [M, V] of the scored tokens and, for pairs, [N, 2] of the label, f32 or f64. Throws where they have
  // another shape or type, or a line is none of the language's.
  void add(const MaskedBatch& batch, const Array& log_p, const Array& next_sentence_log_p = {});

  // The same in two steps, of which the first takes the time and may be done by another process's scores:
  // judgments of the scored tokens and then of the labels, in the batch's order. The first throws the same,
  // the second where they aren't the batch's in number or kind.
  std::vector<Judgment> judge(const MaskedBatch& batch, const Array& log_p,
                              const Array& next_sentence_log_p = {});
  void add(const MaskedBatch& batch, std::span<const Judgment> judgments);

  LanguageScore all() const;
  LanguageScore of(Phenomenon phenomenon) const;
  // Of the labels of pairs, in the columns `model` and `best`; positions are pairs, 0 where there were none.
  LanguageScore next_sentence() const;

 private:
  struct Line {
    std::vector<int32_t> states;           // of its words; found when first needed
    std::array<Sums, phenomena + 1> sums;  // of the labels: of the pairs that begin with it
  };
  struct Segment;

  std::vector<Segment> segments_of(const MaskedBatch& batch);
  void parse(std::span<const Segment> segments) const;
  template <class T>
  void judge(const Segment& segment, const T* log_p, Judgment* judgments) const;
  LanguageScore score(int first, int last) const;

  std::vector<double> unigram_log_p_;
  int64_t unigram_choice_;
  WordPosterior posterior_;
  std::map<std::vector<int32_t>, Line> lines_;  // by their words, so in an order that is theirs alone
};

}  // namespace bertie
