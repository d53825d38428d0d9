#include "bertie/data/language/pair_posterior.h"

#include "bertie/autograd/error.h"

namespace bertie {

using Context = WordPosterior::Context;

PairPosterior::PairPosterior(const WordPosterior& posterior, std::span<const int32_t> first,
                             std::span<const int32_t> second)
    : posterior_(posterior), lines_{first, second} {
  const std::vector<double>& prior = posterior.automaton().topics;
  std::vector<double> of_first = posterior.topics(first), of_second = posterior.topics(second);
  double ratio = 0;  // of the likelihoods of neighbors and others
  for (size_t t = 0; t < prior.size(); t++) {
    if (prior[t] > 0) ratio += of_first[t] * of_second[t] / prior[t];
    topics_[0].push_back((prior[t] + of_second[t]) / 2);
    topics_[1].push_back((prior[t] + of_first[t]) / 2);
  }
  neighbors_ = ratio / (1 + ratio);
}

std::vector<double> PairPosterior::operator()(int line, std::span<const int64_t> scored,
                                              Context context) const {
  BERTIE_CHECK(line == 0 || line == 1, "pair_posterior", "a pair's lines are 0 and 1, got {}", line);
  bool other_is_seen = context == Context::line || (context == Context::left && line == 1);
  std::span<const double> topics;
  if (other_is_seen) topics = topics_[line];
  return posterior_(lines_[line], scored, context, topics);
}

}  // namespace bertie
