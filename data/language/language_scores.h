// How near a model comes to the best possible predictions of the default text's masked words.
#pragma once
#include <array>
#include <map>
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
  // unigram_log_p is a log-probability for each id of language_vocabulary(). Throws where it is not as long.
  explicit LanguageScores(std::vector<double> unigram_log_p);

  // A batch of whole lines of the language, or of pairs of them (data/language/pair_posterior.h), which then
  // are what a column looks at. Its ids are those of language_vocabulary(). The model's log-probabilities:
  // [M, V] of the scored tokens and, for pairs, [N, 2] of the label, f32 or f64. Throws where they have
  // another shape or type, or a line is none of the language's.
  void add(const MaskedBatch& batch, const Array& log_p, const Array& next_sentence_log_p = {});

  LanguageScore all() const;
  LanguageScore of(Phenomenon phenomenon) const;
  // Of the labels of pairs, in the columns `model` and `best`; positions are pairs, 0 where there were none.
  LanguageScore next_sentence() const;

 private:
  // Sums over the scored positions of one line and phenomenon, or over the labels of the pairs that begin
  // with the line.
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
  struct Line {
    std::vector<int32_t> states;  // of its words; found when first needed
    std::array<Sums, phenomena + 1> sums;
  };
  struct Segment;

  std::vector<Segment> segments_of(const MaskedBatch& batch);
  template <class T>
  void add_segment(const Segment& segment, const T* log_p);
  LanguageScore score(int first, int last) const;

  std::vector<double> unigram_log_p_;
  int64_t unigram_choice_;
  WordPosterior posterior_;
  std::vector<Line> lines_;                          // in the order in which they came
  std::map<std::vector<int32_t>, int64_t> numbers_;  // of these, by their words
};

}  // namespace bertie
