// What the language says: its sentences are right English in what its phenomena are about, each word tests
// what docs/language.md says it tests, and the documented sizes and shares hold.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>

#include "bertie/data/language/language.h"
#include "bertie/data/language/word_posterior.h"
#include "tests/data/language/language_text.h"

namespace bertie {
namespace {

using enum Phenomenon;

std::vector<int32_t> words_of(const std::string& line) {
  std::vector<int32_t> words;
  for (int32_t id : language_tokenizer().ids(line)) words.push_back(id - first_word_id);
  return words;
}

// Ends a line, which must have two sentences. Its only phenomenon is tense_near, at its fourth word.
const std::string rest = " Every winter Tom waits with the cook in Rome.";

// A sentence, and of its words that test something: which one it is, what it tests, and what would be wrong
// in its place (none: nothing in particular).
struct Sentence {
  const char* text;
  struct Tested {
    const char* word;
    Phenomenon phenomenon;
    std::vector<const char*> wrong;
  };
  std::vector<Tested> tested;
};
const Sentence sentences[] = {
    {"These tall teachers have a pen near the gate.",
     {{"have", number_near, {"has", "had"}}, {"a", right_near, {"an"}}}},
    {"This tall teacher has a pen near the gate.",
     {{"has", number_near, {"have", "had"}}, {"a", right_near, {"an"}}}},
    {"The sailors who carried the lamp near the gate are happy.", {{"are", number_far, {"is", "was"}}}},
    {"The sailor with the knights is happy.", {{"is", number_far, {"are", "was"}}}},
    {"Last winter Anna had an apple in Paris.",
     {{"had", tense_near, {"has", "have"}}, {"an", right_near, {"a"}}}},
    {"Every winter Anna sells the boat in Paris.", {{"sells", tense_near, {"sell", "sold"}}}},
    {"Every winter when the rain comes, Emma, a young tailor from Paris, is sad.",
     {{"comes", tense_far, {"came"}}, {"a", right_near, {"an"}}, {"is", tense_far, {"was", "are"}}}},
    {"Last week when the snow stopped, Emma, an old cook from Rome, was sad.",
     {{"stopped", tense_far, {"stops"}}, {"an", right_near, {"a"}}, {"was", tense_far, {"is"}}}},
    {"Anna was happy about the boat in Paris and waited last winter.",
     {{"was", tense_far, {"is"}}, {"waited", tense_near, {"waits", "wait"}}}},
    {"Is the sailor happy about the boat near the gate?", {{"is", right_near, {"are", "has", "does"}}}},
    {"Do these knights carry the boat in Paris?", {{"do", right_near, {"does", "are", "have"}}}},
    {"Have these actors who met Clara near the cellar counted the essays?",
     {{"have", right_far, {"has", "do", "are"}}}},
    {"Does the actor with the knights count the essays?", {{"does", right_far, {"do", "has", "is"}}}},
    {"The boat is bright but stale near the gate.",
     {{"is", number_near, {"are"}}, {"but", both_near, {"and", "yet"}}}},
    {"The boats are dirty yet dry near the gate.",
     {{"are", number_near, {"is"}}, {"yet", both_near, {"and", "but"}}}},
    {"The lamp near the inn is clean and dry in Paris, but the clocks are dirty and wet.",
     {{"is", number_far, {"are"}},
      {"and", both_near, {"but", "yet"}},
      {"but", both_far, {"and", "yet"}},
      {"are", number_near, {"is"}},
      {"and", both_near, {"but", "yet"}}}},
    {"The lamp is cold and costly in Paris, and the clocks near the inn are dark and noisy.",
     {{"is", number_near, {"are"}},
      {"and", both_near, {"but", "yet"}},
      {"and", both_far, {"but", "yet"}},
      {"are", number_far, {"is"}},
      {"and", both_near, {"but", "yet"}}}},
    {"The judge with the letter near the square went to the court in Paris and waited for the trial.",
     {{"judge", sense_near, {"player", "king"}},
      {"letter", sense_near, {"ball", "crown"}},
      {"trial", sense_far, {"game", "feast"}}}},
    {"The runners with the racket near the square went to the court in Paris and waited for the game.",
     {{"runners", sense_near, {"clerks", "queens"}},
      {"racket", sense_near, {"paper", "jewel"}},
      {"game", sense_far, {"trial", "feast"}}}},
    {"Anna met the actor from Paris in the court with the crown and the queen.",
     {{"crown", sense_near, {"ball", "paper"}}, {"queen", sense_near, {"lawyer", "trainer"}}}},
    {"Anna and Tom saw the court full of lawyers, papers and trials in Paris.",
     {{"lawyers", sense_near, {"princes"}},
      {"papers", sense_near, {"balls"}},
      {"trials", sense_near, {"feasts"}}}},
};

TEST(LanguageSentences, EachWordTestsWhatItShould) {
  const Automaton& automaton = language();
  for (const Sentence& sentence : sentences) {
    std::vector<int32_t> words = words_of(sentence.text + rest);
    std::vector<int32_t> states = automaton.parse(words);
    ASSERT_EQ(states.size(), words.size()) << sentence.text;
    size_t next = 0, length = words_of(sentence.text).size();
    for (size_t i = 0; i < length; i++) {
      const std::string& word = automaton.words[words[i]];
      auto mark = static_cast<Phenomenon>(automaton.states[states[i]].mark);
      if (mark == none) continue;
      ASSERT_LT(next, sentence.tested.size()) << sentence.text << " " << word;
      EXPECT_EQ(word, sentence.tested[next].word) << sentence.text;
      EXPECT_EQ(phenomenon_name(mark), std::string(phenomenon_name(sentence.tested[next].phenomenon)))
          << sentence.text << " " << word;
      next++;
    }
    EXPECT_EQ(next, sentence.tested.size()) << sentence.text;
  }
}

TEST(LanguageSentences, AnotherFormInItsPlaceIsWrong) {
  const Automaton& automaton = language();
  auto number_of = [&](const char* word) {
    return static_cast<int32_t>(std::find(automaton.words.begin(), automaton.words.end(), word) -
                                automaton.words.begin());
  };
  for (const Sentence& sentence : sentences) {
    std::vector<int32_t> words = words_of(sentence.text + rest), states = automaton.parse(words);
    ASSERT_FALSE(states.empty()) << sentence.text;
    size_t next = 0;
    for (size_t i = 0; next < sentence.tested.size(); i++) {
      if (automaton.states[states[i]].mark == 0) continue;
      for (const char* wrong : sentence.tested[next].wrong) {
        std::vector<int32_t> other = words;
        other[i] = number_of(wrong);
        ASSERT_LT(other[i], automaton.word_count()) << wrong;
        EXPECT_TRUE(automaton.parse(other).empty())
            << sentence.text << ": " << wrong << " instead of " << sentence.tested[next].word;
      }
      next++;
    }
  }
}

TEST(LanguageSentences, PhenomenaHaveTheirNames) {
  std::vector<std::string> names;
  for (Phenomenon each : {none, number_near, number_far, tense_near, tense_far, right_near, right_far,
                          both_near, both_far, sense_near, sense_far})
    names.push_back(phenomenon_name(each));
  EXPECT_EQ(names, (std::vector<std::string>{"none", "number near", "number far", "tense near", "tense far",
                                             "right near", "right far", "both near", "both far", "sense near",
                                             "sense far"}));
}

// Its sizes and the table of docs/language.md: shares of positions in percent, rounded there to one tenth.
TEST(LanguageSentences, SizesAndSharesAreTheDocumentedOnes) {
  const Automaton& automaton = language();
  EXPECT_EQ(automaton.word_count(), 356);
  EXPECT_EQ(automaton.states.size(), 3060u);
  EXPECT_EQ(automaton.topic_count(), 8);
  EXPECT_EQ(automaton.longest(), 116);
  std::vector<double> visits(automaton.states.size());
  for (const Automaton::Step& step : automaton.first) visits[step.state] += step.p;
  std::array<double, phenomena> share{};
  double length = 0;
  for (size_t s = visits.size(); s-- > 0;) {
    for (const Automaton::Step& step : automaton.states[s].steps)
      if (step.state != Automaton::end) visits[step.state] += visits[s] * step.p;
    share[automaton.states[s].mark] += visits[s];
    length += visits[s];
  }
  const std::map<Phenomenon, double> documented{
      {number_near, 1.3}, {number_far, 1.7}, {tense_near, 0.9}, {tense_far, 2.1},  {right_near, 1.8},
      {right_far, 1.2},   {both_near, 2.1},  {both_far, 1.0},   {sense_near, 2.3}, {sense_far, 0.8}};
  for (auto [phenomenon, percent] : documented)
    EXPECT_NEAR(100 * share[static_cast<int>(phenomenon)] / length, percent, 0.051)
        << phenomenon_name(phenomenon);
  EXPECT_NEAR(length / 3, 15, 0.5);  // a line has three sentences in the mean
}

// With the most probable word at each [MASK], and it is very probable.
TEST(LanguageSentences, TheExamplesAreLinesOfTheLanguage) {
  const std::vector<std::vector<std::string>> expected{{"are", "does"}, {"is", "do"}, {"was", "but"},
                                                       {"is", "yet"},   {"trial"},    {"feast"}};
  const Tokenizer& tokenizer = language_tokenizer();
  WordPosterior posterior(language());
  ASSERT_EQ(language_examples().size(), expected.size());
  for (size_t e = 0; e < expected.size(); e++) {
    const std::string& example = language_examples()[e];
    std::vector<int32_t> line;
    std::vector<int64_t> masks;
    for (int32_t id : tokenizer.ids(example)) {
      EXPECT_NE(id, tokenizer.vocabulary().unk_id()) << example;
      bool is_mask = id == tokenizer.vocabulary().mask_id();
      if (is_mask) masks.push_back(static_cast<int64_t>(line.size()));
      line.push_back(is_mask ? WordPosterior::hidden : id - first_word_id);
    }
    ASSERT_EQ(masks.size(), expected[e].size()) << example;
    std::vector<double> p = posterior(line, masks);
    int64_t words = language().word_count();
    for (size_t m = 0; m < masks.size(); m++) {
      auto row = p.begin() + static_cast<int64_t>(m) * words;
      auto best = std::max_element(row, row + words);
      EXPECT_GT(*best, 0.9) << example;
      line[masks[m]] = static_cast<int32_t>(best - row);
      EXPECT_EQ(language().words[best - row], expected[e][m]) << example;
    }
    EXPECT_FALSE(language().parse(line).empty()) << example;
  }
}

}  // namespace
}  // namespace bertie
