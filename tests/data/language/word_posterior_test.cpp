#include "bertie/data/language/word_posterior.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "bertie/autograd/threads.h"
#include "tests/data/language/small_languages.h"
#include "tests/message_of.h"

namespace bertie {
namespace {

using Context = WordPosterior::Context;
constexpr int32_t hidden = WordPosterior::hidden;

// The definition: p(word at i | what is seen), by a sum over all lines.
std::vector<double> by_enumeration(const std::map<Words, double>& lines, size_t vocabulary,
                                   const Words& observed, int64_t i, Context context) {
  auto length = static_cast<int64_t>(observed.size());
  int64_t from = -1, to = length;  // [CLS], the words, [SEP]
  if (context == Context::two_neighbors) from = i - 2, to = i + 2;
  if (context == Context::left) to = i;
  enum Kind { nothing, cls, word, sep };
  auto kind = [](int64_t j, int64_t line_length) {
    if (j < 0) return j == -1 ? cls : nothing;
    return j < line_length ? word : j == line_length ? sep : nothing;
  };
  std::vector<double> p(vocabulary);
  double sum = 0;
  for (const auto& [line, p_line] : lines) {
    double product = p_line;
    for (int64_t j = from; j <= to; j++) {
      Kind seen = kind(j, length);
      if (kind(j, static_cast<int64_t>(line.size())) != seen) {
        product = 0;
        break;
      }
      if (seen != word) continue;
      product *= (j == i ? shown_if_scored : shown_if_either)(line[j], observed[j], vocabulary);
    }
    if (product == 0) continue;
    p[line[i]] += product;
    sum += product;
  }
  for (double& x : p) x /= sum;
  return p;
}

// Compares every entry for an observed line, all positions at once.
void expect_exact(const Automaton& automaton, const std::map<Words, double>& lines, const Words& observed) {
  WordPosterior posterior(automaton);
  size_t vocabulary = automaton.words.size();
  std::vector<int64_t> scored;
  for (size_t i = 0; i < observed.size(); i++) scored.push_back(static_cast<int64_t>(i));
  for (Context context : contexts) {
    SCOPED_TRACE(static_cast<int>(context));
    std::vector<double> p = posterior(observed, scored, context);
    ASSERT_EQ(p.size(), scored.size() * vocabulary);
    for (size_t i = 0; i < scored.size(); i++) {
      std::vector<double> expected = by_enumeration(lines, vocabulary, observed, scored[i], context);
      double sum = 0;
      for (size_t w = 0; w < vocabulary; w++) {
        EXPECT_NEAR(p[i * vocabulary + w], expected[w], 1e-12) << "position " << i << ", word " << w;
        sum += p[i * vocabulary + w];
      }
      EXPECT_NEAR(sum, 1, 1e-12);
    }
  }
}

// For each length that lines have: one of its lines as it is, one with hidden and wrong words, one all hidden
// and one of random words.
void expect_exact(const Automaton& automaton, uint64_t seed) {
  std::map<Words, double> lines;  // whatever the topic
  for (size_t t = 0; t < automaton.topics.size(); t++) {
    for (const auto& [line, p] : lines_of(automaton, t)) lines[line] += automaton.topics[t] * p;
  }
  double sum = 0;
  std::map<size_t, std::vector<Words>> of_length;
  for (const auto& [line, p] : lines) {
    sum += p;
    of_length[line.size()].push_back(line);
  }
  ASSERT_NEAR(sum, 1, 1e-12);
  Random random(seed);
  for (const auto& [length, some] : of_length) {
    auto any_word = [&] { return static_cast<int32_t>(random.below(automaton.words.size())); };
    Words line = some[random.below(some.size())], corrupted = some[random.below(some.size())], wild(length);
    for (int32_t& word : corrupted) {
      uint64_t draw = random.below(4);
      if (draw == 0) word = hidden;
      if (draw == 1) word = any_word();
    }
    for (int32_t& word : wild) word = any_word();
    for (const Words& observed : {line, corrupted, wild, Words(length, hidden)}) {
      SCOPED_TRACE(testing::PrintToString(observed));
      expect_exact(automaton, lines, observed);
    }
  }
}

TEST(WordPosterior, EqualsEnumerationOfRandomLanguages) {
  for (uint64_t seed = 0; seed < 8; seed++) {
    SCOPED_TRACE(seed);
    expect_exact(random_automaton(4 + seed % 3, 1 + seed % 3, 7, seed), seed);
  }
}

TEST(WordPosterior, EqualsEnumerationWithMoreTopicsThanAVectorHas) {
  Automaton automaton = random_automaton(5, 9, 4, 20);
  automaton.topics.assign(9, 1.0 / 9);
  expect_exact(automaton, 1);
}

// Two words a class, so that lines can be long enough for windows far from both ends.
TEST(WordPosterior, EqualsEnumerationOfLongerLines) {
  Automaton automaton = automaton_of(4, 2);
  automaton.topics = {0.3, 0.7};
  automaton.classes = {{{0, 1}, {0.9, 0.2, 0.1, 0.8}}, {{2, 1}, {0.5, 0.6, 0.5, 0.4}}, {{3}, {1, 1}}};
  // Two chains of states: 0, 2, …, 16 and 1, 3, …, 17; few ways from one to the other.
  for (int32_t s = 0; s < 18; s++) {
    std::vector<Step> steps = {{s < 2 ? Automaton::end : s - 2, 1}};
    if (s == 10 || s == 16) steps = {{s - 2, 0.5}, {s - 3, 0.1}, {s - 4, 0.4}};
    if (s == 5) steps = {{3, 0.25}, {2, 0.25}, {Automaton::end, 0.5}};
    if (s == 13) steps = {{11, 0.25}, {8, 0.75}};
    automaton.states.push_back({s == 7 ? 2 : s % 2, 0, steps});
  }
  automaton.first = {{17, 0.25}, {16, 0.5}, {4, 0.25}};
  ASSERT_EQ(automaton.longest(), 9);
  expect_exact(automaton, 2);
}

TEST(WordPosterior, EqualsEnumerationWhereAllLinesAreAsLong) {
  Automaton automaton = automaton_of(3, 2);
  automaton.classes = {{{0, 1}, {0.75, 0.25, 0.25, 0.75}}, {{1, 2}, {0.5, 1, 0.5, 0}}};
  automaton.states = {{1, 0, {{Automaton::end, 1}}}, {0, 0, {{0, 1}}}, {1, 0, {{1, 1}}}, {0, 0, {{1, 1}}}};
  automaton.first = {{3, 0.5}, {2, 0.5}};
  expect_exact(automaton, 3);
}

// By hand: p(a) = 3/4, p(b) = 1/4; a shows "a" with 0.1 + 0.1 / 2, b with 0.1 / 2, so 9/40 : 1/40.
TEST(WordPosterior, OfOneWord) {
  Automaton automaton = automaton_of(2, 1);
  automaton.classes = {{{0, 1}, {0.75, 0.25}}};
  automaton.states = {{0, 0, {{Automaton::end, 1}}}};
  automaton.first = {{0, 1}};
  WordPosterior posterior(automaton);
  for (Context context : contexts) {
    EXPECT_NEAR(posterior(Words{0}, std::vector<int64_t>{0}, context)[0], 0.9, 1e-15);
    EXPECT_NEAR(posterior(Words{hidden}, std::vector<int64_t>{0}, context)[0], 0.75, 1e-15);
  }
}

// Two chains that differ in the first and the last word, with so many words between that the probability of
// what is seen is far below the least number. The word at one end is seen and may be false: positions that
// aren't asked for show it with 0.865 + 0.015 / 5 if true, 0.015 / 5 if not.
TEST(WordPosterior, HoldsOverAThousandWords) {
  Automaton automaton = automaton_of(5, 1);
  automaton.classes = {{{0}, {1}}, {{1}, {1}}, {{2}, {1}}, {{3}, {1}}, {{4}, {1}}};
  const int32_t length = 1000;
  for (int32_t s = 0; s < 2 * length; s++) {
    int32_t chain = s % 2, after = s / 2;
    int32_t word_class = after == 0 ? 2 + chain : after == length - 1 ? chain : 4;
    automaton.states.push_back({word_class, 0, {{after == 0 ? Automaton::end : s - 2, 1}}});
  }
  automaton.first = {{2 * length - 2, 0.6}, {2 * length - 1, 0.4}};
  WordPosterior posterior(automaton);
  auto p = [&](int64_t seen, int32_t word, int64_t asked, int32_t result, Context context) {
    Words observed(length, hidden);
    observed[seen] = word;
    return posterior(observed, std::vector{asked}, context)[result];
  };
  double p_first = 0.6 * 0.003 / (0.6 * 0.003 + 0.4 * 0.868);  // the last word tells of the other chain
  EXPECT_NEAR(p(length - 1, 3, 0, 0, Context::line), p_first, 1e-12);
  EXPECT_NEAR(p(length - 1, 3, 0, 0, Context::two_neighbors), 0.6, 1e-12);
  EXPECT_NEAR(p(length - 1, 3, 0, 0, Context::left), 0.6, 1e-12);
  double p_last = 0.6 * 0.868 / (0.6 * 0.868 + 0.4 * 0.003);  // the first word tells of this one
  EXPECT_NEAR(p(0, 0, length - 1, 2, Context::line), p_last, 1e-12);
  EXPECT_NEAR(p(0, 0, length - 1, 2, Context::two_neighbors), 0.6, 1e-12);
  EXPECT_NEAR(p(0, 0, length - 1, 2, Context::left), p_last, 1e-12);
}

// Each position alone, and lines of languages of different sizes in turn on any thread.
TEST(WordPosterior, IsTheSameInAnyCompanyAndOnAnyThread) {
  Automaton languages[] = {random_automaton(6, 2, 9, 30), random_automaton(5, 10, 7, 31)};
  WordPosterior posteriors[] = {WordPosterior(languages[0]), WordPosterior(languages[1])};
  const Words observed = {0, hidden, 2, hidden, 1};
  const std::vector<int64_t> scored = {0, 1, 3, 4};
  std::vector<std::vector<double>> all, single(6 * scored.size());
  for (Context context : contexts) {
    for (const WordPosterior& posterior : posteriors) all.push_back(posterior(observed, scored, context));
  }
  parallel_tasks(static_cast<int64_t>(single.size()), [&](int64_t task) {
    size_t which = task % 6;
    single[task] =
        posteriors[which % 2](observed, std::span(scored).subspan(task / 6, 1), contexts[which / 2]);
  });
  for (size_t task = 0; task < single.size(); task++) {
    for (size_t w = 0; w < single[task].size(); w++) {
      EXPECT_NEAR(single[task][w], all[task % 6][task / 6 * single[task].size() + w], 1e-14);
    }
  }
}

TEST(WordPosterior, Errors) {
  Automaton automaton = automaton_of(2, 1);  // lines of 1 or 3 words
  automaton.classes = {{{0, 1}, {0.5, 0.5}}};
  automaton.states = {{0, 0, {{Automaton::end, 1}}}, {0, 0, {{0, 1}}}, {0, 0, {{1, 1}, {0, 0}}}};
  automaton.first = {{2, 0.5}, {0, 0.5}};
  WordPosterior posterior(automaton);
  auto error = [&](const Words& observed, const std::vector<int64_t>& scored, Context context) {
    return message_of([&] { posterior(observed, scored, context); });
  };
  for (Context context : contexts) {
    EXPECT_EQ(error({0, 1, 0}, {0, 2}, context), "no error");
    EXPECT_EQ(error({0, 1, 0}, {}, context), "no error");
    for (int64_t position : {-1, 3}) {
      EXPECT_EQ(error({0, 1, 0}, {position}, context),
                "[word_posterior] scored positions must ascend and be below the line's length 3, got " +
                    std::to_string(position));
    }
    EXPECT_EQ(error({0, 1, 0}, {1, 1}, context),
              "[word_posterior] scored positions must ascend and be below the line's length 3, got 1");
    for (int32_t word : {-2, 2}) {
      EXPECT_EQ(error({0, word, 0}, {0}, context),
                "[word_posterior] words must be below 2 or -1 for a hidden one, got " + std::to_string(word));
    }
    for (size_t length : {0, 2, 4, 100}) {
      EXPECT_EQ(error(Words(length), {}, context),
                "[word_posterior] the language must have lines of the length, got " + std::to_string(length) +
                    " words");
    }
  }
}

TEST(WordPosterior, RefusesABrokenAutomaton) {
  Automaton good = automaton_of(2, 1);
  good.classes = {{{0, 1}, {0.5, 0.5}}};
  good.states = {{0, 0, {{Automaton::end, 1}}}};
  good.first = {{0, 1}};
  auto error = [&](auto&& change) {
    Automaton automaton = good;
    change(automaton);
    return message_of([&] { WordPosterior posterior(automaton); });
  };
  EXPECT_EQ(error([](Automaton&) {}), "no error");
  EXPECT_EQ(error([](Automaton& a) { a.words.clear(); }),
            "[word_posterior] an automaton must have topics and words, got 1 and 0");
  EXPECT_EQ(error([](Automaton& a) { a.classes[0].p.pop_back(); }),
            "[word_posterior] a class must have p for 2 words and 1 topics, got 1");
  EXPECT_EQ(error([](Automaton& a) { a.classes[0].words[1] = 2; }),
            "[word_posterior] the words of a class must be below 2, got 2");
  EXPECT_EQ(error([](Automaton& a) { a.first[0].state = Automaton::end; }),
            "[word_posterior] the state of a first step must be below 1, got -1");
  EXPECT_EQ(error([](Automaton& a) { a.states[0].word_class = 1; }),
            "[word_posterior] the class of a state must be below 1, got 1");
  EXPECT_EQ(error([](Automaton& a) { a.states[0].steps[0].state = 0; }),
            "[word_posterior] the state after a state must be below 0, got 0");
}

}  // namespace
}  // namespace bertie
