// How to write down a small language: parts are put together as in a regular expression, and compiled into an
// automaton.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bertie/data/language/automaton.h"

namespace bertie {

class GrammarCompiler;

// What may stand in a place of a sentence.
class Part {
 public:
  Part(const char* words);  // these words, one after the other, separated by spaces; may be none

  friend Part operator+(const Part& first, const Part& second);  // one after the other
  friend Part one_of(std::string list, int32_t mark);
  friend Part either(std::vector<std::pair<double, Part>> alternatives);

 private:
  friend class GrammarCompiler;
  using Steps = std::vector<Automaton::Step>;
  // The steps into this part, where `next` are those that follow it.
  using Compile = std::function<Steps(GrammarCompiler&, const Steps& next)>;
  explicit Part(Compile compile) : compile_(std::move(compile)) {}
  Compile compile_;
};

// One of these words, which are separated by spaces; each is less frequent than the one before it. "boat:sea"
// is more frequent where the topic is "sea". The mark is that of the state.
Part one_of(std::string list, int32_t mark = 0);
// One of the alternatives, with probabilities in proportion to these weights. Throws where one isn't
// positive.
Part either(std::vector<std::pair<double, Part>> alternatives);
// The part with probability p, else nothing. Throws where p isn't between 0 and 1.
Part maybe(double p, const Part& part);

// The words of a list that begin with a vowel, or with none: those that take "an", or "a".
std::string beginning_with_vowel(std::string_view list, bool vowel);
// Each word of a list with an s.
std::string with_s(std::string_view list);

// The automaton of a line. Throws where a word has a topic that isn't among these, all equally probable, and
// where a list has no words or one twice, or the line may have none.
Automaton compile_grammar(const Part& line, const std::vector<std::string>& topics);

}  // namespace bertie
