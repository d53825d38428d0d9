#include "bertie/data/language/grammar.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "bertie/autograd/error.h"

namespace bertie {
namespace {

constexpr double topic_factor = 32;  // how much more frequent a word is in its topic

std::vector<std::string_view> split(std::string_view list, char separator) {
  std::vector<std::string_view> words;
  while (!list.empty()) {
    std::string_view word = list.substr(0, list.find(separator));
    list.remove_prefix(std::min(list.size(), word.size() + 1));
    if (!word.empty()) words.push_back(word);
  }
  return words;
}

}  // namespace

// Builds the automaton from the end of the line to its beginning. States that are alike are one.
class GrammarCompiler {
 public:
  explicit GrammarCompiler(const std::vector<std::string>& topics) : topic_names_(topics) {
    automaton_.topics.assign(topics.size(), 1.0 / static_cast<double>(topics.size()));
  }

  Part::Steps word(const std::string& list, int32_t mark, const Part::Steps& next) {
    Automaton::State state{class_of(list), mark, next};
    auto [found, is_new] = states_.try_emplace(state, static_cast<int32_t>(automaton_.states.size()));
    if (is_new) automaton_.states.push_back(std::move(state));
    return {{found->second, 1.0}};
  }

  static Part::Steps mixture(const std::vector<std::pair<double, Part::Steps>>& alternatives) {
    double total = 0;
    for (const auto& [weight, steps] : alternatives) total += weight;
    std::map<int32_t, double> sums;
    for (const auto& [weight, steps] : alternatives)
      for (const Automaton::Step& step : steps) sums[step.state] += step.p * weight / total;
    Part::Steps result;
    for (const auto& [state, p] : sums) result.push_back({state, p});
    return result;
  }

  Automaton automaton(const Part& line) {
    automaton_.first = line.compile_(*this, {{Automaton::end, 1.0}});
    BERTIE_CHECK(automaton_.first.empty() || automaton_.first.front().state != Automaton::end, "grammar",
                 "a line must have words");
    return std::move(automaton_);
  }

 private:
  int32_t class_of(const std::string& list) {
    auto [found, is_new] = classes_.try_emplace(list, static_cast<int32_t>(automaton_.classes.size()));
    if (!is_new) return found->second;
    Automaton::WordClass word_class;
    size_t topics = topic_names_.size();
    std::vector<double> sums(topics, 0);
    for (std::string_view entry : split(list, ' ')) {
      std::vector<std::string_view> fields = split(entry, ':');
      double weight = 1.0 / (3.0 + static_cast<double>(word_class.words.size()));
      int32_t word = word_index(std::string(fields[0]));
      BERTIE_CHECK(
          std::find(word_class.words.begin(), word_class.words.end(), word) == word_class.words.end(),
          "grammar", "'{}' must be in a list once, got '{}'", fields[0], list);
      word_class.words.push_back(word);
      size_t topic = topics;
      if (fields.size() > 1) {
        topic = std::find(topic_names_.begin(), topic_names_.end(), fields[1]) - topic_names_.begin();
        BERTIE_CHECK(topic < topics, "grammar", "'{}' must name one of the {} topics", entry, topics);
      }
      for (size_t t = 0; t < topics; ++t) {
        word_class.p.push_back(t == topic ? weight * topic_factor : weight);
        sums[t] += word_class.p.back();
      }
    }
    BERTIE_CHECK(!word_class.words.empty(), "grammar", "a list must have words, got '{}'", list);
    for (size_t i = 0; i < word_class.p.size(); ++i) word_class.p[i] /= sums[i % topics];
    automaton_.classes.push_back(std::move(word_class));
    return found->second;
  }

  int32_t word_index(const std::string& word) {
    auto [found, is_new] = words_.try_emplace(word, static_cast<int32_t>(automaton_.words.size()));
    if (is_new) automaton_.words.push_back(word);
    return found->second;
  }

  std::vector<std::string> topic_names_;
  Automaton automaton_;
  std::map<std::string, int32_t> words_, classes_;
  std::map<Automaton::State, int32_t> states_;
};

Part one_of(std::string list, int32_t mark) {
  return Part([list = std::move(list), mark](GrammarCompiler& compiler, const Part::Steps& next) {
    return compiler.word(list, mark, next);
  });
}

Part::Part(const char* words)
    : compile_([words = std::string(words)](GrammarCompiler& compiler, const Steps& next) {
        Steps steps = next;
        std::vector<std::string_view> each = split(words, ' ');
        for (auto word = each.rbegin(); word != each.rend(); ++word)
          steps = compiler.word(std::string(*word), 0, steps);
        return steps;
      }) {}

Part operator+(const Part& first, const Part& second) {
  return Part([first, second](GrammarCompiler& compiler, const Part::Steps& next) {
    return first.compile_(compiler, second.compile_(compiler, next));
  });
}

Part either(std::vector<std::pair<double, Part>> alternatives) {
  BERTIE_CHECK(!alternatives.empty(), "grammar", "there must be an alternative");
  for (const auto& [weight, part] : alternatives)
    BERTIE_CHECK(weight > 0 && std::isfinite(weight), "grammar", "weights must be positive, got {}", weight);
  return Part([alternatives = std::move(alternatives)](GrammarCompiler& compiler, const Part::Steps& next) {
    std::vector<std::pair<double, Part::Steps>> steps;
    for (const auto& [weight, part] : alternatives) steps.emplace_back(weight, part.compile_(compiler, next));
    return GrammarCompiler::mixture(steps);
  });
}

Part maybe(double p, const Part& part) { return either({{p, part}, {1 - p, ""}}); }

std::string beginning_with_vowel(std::string_view list, bool vowel) {
  std::string result;
  for (std::string_view word : split(list, ' '))
    if ((std::string_view("aeiou").find(word[0]) != std::string_view::npos) == vowel)
      result += std::string(word) + " ";
  return result;
}

std::string with_s(std::string_view list) {
  std::string result;
  for (std::string_view word : split(list, ' ')) {
    size_t end = std::min(word.find(':'), word.size());
    result += std::string(word.substr(0, end)) + "s" + std::string(word.substr(end)) + " ";
  }
  return result;
}

Automaton compile_grammar(const Part& line, const std::vector<std::string>& topics) {
  BERTIE_CHECK(!topics.empty(), "grammar", "there must be a topic");
  return GrammarCompiler(topics).automaton(line);
}

}  // namespace bertie
