#include "bertie/data/language/grammar.h"

#include <gtest/gtest.h>

#include <cmath>
#include <iterator>
#include <map>
#include <set>
#include <sstream>

#include "tests/message_of.h"

namespace bertie {
namespace {

using Lines = std::map<std::string, double>;

// All lines of the language and how probable each is, given the topic.
Lines grammar_lines(const Automaton& automaton, size_t topic = 0) {
  Lines lines;
  auto go_on = [&](const auto& self, const std::vector<Automaton::Step>& steps, std::string line,
                   double p) -> void {
    for (const Automaton::Step& step : steps) {
      if (step.state == Automaton::end) {
        lines[line] += p * step.p;
        continue;
      }
      const Automaton::State& state = automaton.states[step.state];
      const auto& [words, word_p] = automaton.classes[state.word_class];
      for (size_t w = 0; w < words.size(); w++) {
        self(self, state.steps, line + (line.empty() ? "" : " ") + automaton.words[words[w]],
             p * step.p * word_p[w * automaton.topics.size() + topic]);
      }
    }
  };
  go_on(go_on, automaton.first, "", 1);
  return lines;
}

Lines grammar_lines(const Part& part) { return grammar_lines(compile_grammar(part, {"sea"})); }

void expect_lines(const Lines& lines, const Lines& expected) {
  EXPECT_EQ(lines.size(), expected.size());
  for (const auto& [line, p] : expected) {
    auto found = lines.find(line);
    ASSERT_NE(found, lines.end()) << line;
    EXPECT_NEAR(found->second, p, 1e-15) << line;
  }
}

std::vector<std::string> words_in(const std::string& list) {
  std::istringstream stream(list);
  return {std::istream_iterator<std::string>(stream), {}};
}

TEST(Grammar, WordsOfAListHaveTheWeights1Over3PlusRank) {
  double sum = 1.0 / 3 + 1.0 / 4 + 1.0 / 5;
  expect_lines(grammar_lines(one_of("a b c")),
               {{"a", 1 / 3. / sum}, {"b", 1 / 4. / sum}, {"c", 1 / 5. / sum}});
}

TEST(Grammar, AWordIsMoreFrequentInItsTopicByAFactorThatIsTheSameForAll) {
  Automaton automaton = compile_grammar(one_of("a:farm b c:sea d:farm"), {"sea", "farm", "town"});
  EXPECT_EQ(automaton.words, (std::vector<std::string>{"a", "b", "c", "d"}));
  for (double topic : automaton.topics) EXPECT_DOUBLE_EQ(topic, 1 / 3.);
  // Weights without topics, from the ratios to b, which has none.
  auto weight = [&](const char* word, size_t topic) {
    Lines lines = grammar_lines(automaton, topic);
    return lines.at(word) / lines.at("b") / 4;
  };
  double factor = weight("c", 0) * 5;
  EXPECT_NEAR(factor, 32, 1e-9);  // docs/language.md
  EXPECT_NEAR(weight("a", 1), factor / 3, 1e-12);
  EXPECT_NEAR(weight("d", 1), factor / 6, 1e-12);
  for (size_t topic : {0, 2}) {
    EXPECT_NEAR(weight("a", topic), 1 / 3., 1e-12);
    EXPECT_NEAR(weight("d", topic), 1 / 6., 1e-12);
  }
  for (size_t topic : {1, 2}) EXPECT_NEAR(weight("c", topic), 1 / 5., 1e-12);
  for (size_t topic : {0, 1, 2}) {
    double sum = 0;
    for (const auto& [line, p] : grammar_lines(automaton, topic)) sum += p;
    EXPECT_NEAR(sum, 1, 1e-15);
  }
}

TEST(Grammar, PartsFollowEachOtherInOrder) {
  expect_lines(grammar_lines(Part("a b") + "c" + "d e"), {{"a b c d e", 1}});
  expect_lines(grammar_lines("a" + one_of("b c") + "d"), {{"a b d", 4 / 7.}, {"a c d", 3 / 7.}});
}

TEST(Grammar, AlternativesHaveProbabilitiesInProportionToTheirWeights) {
  expect_lines(grammar_lines(either({{1, "a"}, {3, "b c"}, {0.5, "d"}})),
               {{"a", 1 / 4.5}, {"b c", 3 / 4.5}, {"d", 0.5 / 4.5}});
  expect_lines(grammar_lines(either({{1, either({{1, "a"}, {1, "b"}})}, {3, "b"}}) + "c"),
               {{"a c", 0.125}, {"b c", 0.875}});
}

TEST(Grammar, MaybeHasThePartOrNothing) {
  expect_lines(grammar_lines("a" + maybe(0.3, "b") + maybe(0.6, one_of("c d"))),
               {{"a", 0.7 * 0.4},
                {"a b", 0.3 * 0.4},
                {"a c", 0.7 * 0.6 * 4 / 7},
                {"a d", 0.7 * 0.6 * 3 / 7},
                {"a b c", 0.3 * 0.6 * 4 / 7},
                {"a b d", 0.3 * 0.6 * 3 / 7}});
}

TEST(Grammar, AnEmptyPartAddsNothing) {
  expect_lines(grammar_lines(Part("") + "a" + "" + " " + "b"), {{"a b", 1}});
  expect_lines(grammar_lines("a" + either({{1, ""}, {3, "b"}})), {{"a", 0.25}, {"a b", 0.75}});
}

TEST(Grammar, StatesThatAreAlikeAreOne) {
  auto states = [](const Part& part) { return compile_grammar(part, {"sea"}).states.size(); };
  Part tail = one_of("x y") + "z";
  EXPECT_EQ(states(either({{1, "a" + tail}, {1, "b" + tail}})), 4u);
  EXPECT_EQ(states(either({{1, "a" + tail}, {1, "b" + one_of("x y") + "z"}})), 4u);
  EXPECT_EQ(states(either({{1, "a" + tail}, {1, "b" + one_of("x y", 1) + "z"}})), 5u);  // another mark
  EXPECT_EQ(states(either({{1, "a" + tail}, {1, "b" + tail + "z"}})), 6u);  // what follows differs
  EXPECT_EQ(states(either({{1, "a"}, {3, "a"}})), 1u);
  expect_lines(grammar_lines(either({{1, "a"}, {3, "a"}})), {{"a", 1}});
}

TEST(Grammar, TheMarkIsThatOfTheState) {
  Automaton automaton = compile_grammar("a" + one_of("b c", 5) + one_of("d"), {"sea"});
  std::map<std::string, int32_t> marks;
  for (const Automaton::State& state : automaton.states)
    for (int32_t word : automaton.classes[state.word_class].words) marks[automaton.words[word]] = state.mark;
  EXPECT_EQ(marks, (std::map<std::string, int32_t>{{"a", 0}, {"b", 5}, {"c", 5}, {"d", 0}}));
}

TEST(Grammar, StepsLeadToLowerNumbersWithProbabilitiesThatSumTo1) {
  Part noun = maybe(0.3, one_of("big small")) + either({{2, one_of("cat dog:sea")}, {1, "red cow"}});
  Part one = "the" + noun + maybe(0.7, one_of("sees likes") + noun) + ".";
  Automaton automaton = compile_grammar(either({{1, one}, {1.7, one + one}}), {"sea", "farm"});
  auto expect_sum = [](const std::vector<Automaton::Step>& steps) {
    std::set<int32_t> states;
    double sum = 0;
    for (const Automaton::Step& step : steps) {
      EXPECT_GT(step.p, 0);
      states.insert(step.state);
      sum += step.p;
    }
    EXPECT_NEAR(sum, 1, 1e-15);
    EXPECT_EQ(states.size(), steps.size());  // none is there twice
  };
  expect_sum(automaton.first);
  ASSERT_GT(automaton.states.size(), 20u);
  for (size_t s = 0; s < automaton.states.size(); s++) {
    expect_sum(automaton.states[s].steps);
    for (const Automaton::Step& step : automaton.states[s].steps)
      EXPECT_LT(step.state, static_cast<int32_t>(s));
  }
  EXPECT_EQ(automaton.longest(), 18);
}

TEST(Grammar, ListsOfVowelsAndPlurals) {
  const char* list = "apple:farm boat orange umbrella:sea pen:sea egg island";
  EXPECT_EQ(words_in(beginning_with_vowel(list, true)),
            words_in("apple:farm orange umbrella:sea egg island"));
  EXPECT_EQ(words_in(beginning_with_vowel(list, false)), words_in("boat pen:sea"));
  EXPECT_EQ(words_in(with_s("apple:farm boat")), words_in("apples:farm boats"));
  EXPECT_EQ(words_in(with_s("")), words_in(""));
}

TEST(Grammar, ErrorsNameWhatIsWrong) {
  auto message = [](auto make, const std::vector<std::string>& topics = {"sea", "farm"}) {
    return message_of([&] { compile_grammar(make(), topics); });
  };
  EXPECT_EQ(message([] { return one_of("a:sea b:town"); }),
            "[grammar] 'b:town' must name one of the 2 topics");
  EXPECT_EQ(message([] { return Part("a"); }, {}), "[grammar] there must be a topic");
  EXPECT_EQ(message([] { return Part(""); }), "[grammar] a line must have words");
  EXPECT_EQ(message([] { return maybe(0.5, "a"); }), "[grammar] a line must have words");
  EXPECT_EQ(message([] { return either({}); }), "[grammar] there must be an alternative");
  EXPECT_EQ(message([] { return one_of(" "); }), "[grammar] a list must have words, got ' '");
  EXPECT_EQ(message([] { return one_of("a b:sea a"); }),
            "[grammar] 'a' must be in a list once, got 'a b:sea a'");
  auto of_weight = [](double weight) { return message_of([&] { either({{2, "a"}, {weight, "b"}}); }); };
  EXPECT_EQ(of_weight(0), "[grammar] weights must be positive, got 0");
  EXPECT_EQ(of_weight(-1), "[grammar] weights must be positive, got -1");
  EXPECT_EQ(of_weight(INFINITY), "[grammar] weights must be positive, got inf");
  EXPECT_EQ(of_weight(NAN), "[grammar] weights must be positive, got nan");
  EXPECT_EQ(message_of([] { maybe(1.5, "a"); }), "[grammar] weights must be positive, got -0.5");
}

}  // namespace
}  // namespace bertie
