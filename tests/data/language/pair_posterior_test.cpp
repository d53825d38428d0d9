#include "bertie/data/language/pair_posterior.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "bertie/autograd/threads.h"
#include "bertie/data/language/language.h"
#include "tests/data/language/small_languages.h"
#include "tests/message_of.h"

namespace bertie {
namespace {

using Context = WordPosterior::Context;
using Pair = std::array<Words, 2>;
constexpr int32_t hidden = WordPosterior::hidden;

struct Asked {  // a scored position
  int line;
  size_t position;
  Context context = Context::line;
};

// A line that may be the true one, and its topic.
struct Candidate {
  size_t topic;
  const Words* words;
  double p;  // of the words and of what is seen of them, given the topic
};

struct Enumeration {
  double neighbors;           // p(label)
  std::vector<double> words;  // p of each at the position that is asked for
};

// The definition: a sum over labels, topics, lines and maskings. Without a position: of the whole pair.
Enumeration by_enumeration(const Automaton& automaton, const std::vector<std::map<Words, double>>& lines,
                           const Pair& observed, const std::optional<Asked>& asked) {
  size_t vocabulary = automaton.words.size();
  std::array<std::vector<Candidate>, 2> candidates;
  for (int line = 0; line < 2; line++) {
    size_t seen = observed[line].size();
    bool end_seen = true;
    if (asked && asked->context == Context::left && line >= asked->line) {
      seen = line == asked->line ? asked->position + 1 : 0;
      end_seen = false;
    }
    for (size_t t = 0; t < lines.size(); t++) {
      for (const auto& [words, p_words] : lines[t]) {
        if (end_seen ? words.size() != seen : words.size() < seen) continue;
        double p = p_words;
        for (size_t i = 0; i < seen; i++) {
          bool scored = asked && asked->line == line && asked->position == i;
          p *= (scored ? shown_if_scored : shown_if_either)(words[i], observed[line][i], vocabulary);
        }
        candidates[line].push_back({t, &words, p});
      }
    }
  }
  Enumeration result{0, std::vector<double>(vocabulary)};
  double sum = 0;
  for (const Candidate& first : candidates[0]) {
    for (const Candidate& second : candidates[1]) {
      for (bool neighbors : {false, true}) {
        double p_topics = automaton.topics[first.topic];
        p_topics *= !neighbors ? automaton.topics[second.topic] : first.topic == second.topic ? 1 : 0;
        double p = 0.5 * p_topics * first.p * second.p;
        sum += p;
        if (neighbors) result.neighbors += p;
        if (asked) result.words[(*(asked->line == 0 ? first : second).words)[asked->position]] += p;
      }
    }
  }
  result.neighbors /= sum;
  for (double& p : result.words) p /= sum;
  return result;
}

// Compares the label and every entry for every position.
void expect_exact(const Automaton& automaton, const std::vector<std::map<Words, double>>& lines,
                  const Pair& observed) {
  SCOPED_TRACE(testing::PrintToString(observed));
  WordPosterior posterior(automaton);
  PairPosterior pair(posterior, observed[0], observed[1]);
  size_t vocabulary = automaton.words.size();
  EXPECT_NEAR(pair.neighbors(), by_enumeration(automaton, lines, observed, {}).neighbors, 1e-12);
  for (int line = 0; line < 2; line++) {
    std::vector<int64_t> scored(observed[line].size());
    std::iota(scored.begin(), scored.end(), 0);
    for (Context context : {Context::line, Context::left}) {
      std::vector<double> p = pair(line, scored, context);
      ASSERT_EQ(p.size(), scored.size() * vocabulary);
      for (size_t i = 0; i < scored.size(); i++) {
        std::vector<double> expected =
            by_enumeration(automaton, lines, observed, Asked{line, i, context}).words;
        for (size_t w = 0; w < vocabulary; w++)
          EXPECT_NEAR(p[i * vocabulary + w], expected[w], 1e-12)
              << "line " << line << ", position " << i << ", word " << w << ", context "
              << static_cast<int>(context);
      }
    }
    EXPECT_EQ(pair(line, scored, Context::two_neighbors),
              posterior(observed[line], scored, Context::two_neighbors));
  }
}

// Pairs of lines as they are, with hidden and wrong words, all hidden, and of random words.
void expect_exact(const Automaton& automaton, uint64_t seed) {
  std::vector<std::map<Words, double>> lines;
  for (size_t t = 0; t < automaton.topics.size(); t++) lines.push_back(lines_of(automaton, t));
  Random random(seed);
  for (int kind = 0; kind < 4; kind++) {
    Pair observed;
    for (Words& line : observed) {
      line = automaton.draw(automaton.draw_topic(random), random).words;
      for (int32_t& word : line) {
        uint64_t draw = random.below(4);
        if (kind == 2 || (kind == 1 && draw == 0)) word = hidden;
        if (kind == 3 || (kind == 1 && draw == 1))
          word = static_cast<int32_t>(random.below(automaton.words.size()));
      }
    }
    expect_exact(automaton, lines, observed);
  }
}

TEST(PairPosterior, EqualsEnumerationOfRandomLanguages) {
  for (uint64_t seed = 0; seed < 12; seed++) {
    SCOPED_TRACE(seed);
    expect_exact(random_automaton(4 + seed % 3, 2 + seed % 3, 4, seed), seed);
  }
}

TEST(PairPosterior, EqualsEnumerationWithMoreTopicsThanAVectorHas) {
  expect_exact(random_automaton(5, 9, 3, 20), 1);
}

// By hand: two topics with the words a and b; a shows "a" with 0.865 + 0.015 / 2 = 0.8725, b with 0.0075. So
// a line that shows "a" has p(a | topic 0) = 0.9 · 0.8725 + 0.1 · 0.0075 = 0.786, topic 1: 0.094; together
// 0.44. Two that show "a": (0.786² + 0.094²) / 2 against 0.44², that is 0.313316 : 0.1936.
TEST(PairPosterior, OfTwoWords) {
  Automaton automaton = automaton_of(2, 2);
  automaton.classes = {{{0, 1}, {0.9, 0.1, 0.1, 0.9}}};
  automaton.states = {{0, 0, {{Automaton::end, 1}}}};
  automaton.first = {{0, 1}};
  WordPosterior posterior(automaton);
  const Words a = {0}, b = {1}, mask = {hidden};
  EXPECT_NEAR(PairPosterior(posterior, a, a).neighbors(), 0.313316 / (0.313316 + 0.1936), 1e-15);
  EXPECT_NEAR(PairPosterior(posterior, a, b).neighbors(), 0.073884 / (0.073884 + 0.1936), 1e-15);
  EXPECT_NEAR(PairPosterior(posterior, a, mask).neighbors(), 0.5, 1e-15);
  // The other line's topic is 0 with (0.5 + 0.786 / 0.88) / 2.
  double topic_0 = (0.5 + 0.786 / 0.88) / 2, p = 0.9 * topic_0 + 0.1 * (1 - topic_0);
  PairPosterior pair(posterior, a, mask);
  EXPECT_NEAR(pair(1, std::vector<int64_t>{0})[0], p, 1e-15);
  EXPECT_NEAR(pair(1, std::vector<int64_t>{0}, Context::left)[0], p, 1e-15);
  EXPECT_NEAR(pair(1, std::vector<int64_t>{0}, Context::two_neighbors)[0], 0.5, 1e-15);
}

TEST(PairPosterior, ASingleTopicTellsNothingOfTheOtherLine) {
  Automaton automaton = random_automaton(5, 1, 7, 3);
  WordPosterior posterior(automaton);
  Random random(4);
  Words first = automaton.draw(0, random).words, second = automaton.draw(0, random).words;
  first[0] = hidden;
  PairPosterior pair(posterior, first, second);
  EXPECT_EQ(pair.neighbors(), 0.5);
  for (Context context : {Context::line, Context::left}) {
    EXPECT_EQ(pair(0, std::vector<int64_t>{0}, context), posterior(first, std::vector<int64_t>{0}, context));
    EXPECT_EQ(pair(1, std::vector<int64_t>{0}, context), posterior(second, std::vector<int64_t>{0}, context));
  }
}

// A thousand words that each tell the topic: what a topic gives the line is far below the least number.
TEST(PairPosterior, HoldsOverAThousandWords) {
  Automaton automaton = automaton_of(2, 2);
  automaton.topics = {0.25, 0.75};
  automaton.classes = {{{0, 1}, {0.75, 0.25, 0.25, 0.75}}};
  const int32_t length = 1000;
  for (int32_t s = 0; s < length; s++) automaton.states.push_back({0, 0, {{s - 1, 1}}});  // −1 is `end`
  automaton.first = {{length - 1, 1}};
  WordPosterior posterior(automaton);
  const Words of_0(length, 0), of_1(length, 1);
  // Both topics are certain: Σ p(t | A) p(t | B) / p(t) is 1 / p(t) where they are the same.
  EXPECT_NEAR(PairPosterior(posterior, of_0, of_0).neighbors(), 4.0 / 5, 1e-12);
  EXPECT_NEAR(PairPosterior(posterior, of_1, of_1).neighbors(), (4.0 / 3) / (7.0 / 3), 1e-12);
  EXPECT_NEAR(PairPosterior(posterior, of_0, of_1).neighbors(), 0, 1e-12);
  // What is certain of itself isn't changed by the other line.
  std::vector<double> p = PairPosterior(posterior, of_0, of_1)(0, std::vector<int64_t>{500});
  EXPECT_NEAR(p[0], 0.75 * 0.15 / (0.75 * 0.15 + 0.25 * 0.05), 1e-12);
}

// Whole lines of the language, masked, of which every second one or so shares the topic with the one before
// because it follows it: if the posterior is what it says, then what it expects of itself is what comes.
TEST(PairPosterior, IsCalibratedOnDrawnPairs) {
#ifdef BERTIE_SANITIZE
  constexpr int64_t pairs = 200;
#else
  constexpr int64_t pairs = 2000;
#endif
  struct Drawn {
    double label, p;  // 1 for neighbors
    double right = 0, expected_right = 0, loss = 0, expected_loss = 0;
  };
  const Automaton& automaton = language();
  WordPosterior posterior(automaton);
  std::vector<Drawn> drawn(pairs);
  int64_t words = automaton.word_count();
  parallel_tasks(pairs, [&](int64_t n) {
    Random random(5, n);
    bool neighbors = random.below(2) == 0;
    int64_t topic = automaton.draw_topic(random), other = automaton.draw_topic(random);
    Pair truth{automaton.draw(topic, random).words, automaton.draw(neighbors ? topic : other, random).words};
    Pair observed = truth;
    std::array<std::vector<int64_t>, 2> scored;
    for (int line = 0; line < 2; line++) {
      for (size_t i = 0; i < observed[line].size(); i++) {
        if (random.uniform() >= Masking::scored) continue;
        scored[line].push_back(static_cast<int64_t>(i));
        double draw = random.uniform();
        if (draw < Masking::hidden)
          observed[line][i] = hidden;
        else if (draw < Masking::hidden + Masking::replaced)
          observed[line][i] = static_cast<int32_t>(random.below(words));
      }
    }
    PairPosterior pair(posterior, observed[0], observed[1]);
    Drawn& result = drawn[n] = {neighbors ? 1.0 : 0.0, pair.neighbors()};
    for (int line = 0; line < 2; line++) {
      std::vector<double> p = pair(line, scored[line]);
      for (size_t i = 0; i < scored[line].size(); i++) {
        const double* row = &p[i * words];
        int32_t word = truth[line][scored[line][i]];
        int64_t choice = std::max_element(row, row + words) - row;
        result.right += choice == word;
        result.expected_right += row[choice];
        result.loss -= std::log(row[word]);
        for (int64_t w = 0; w < words; w++)
          result.expected_loss -= row[w] > 0 ? row[w] * std::log(row[w]) : 0;
      }
    }
  });
  auto expect_zero_mean = [&](const char* what, auto difference) {
    double sum = 0, squares = 0;
    for (const Drawn& each : drawn) {
      sum += difference(each);
      squares += difference(each) * difference(each);
    }
    EXPECT_LT(std::abs(sum), 4 * std::sqrt(squares)) << what;
    EXPECT_GT(squares, 0) << what;
  };
  auto log_p = [](const Drawn& d) { return std::log(d.label == 1 ? d.p : 1 - d.p); };
  auto entropy = [](const Drawn& d) { return -d.p * std::log(d.p) - (1 - d.p) * std::log(1 - d.p); };
  expect_zero_mean("label", [](const Drawn& d) { return d.label - d.p; });
  expect_zero_mean("label, by p", [](const Drawn& d) { return d.p * (d.label - d.p); });
  expect_zero_mean("accuracy",
                   [](const Drawn& d) { return ((d.p > 0.5) == (d.label == 1)) - std::max(d.p, 1 - d.p); });
  expect_zero_mean("loss", [&](const Drawn& d) { return -log_p(d) - entropy(d); });
  expect_zero_mean("words: accuracy", [](const Drawn& d) { return d.right - d.expected_right; });
  expect_zero_mean("words: loss", [](const Drawn& d) { return d.loss - d.expected_loss; });
}

TEST(PairPosterior, Errors) {
  Automaton automaton = automaton_of(2, 2);
  automaton.classes = {{{0, 1}, {0.5, 0.25, 0.5, 0.75}}};
  automaton.states = {{0, 0, {{Automaton::end, 1}}}};
  automaton.first = {{0, 1}};
  WordPosterior posterior(automaton);
  const Words good = {0}, long_one = {0, 1}, unknown = {2};
  EXPECT_EQ(message_of([&] { PairPosterior(posterior, good, long_one); }),
            "[word_posterior] the language must have lines of the length, got 2 words");
  EXPECT_EQ(message_of([&] { PairPosterior(posterior, unknown, good); }),
            "[word_posterior] words must be below 2 or -1 for a hidden one, got 2");
  PairPosterior pair(posterior, good, good);
  EXPECT_EQ(message_of([&] { pair(2, std::vector<int64_t>{0}); }),
            "[pair_posterior] a pair's lines are 0 and 1, got 2");
  EXPECT_EQ(message_of([&] { pair(1, std::vector<int64_t>{1}); }),
            "[word_posterior] scored positions must ascend and be below the line's length 1, got 1");
  EXPECT_EQ(
      message_of([&] { posterior(good, std::vector<int64_t>{0}, Context::line, std::vector<double>{1}); }),
      "[word_posterior] there must be a probability of each of the 2 topics, got 1");
}

}  // namespace
}  // namespace bertie
