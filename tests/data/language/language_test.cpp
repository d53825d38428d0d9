// The automaton of the default text: what must be true of all its lines.
#include "bertie/data/language/language.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "bertie/autograd/threads.h"

namespace bertie {
namespace {

using Words = std::vector<int32_t>;

#ifdef BERTIE_SANITIZE
constexpr int64_t drawn_lines = 500;
#else
constexpr int64_t drawn_lines = 5000;
#endif

bool ends_sentence(int32_t word) { return language().words[word] == "." || language().words[word] == "?"; }

// How often a line comes to each state, in the mean.
std::vector<double> visits() {
  const Automaton& automaton = language();
  std::vector<double> visits(automaton.states.size());
  for (const Automaton::Step& step : automaton.first) visits[step.state] += step.p;
  for (size_t s = visits.size(); s-- > 0;) {
    for (const Automaton::Step& step : automaton.states[s].steps)
      if (step.state != Automaton::end) visits[step.state] += visits[s] * step.p;
  }
  return visits;
}

TEST(Language, HasTheSizeThatItShouldHave) {
  const Automaton& automaton = language();
  EXPECT_GE(automaton.word_count(), 150);
  EXPECT_LE(automaton.word_count(), 600);
  EXPECT_GE(automaton.topic_count(), 2);
  EXPECT_LE(automaton.topic_count(), 16);
  EXPECT_LE(automaton.states.size(), 4000u);
  EXPECT_LE(automaton.longest(), 126);  // with [CLS] and [SEP]: 128
}

TEST(Language, ProbabilitiesSumTo1AndStepsLeadToLowerNumbers) {
  const Automaton& automaton = language();
  auto topics = static_cast<size_t>(automaton.topic_count());
  double sum = 0;
  for (double p : automaton.topics) sum += p;
  EXPECT_NEAR(sum, 1, 1e-12);
  for (const auto& [words, p] : automaton.classes) {
    EXPECT_EQ(std::set<int32_t>(words.begin(), words.end()).size(), words.size());
    ASSERT_EQ(p.size(), words.size() * topics);
    for (size_t t = 0; t < topics; t++) {
      sum = 0;
      for (size_t w = 0; w < words.size(); w++) sum += p[w * topics + t];
      EXPECT_NEAR(sum, 1, 1e-12);
    }
    for (double each : p) EXPECT_GT(each, 0);
  }
  auto expect_steps = [](const std::vector<Automaton::Step>& steps, int32_t above) {
    double sum = 0;
    for (const Automaton::Step& step : steps) {
      EXPECT_LT(step.state, above);
      EXPECT_GT(step.p, 0);
      sum += step.p;
    }
    EXPECT_NEAR(sum, 1, 1e-12);
  };
  auto states = static_cast<int32_t>(automaton.states.size());
  expect_steps(automaton.first, states);
  for (const Automaton::Step& step : automaton.first) EXPECT_NE(step.state, Automaton::end);
  for (int32_t s = 0; s < states; s++) expect_steps(automaton.states[s].steps, s);
}

TEST(Language, EveryStateAndEveryWordIsReached) {
  std::vector<double> reached = visits();
  std::set<int32_t> words;
  for (size_t s = 0; s < reached.size(); s++) {
    EXPECT_GT(reached[s], 0) << "state " << s;
    const auto& of = language().classes[language().states[s].word_class].words;
    words.insert(of.begin(), of.end());
  }
  EXPECT_EQ(static_cast<int64_t>(words.size()), language().word_count());
}

TEST(Language, EachPhenomenonHas3PercentOfThePositionsNearAndFar) {
  std::array<double, phenomena> share{};
  double length = 0;
  std::vector<double> reached = visits();
  for (size_t s = 0; s < reached.size(); s++) {
    int32_t mark = language().states[s].mark;
    ASSERT_TRUE(mark >= 0 && mark < phenomena) << mark;
    share[mark] += reached[s];
    length += reached[s];
  }
  for (int p = 1; p < phenomena; p += 2) {
    const char* name = phenomenon_name(static_cast<Phenomenon>(p));
    EXPECT_TRUE(std::string(name).ends_with("near"));
    EXPECT_GT(share[p], 0) << name;
    EXPECT_GT(share[p + 1], 0) << name;
    EXPECT_GE((share[p] + share[p + 1]) / length, 0.03) << name;
  }
}

// Lines of two, three or four sentences: what a sentence says must not depend on how many there are, nor on
// how many are before it.
TEST(Language, SentencesAreAlikeAndTheirNumberIsIndependentOfThem) {
  const Automaton& automaton = language();
  // A state knows how many sentences end from it on.
  std::vector<int> ends(automaton.states.size());
  for (size_t s = 0; s < ends.size(); s++) {
    std::set<int> after;
    for (const Automaton::Step& step : automaton.states[s].steps)
      after.insert(step.state == Automaton::end ? 0 : ends[step.state]);
    ASSERT_EQ(after.size(), 1u) << "state " << s;
    std::set<bool> is_end;
    for (int32_t word : automaton.classes[automaton.states[s].word_class].words)
      is_end.insert(ends_sentence(word));
    ASSERT_EQ(is_end.size(), 1u) << "state " << s;
    ends[s] = *after.begin() + *is_end.begin();
  }
  std::array<double, 5> begins{};
  for (const Automaton::Step& step : automaton.first) {
    ASSERT_TRUE(ends[step.state] >= 2 && ends[step.state] <= 4);
    begins[ends[step.state]] += step.p;
  }
  for (int n = 2; n <= 4; n++) EXPECT_NEAR(begins[n], 1 / 3., 1e-12) << n;

  // Which words a sentence has that is the last, the last but one, …: the same for all.
  constexpr double lines_with[] = {0, 1, 1, 2 / 3., 1 / 3.};  // share of lines that have such a sentence
  std::vector<double> reached = visits();
  std::map<std::pair<int32_t, int32_t>, std::array<double, 5>> means;
  for (size_t s = 0; s < ends.size(); s++) {
    const Automaton::State& state = automaton.states[s];
    means[{state.word_class, state.mark}][ends[s]] += reached[s] / lines_with[ends[s]];
  }
  for (const auto& [kind, mean] : means) {
    for (int n = 2; n <= 4; n++) EXPECT_NEAR(mean[n], mean[1], 1e-12);
  }
}

// Two ways through the automaton with the same words have the same marks: true for all lines, by following
// all pairs of states that can emit the same word.
TEST(Language, TheWordsOfALineTellItsMarks) {
  const Automaton& automaton = language();
  size_t classes = automaton.classes.size();
  std::vector<bool> share(classes * classes);
  for (size_t a = 0; a < classes; a++) {
    std::set<int32_t> words(automaton.classes[a].words.begin(), automaton.classes[a].words.end());
    for (size_t b = 0; b < classes; b++) {
      const auto& others = automaton.classes[b].words;
      share[a * classes + b] =
          std::any_of(others.begin(), others.end(), [&](int32_t word) { return words.contains(word); });
    }
  }
  using Pair = std::pair<int32_t, int32_t>;
  std::map<Pair, bool> ends_alike;  // pairs that are reached: whether the same words may lead both to the end
  auto visit = [&](const auto& self, const std::vector<Automaton::Step>& one,
                   const std::vector<Automaton::Step>& other) -> bool {
    bool result = false;
    for (const Automaton::Step& a : one) {
      for (const Automaton::Step& b : other) {
        if (a.state == Automaton::end || b.state == Automaton::end) {
          result |= a.state == b.state;
          continue;
        }
        const Automaton::State &from = automaton.states[a.state], &to = automaton.states[b.state];
        if (a.state > b.state || !share[from.word_class * classes + to.word_class]) {
          // The pair the other way round is visited as well, and stands for this one.
          result |= a.state > b.state && share[from.word_class * classes + to.word_class];
          continue;
        }
        auto [found, is_new] = ends_alike.try_emplace({a.state, b.state});
        if (is_new) found->second = self(self, from.steps, to.steps);
        result |= found->second;
      }
    }
    return result;
  };
  ASSERT_TRUE(visit(visit, automaton.first, automaton.first));
  EXPECT_GE(ends_alike.size(), automaton.states.size());
  for (const auto& [pair, alike] : ends_alike) {
    if (alike) {
      EXPECT_EQ(automaton.states[pair.first].mark, automaton.states[pair.second].mark)
          << pair.first << " and " << pair.second;
    }
  }
}

TEST(Language, ParsingALineGivesTheMarksThatItWasDrawnWith) {
  const Automaton& automaton = language();
  Random random(31);
  std::vector<Automaton::Line> lines;
  for (int64_t i = 0; i < drawn_lines; i++)
    lines.push_back(automaton.draw(automaton.draw_topic(random), random));
  auto marks = [&](const Words& states) {
    Words marks;
    for (int32_t state : states) marks.push_back(automaton.states[state].mark);
    return marks;
  };
  std::vector<int> same(lines.size());
  parallel_tasks(drawn_lines, [&](int64_t i) {
    same[i] = marks(automaton.parse(lines[i].words)) == marks(lines[i].states);
  });
  EXPECT_EQ(std::count(same.begin(), same.end(), 1), drawn_lines);
}

}  // namespace
}  // namespace bertie
