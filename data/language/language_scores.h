// How near a model comes to the best possible predictions of the default text's masked words.
#pragma once
#include <array>
#include <vector>

#include "bertie/data/batches/masking.h"
#include "bertie/data/language/language.h"
#include "bertie/data/language/word_posterior.h"

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
  // `lines` are the true words as ids of language_vocabulary(), and unigram_log_p is a log-probability for
  // each id. Throws where it is not as long.
  LanguageScores(const TokenizedLines& lines, std::vector<double> unigram_log_p);

  // A batch of these lines, and the model's log-probabilities [M, V] of its scored tokens, f32 or f64. Throws
  // where they have another shape or type, or a line is another one or none of the language's.
  void add(const MaskedBatch& batch, const Array& log_p);

  LanguageScore all() const;
  LanguageScore of(Phenomenon phenomenon) const;

 private:
  // Sums over the scored positions of one line and phenomenon.
  struct Sums {
    double positions = 0;
    std::array<double, LanguageScore::columns> right{}, loss{};
    double accuracy_lost = 0, loss_lost = 0;
    void operator+=(const Sums& other);
  };
  template <class T>
  void add_line(const MaskedBatch& batch, size_t sequence, std::span<const int64_t> rows, const T* log_p);
  LanguageScore score(int first, int last) const;

  const TokenizedLines& lines_;
  std::vector<double> unigram_log_p_;
  int64_t unigram_choice_;
  WordPosterior posterior_;
  std::vector<std::vector<int32_t>> states_;       // of each line's words; found when first needed
  std::vector<std::array<Sums, phenomena>> sums_;  // of each line
};

}  // namespace bertie
