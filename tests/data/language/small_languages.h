// Languages so small that all their lines can be enumerated, and what the masking of a word shows.
#pragma once
#include <algorithm>
#include <map>

#include "bertie/data/batches/masking.h"
#include "bertie/data/language/word_posterior.h"

namespace bertie {

using Words = std::vector<int32_t>;
using Step = Automaton::Step;
inline constexpr WordPosterior::Context contexts[] = {
    WordPosterior::Context::line, WordPosterior::Context::two_neighbors, WordPosterior::Context::left};

// Numbers in (0, 1), those of each column [rows, columns] with the sum 1. About one of four is 0.
inline std::vector<double> random_columns(size_t rows, size_t columns, Random& random) {
  std::vector<double> p(rows * columns);
  for (size_t c = 0; c < columns; c++) {
    size_t never_0 = random.below(rows);
    double sum = 0;
    for (size_t r = 0; r < rows; r++) {
      double x = r != never_0 && random.below(4) == 0 ? 0 : 0.05 + random.uniform();
      sum += p[r * columns + c] = x;
    }
    for (size_t r = 0; r < rows; r++) p[r * columns + c] /= sum;
  }
  return p;
}

inline Automaton automaton_of(size_t words, size_t topics) {
  Automaton automaton;
  automaton.words.assign(words, "word");
  automaton.topics.assign(topics, 1.0 / static_cast<double>(topics));
  return automaton;
}

// States whose steps skip at most two, with classes that overlap. The last word is in no class.
inline Automaton random_automaton(size_t words, size_t topics, size_t states, uint64_t seed) {
  Random random(seed);
  Automaton automaton = automaton_of(words, topics);
  automaton.topics = random_columns(topics, 1, random);
  for (int c = 0; c < 4; c++) {
    Words of;
    while (of.empty()) {
      for (size_t w = 0; w + 1 < words; w++) {
        if (of.size() < 3 && random.below(2) == 0) of.push_back(static_cast<int32_t>(w));
      }
    }
    std::reverse(of.begin(), of.end());
    automaton.classes.push_back({of, random_columns(of.size(), topics, random)});
  }
  auto steps_from = [&](int32_t s) {
    std::vector<Step> steps;
    std::vector<double> p = random_columns(3, 1, random);
    for (int k = 0; k < 3; k++) steps.push_back({std::max(s - 1 - k, Automaton::end), p[k]});
    return steps;
  };
  for (int32_t s = 0; s < static_cast<int32_t>(states); s++) {
    automaton.states.push_back({static_cast<int32_t>(random.below(4)), s, steps_from(s)});
    if (random.below(3) == 0) {  // ends here or goes on
      for (Step& step : automaton.states.back().steps) step.p *= 0.75;
      automaton.states.back().steps.push_back({Automaton::end, 0.25});
    }
  }
  automaton.first = steps_from(static_cast<int32_t>(states));
  return automaton;
}

// All lines of a topic, whatever the states.
inline std::map<Words, double> lines_of(const Automaton& automaton, size_t topic) {
  std::map<Words, double> lines;
  Words line;
  auto go_on = [&](const auto& self, const std::vector<Step>& steps, double p) -> void {
    for (const Step& step : steps) {
      if (p * step.p == 0) continue;
      if (step.state == Automaton::end) {
        lines[line] += p * step.p;
        continue;
      }
      const Automaton::State& state = automaton.states[step.state];
      const Automaton::WordClass& of = automaton.classes[state.word_class];
      for (size_t k = 0; k < of.words.size(); k++) {
        line.push_back(of.words[k]);
        self(self, state.steps, p * step.p * of.p[k * automaton.topics.size() + topic]);
        line.pop_back();
      }
    }
  };
  go_on(go_on, automaton.first, 1);
  return lines;
}

// p(a word is shown so), given what becomes of it.
inline double shown_if_scored(int32_t word, int32_t shown, size_t vocabulary) {
  double p = 0;
  if (shown == WordPosterior::hidden) p += Masking::hidden;
  for (size_t drawn = 0; drawn < vocabulary; drawn++) {
    if (shown == static_cast<int32_t>(drawn)) p += Masking::replaced / static_cast<double>(vocabulary);
  }
  if (shown == word) p += 1 - Masking::hidden - Masking::replaced;
  return p;
}
inline double shown_if_not_scored(int32_t word, int32_t shown) { return shown == word ? 1 : 0; }

// Where it isn't known whether it is scored.
inline double shown_if_either(int32_t word, int32_t shown, size_t vocabulary) {
  return Masking::scored * shown_if_scored(word, shown, vocabulary) +
         (1 - Masking::scored) * shown_if_not_scored(word, shown);
}

}  // namespace bertie
