// What two masked lines tell that are one segment pair, as next-sentence prediction (Devlin et al., "BERT",
// 2019, section 3.1) has them: whether they are neighbors, and what their words must be.
#pragma once
#include <array>

#include "bertie/data/language/word_posterior.h"

namespace bertie {

// Exact for pairs [CLS] A [SEP] B [SEP] of whole lines of which B is with probability 1/2 the line after A,
// and so shares its topic, and else a line of a document whose topic is drawn anew: it may be the same by
// chance. Given its topic a line is independent of all others. Both lines are masked as WordPosterior has it.
// Nothing but its topic ties one line to the other. So with p(t) the topics' distribution, and the label
// summed out where it is about topics,
//   p(A, B | neighbors) / p(A, B | not) = Σ_t p(t | A) p(t | B) / p(t)
//   p(topic of A is t | B) = (p(t) + p(t | B)) / 2, the same for B, which WordPosterior takes for the prior.
class PairPosterior {
 public:
  // The observed lines without [CLS] and [SEP], as WordPosterior takes them. They and the posterior must
  // outlive this. Throws as it does.
  PairPosterior(const WordPosterior& posterior, std::span<const int32_t> first,
                std::span<const int32_t> second);

  double neighbors() const { return neighbors_; }  // p(B is the line after A | both)

  // p(word) [scored.size(), V] f64 of the words at these positions of line 0 or 1, given the pair. What else
  // than the whole pair may be looked at: two tokens on each side within the line and the position in it, or
  // all tokens to the left, for the second line with the first one.
  std::vector<double> operator()(int line, std::span<const int64_t> scored,
                                 WordPosterior::Context context = WordPosterior::Context::line) const;

 private:
  const WordPosterior& posterior_;
  std::array<std::span<const int32_t>, 2> lines_;
  std::array<std::vector<double>, 2> topics_;  // of each line, given the other one
  double neighbors_;
};

}  // namespace bertie
