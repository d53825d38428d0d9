// A small language as a probabilistic finite automaton over whole words: texts can be drawn from it, and what
// a word must be, given others, can be computed exactly (data/language/word_posterior.h).
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "bertie/autograd/random.h"

namespace bertie {

// How an automaton makes a line of words: a topic is drawn (or given, where several lines share one), then
// the first step, then state after state emits one word of its class, up to the step to `end`. Only the words
// depend on the topic, the steps don't. There is no way back to a state: steps lead to lower numbers.
// compile_grammar() makes valid ones (data/language/grammar.h); of others only WordPosterior checks the
// numbers.
struct Automaton {
  static constexpr int32_t end = -1;

  struct Step {
    int32_t state;  // or `end`
    double p;
    auto operator<=>(const Step&) const = default;
  };
  struct State {
    int32_t word_class;
    int32_t mark;             // what a report counts this position as; no meaning here
    std::vector<Step> steps;  // their p sum to 1
    auto operator<=>(const State&) const = default;
  };
  struct WordClass {
    std::vector<int32_t> words;  // indices into Automaton::words, no two alike
    std::vector<double> p;       // [words, topics]: of each word, given the topic; sums to 1 for each topic
  };

  std::vector<std::string> words;
  std::vector<double> topics;  // probability of each
  std::vector<WordClass> classes;
  std::vector<State> states;
  std::vector<Step> first;  // none to `end`

  int64_t word_count() const { return static_cast<int64_t>(words.size()); }
  int64_t topic_count() const { return static_cast<int64_t>(topics.size()); }
  // The words of the longest line.
  int64_t longest() const;

  // A line drawn from the language: the states that it goes through, and the word that each emits.
  struct Line {
    std::vector<int32_t> states, words;
  };
  Line draw(int64_t topic, Random& random) const;
  int64_t draw_topic(Random& random) const;

  // The most probable states to emit these words; empty where no line of the language has them.
  std::vector<int32_t> parse(std::span<const int32_t> line) const;
};

}  // namespace bertie
