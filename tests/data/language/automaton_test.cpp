#include "bertie/data/language/automaton.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/message_of.h"

namespace bertie {
namespace {

using Words = std::vector<int32_t>;

// Lines (a) (b | c) (d), the first and the last not always: a = 0 … d = 3. The topic decides between b and c.
Automaton small_automaton() {
  Automaton automaton;
  automaton.words = {"a", "b", "c", "d"};
  automaton.topics = {0.25, 0.75};
  automaton.classes = {{{0}, {1, 1}}, {{2, 1}, {0.5, 0.9, 0.5, 0.1}}, {{3}, {1, 1}}};
  automaton.states = {
      {2, 0, {{Automaton::end, 1}}}, {1, 0, {{0, 0.3}, {Automaton::end, 0.7}}}, {0, 0, {{1, 1}}}};
  automaton.first = {{2, 0.6}, {1, 0.4}};
  return automaton;
}

// What the numbers of small_automaton() say of its eight lines.
std::map<Words, double> probabilities(int topic) {
  std::map<Words, double> lines;
  for (bool a : {false, true}) {
    for (int32_t word : {1, 2}) {
      for (bool d : {false, true}) {
        Words line{word};
        if (a) line.insert(line.begin(), 0);
        if (d) line.push_back(3);
        double b = topic == 0 ? 0.5 : 0.1;
        lines[line] = (a ? 0.6 : 0.4) * (word == 1 ? b : 1 - b) * (d ? 0.3 : 0.7);
      }
    }
  }
  return lines;
}

template <class Key>
double chi_square(const std::map<Key, double>& p, const std::map<Key, int>& counts, int draws) {
  double sum = 0;
  for (const auto& [key, expected] : p) {
    auto found = counts.find(key);
    double difference = (found == counts.end() ? 0 : found->second) - expected * draws;
    sum += difference * difference / (expected * draws);
  }
  return sum;
}

TEST(Automaton, DrawsLinesWithTheirProbabilities) {
  constexpr int draws = 10'000;
  for (int topic : {0, 1}) {
    Automaton automaton = small_automaton();
    Random random(3, static_cast<uint64_t>(topic));
    std::map<Words, double> p = probabilities(topic);
    std::map<Words, int> counts;
    for (int i = 0; i < draws; i++) {
      Automaton::Line line = automaton.draw(topic, random);
      ASSERT_TRUE(p.contains(line.words));
      ASSERT_EQ(automaton.parse(line.words), line.states);
      counts[line.words]++;
    }
    EXPECT_LT(chi_square(p, counts, draws), 24.3) << "topic " << topic;  // 7 degrees of freedom: 1 in 1,000
  }
}

TEST(Automaton, DrawsTopicsWithTheirProbabilities) {
  constexpr int draws = 10'000;
  Automaton automaton = small_automaton();
  automaton.topics = {0.2, 0, 0.5, 0.3};
  Random random(4);
  std::map<int64_t, int> counts;
  for (int i = 0; i < draws; i++) counts[automaton.draw_topic(random)]++;
  EXPECT_FALSE(counts.contains(1));
  EXPECT_EQ(counts.size(), 3u);
  std::map<int64_t, double> p{{0, 0.2}, {2, 0.5}, {3, 0.3}};
  EXPECT_LT(chi_square(p, counts, draws), 13.8);  // 2 degrees of freedom: 1 in 1,000
}

TEST(Automaton, DrawsTheSameFromTheSameSeed) {
  Automaton automaton = small_automaton();
  Random one(5), same(5), other(6);
  bool differs = false;
  for (int i = 0; i < 20; i++) {
    Words words = automaton.draw(1, one).words;
    ASSERT_EQ(words, automaton.draw(1, same).words);
    differs |= words != automaton.draw(1, other).words;
  }
  EXPECT_TRUE(differs);
}

TEST(Automaton, AWordOrAStepWithoutProbabilityIsNeverDrawn) {
  Automaton automaton = small_automaton();
  automaton.classes[1].p = {0, 1, 1, 0};  // topic 0: only b, topic 1: only c
  automaton.states[1].steps = {{0, 0}, {Automaton::end, 1}};
  Random random(7);
  for (int i = 0; i < 200; i++) {
    for (int topic : {0, 1}) {
      Words words = automaton.draw(topic, random).words;
      ASSERT_EQ(words.back(), topic == 0 ? 1 : 2);
    }
  }
}

TEST(Automaton, AnImpossibleLineHasNoStates) {
  Automaton automaton = small_automaton();
  EXPECT_EQ(automaton.parse(Words{0, 1, 3}), (Words{2, 1, 0}));
  EXPECT_EQ(automaton.parse(Words{2}), (Words{1}));
  for (const Words& line :
       {Words{}, Words{0}, Words{3}, Words{1, 0}, Words{0, 3}, Words{1, 2}, Words{0, 1, 3, 3}})
    EXPECT_EQ(automaton.parse(line), Words{}) << line.size();
  automaton.classes[1].p = {1, 1, 0, 0};  // now b is impossible
  EXPECT_EQ(automaton.parse(Words{1}), Words{});
}

TEST(Automaton, OfSeveralWaysToMakeALineTheMostProbableIsFound) {
  // "a" comes from the states 0 and 1, then "b" from 0. In all, state 2 on the way gives 0.4 · 0.9 · 0.5, and
  // state 1, which the first step prefers, 0.6 · 0.1 · 0.5.
  Automaton automaton;
  automaton.words = {"a", "b", "c"};
  automaton.topics = {0.5, 0.5};
  automaton.classes = {{{1}, {1, 1}}, {{0, 2}, {0.1, 0.1, 0.9, 0.9}}, {{0, 2}, {0.8, 1, 0.2, 0}}};
  automaton.states = {{0, 0, {{Automaton::end, 1}}}, {1, 0, {{0, 1}}}, {2, 0, {{0, 1}}}};
  automaton.first = {{1, 0.6}, {2, 0.4}};
  EXPECT_EQ(automaton.parse(Words{0, 1}), (Words{2, 0}));
  EXPECT_EQ(automaton.parse(Words{2, 1}), (Words{1, 0}));
  automaton.states[2].steps = {{0, 0.1}, {Automaton::end, 0.9}};  // 0.4 · 0.9 · 0.1 is less than 0.6 · 0.1
  EXPECT_EQ(automaton.parse(Words{0, 1}), (Words{1, 0}));
  // "a" alone: 0.4 · 0.9 · 0.1 to end after state 2 is less than 0.6 · 0.1 · 1, and with 0.5 it is more.
  automaton.states[1].steps = {{Automaton::end, 1}};
  automaton.states[2].steps = {{0, 0.9}, {Automaton::end, 0.1}};
  EXPECT_EQ(automaton.parse(Words{0}), (Words{1}));
  automaton.states[2].steps = {{0, 0.5}, {Automaton::end, 0.5}};
  EXPECT_EQ(automaton.parse(Words{0}), (Words{2}));
}

TEST(Automaton, LongestCountsTheWordsOfTheLongestLine) {
  Automaton automaton = small_automaton();
  EXPECT_EQ(automaton.longest(), 3);
  automaton.first = {{1, 1}};
  EXPECT_EQ(automaton.longest(), 2);
  automaton.states[1].steps = {{Automaton::end, 1}};
  EXPECT_EQ(automaton.longest(), 1);
  automaton.first = {{2, 0.5}, {0, 0.5}};
  EXPECT_EQ(automaton.longest(), 2);
}

TEST(Automaton, ErrorsNameWhatIsWrong) {
  Automaton automaton = small_automaton();
  Random random(1);
  EXPECT_EQ(message_of([&] { automaton.draw(2, random); }), "[automaton] the topic must be below 2, got 2");
  EXPECT_EQ(message_of([&] { automaton.draw(-1, random); }), "[automaton] the topic must be below 2, got -1");
  EXPECT_EQ(message_of([&] { automaton.parse(Words{0, 4}); }), "[automaton] a word must be below 4, got 4");
  EXPECT_EQ(message_of([&] { automaton.parse(Words{-1}); }), "[automaton] a word must be below 4, got -1");
}

}  // namespace
}  // namespace bertie
