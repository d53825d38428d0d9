#include "bertie/data/language/automaton.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "bertie/autograd/error.h"

namespace bertie {
namespace {

// The index of one of `count` alternatives with the probabilities p(0), p(1), …
template <class Probability>
int64_t pick(int64_t count, Random& random, Probability p) {
  double rest = random.uniform();
  int64_t last = 0;  // what rounding leaves over goes to the last one that is possible
  for (int64_t i = 0; i < count; ++i) {
    if (p(i) <= 0) continue;
    last = i;
    if ((rest -= p(i)) < 0) break;
  }
  return last;
}

}  // namespace

int64_t Automaton::longest() const {
  std::vector<int64_t> length(states.size(), 1);
  auto rest = [&](const Step& step) { return step.state == end ? 0 : length[step.state]; };
  for (size_t s = 0; s < states.size(); ++s)
    for (const Step& step : states[s].steps) length[s] = std::max(length[s], 1 + rest(step));
  int64_t result = 0;
  for (const Step& step : first) result = std::max(result, rest(step));
  return result;
}

int64_t Automaton::draw_topic(Random& random) const {
  return pick(topic_count(), random, [&](int64_t t) { return topics[t]; });
}

Automaton::Line Automaton::draw(int64_t topic, Random& random) const {
  BERTIE_CHECK(topic >= 0 && topic < topic_count(), "automaton", "the topic must be below {}, got {}",
               topic_count(), topic);
  Line line;
  const std::vector<Step>* steps = &first;
  while (true) {
    int32_t state =
        (*steps)[pick(static_cast<int64_t>(steps->size()), random, [&](int64_t i) { return (*steps)[i].p; })]
            .state;
    if (state == end) return line;
    const WordClass& word_class = classes[states[state].word_class];
    int64_t word = pick(static_cast<int64_t>(word_class.words.size()), random,
                        [&](int64_t w) { return word_class.p[w * topic_count() + topic]; });
    line.states.push_back(state);
    line.words.push_back(word_class.words[word]);
    steps = &states[state].steps;
  }
}

std::vector<int32_t> Automaton::parse(std::span<const int32_t> line) const {
  constexpr double never = -std::numeric_limits<double>::infinity();
  if (line.empty()) return {};
  // log p(word | class), its mean over the topics.
  std::vector<std::vector<double>> log_p(classes.size(), std::vector<double>(words.size(), never));
  for (size_t c = 0; c < classes.size(); ++c) {
    for (size_t w = 0; w < classes[c].words.size(); ++w) {
      double p = 0;
      for (int64_t t = 0; t < topic_count(); ++t) p += topics[t] * classes[c].p[w * topic_count() + t];
      log_p[c][classes[c].words[w]] = std::log(p);
    }
  }
  // best[i][s]: of all ways to be in state s after the words 0 … i. from[i][s]: the state before.
  std::vector<std::vector<double>> best(line.size(), std::vector<double>(states.size(), never));
  std::vector<std::vector<int32_t>> from(line.size(), std::vector<int32_t>(states.size(), end));
  auto reach = [&](size_t i, const std::vector<Step>& steps, double before, int32_t state) {
    for (const Step& step : steps) {
      if (step.state == end) continue;
      double p = before + std::log(step.p) + log_p[states[step.state].word_class][line[i]];
      if (p <= best[i][step.state]) continue;
      best[i][step.state] = p;
      from[i][step.state] = state;
    }
  };
  for (int32_t word : line)
    BERTIE_CHECK(word >= 0 && word < word_count(), "automaton", "a word must be below {}, got {}",
                 word_count(), word);
  reach(0, first, 0, end);
  for (size_t i = 1; i < line.size(); ++i)
    for (size_t s = 0; s < states.size(); ++s)
      if (best[i - 1][s] > never) reach(i, states[s].steps, best[i - 1][s], static_cast<int32_t>(s));

  double last = never;
  std::vector<int32_t> path;
  for (size_t s = 0; s < states.size(); ++s) {
    for (const Step& step : states[s].steps) {
      double p = best.back()[s] + (step.state == end ? std::log(step.p) : never);
      if (p > last) last = p, path = {static_cast<int32_t>(s)};
    }
  }
  if (path.empty()) return path;
  for (size_t i = line.size() - 1; i > 0; --i) path.push_back(from[i][path.back()]);
  std::reverse(path.begin(), path.end());
  return path;
}

}  // namespace bertie
