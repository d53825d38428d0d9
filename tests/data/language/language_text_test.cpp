// The default text as a text: its words, lines and documents.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <unordered_set>

#include "bertie/autograd/threads.h"
#include "bertie/data/language/language.h"
#include "tests/data/language/language_text.h"

namespace bertie {
namespace {

using Words = std::vector<int32_t>;

#ifdef BERTIE_SANITIZE
constexpr int64_t every_line = 10;
#else
constexpr int64_t every_line = 1;
#endif

TEST(LanguageText, TheVocabularyIsTheSpecialTokensAndTheWords) {
  std::vector<std::string> expected(std::begin(special_tokens), std::end(special_tokens));
  for (std::string word : language().words) {
    std::transform(word.begin(), word.end(), word.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
    expected.push_back(word);
  }
  EXPECT_EQ(language_vocabulary().tokens(), expected);
}

TEST(LanguageText, TheTextIsAsciiAndACorpusOfDocuments) {
  std::string text = language_text();
  EXPECT_TRUE(
      text ==
      *language_corpus().sources[0].text);  // the same again; EXPECT_EQ would print a difference for hours
  EXPECT_TRUE(
      std::all_of(text.begin(), text.end(), [](char c) { return c == '\n' || (c >= ' ' && c <= '~'); }));
  EXPECT_EQ(text.find("  "), std::string::npos);
  EXPECT_EQ(text.find(" \n"), std::string::npos);
  EXPECT_EQ(language_corpus().replaced, 0);
  EXPECT_GE(language_corpus().documents, 20);  // so that whole documents are held out
  EXPECT_GT(language_corpus().lines, 2 * language_corpus().documents);
}

TEST(LanguageText, EveryWordOfTheTextIsOneToken) {
  const TokenizedLines& lines = tokenized_language();
  ASSERT_EQ(lines.size(), language_corpus().lines);  // none is cut
  int32_t lowest = *std::min_element(lines.ids.begin(), lines.ids.end());
  EXPECT_EQ(lowest, first_word_id);  // no [UNK]
  for (int64_t i = 0; i < lines.size(); i++) {
    std::string_view line = language_lines().lines[i];
    int64_t words = 1 + std::count(line.begin(), line.end(), ' ');
    int64_t punctuation = std::count_if(line.begin(), line.end(), [](char c) {
      return std::string_view(".,?").find(c) != std::string_view::npos;
    });
    ASSERT_EQ(static_cast<int64_t>(lines[i].size()), words + punctuation) << line;
  }
}

// Words separated by spaces, but punctuation directly behind its word; a capital begins a sentence, and
// within one only words that have one anyway.
TEST(LanguageText, IsWrittenAsEnglishIs) {
  const TokenizedLines& lines = tokenized_language();
  ASSERT_EQ(lines.size(), language_corpus().lines);
  for (int64_t i = 0; i < lines.size(); i += every_line) {
    std::string expected;
    for (int32_t id : lines[i]) {
      std::string word = language().words[id - first_word_id];
      bool begins = expected.empty() || expected.back() == '.' || expected.back() == '?';
      if (begins && word[0] >= 'a') word[0] = static_cast<char>(word[0] - 'a' + 'A');
      if (!expected.empty() && word != "." && word != "?" && word != ",") expected += ' ';
      expected += word;
    }
    ASSERT_EQ(language_lines().lines[i], expected);
  }
}

// Documents of ten lines share a topic, which is drawn for each of them.
TEST(LanguageText, LinesOfADocumentShareItsTopic) {
  const Automaton& automaton = language();
  auto topics = static_cast<size_t>(automaton.topic_count());
  // The topic of a word, or `topics` where it has none or several.
  std::vector<size_t> topic_of(automaton.words.size(), topics);
  std::vector<bool> has_several(automaton.words.size());
  for (const auto& [words, p] : automaton.classes) {
    for (size_t w = 0; w < words.size(); w++) {
      const double* row = &p[w * topics];
      for (size_t t = 0; t < topics; t++) {
        if (row[t] < 4 * row[(t + 1) % topics] && row[t] < 4 * row[(t + 2) % topics]) continue;
        has_several[words[w]] =
            has_several[words[w]] || (topic_of[words[w]] < topics && topic_of[words[w]] != t);
        topic_of[words[w]] = t;
      }
    }
  }
  ASSERT_EQ(language_corpus().documents, 1600);
  const std::vector<int64_t>& offsets = language_lines().document_offsets;
  std::vector<int64_t> documents_with(topics);
  double own = 0, all = 0;
  int64_t same_as_before = 0;
  size_t before = topics;
  for (int64_t d = 0; d < language_corpus().documents; d++) {
    ASSERT_EQ(offsets[d + 1] - offsets[d], 10);
    std::vector<double> counts(topics);
    for (int64_t line = 10 * d; line < 10 * (d + 1); line++) {
      for (int32_t id : tokenized_language()[line]) {
        int32_t word = id - first_word_id;
        if (topic_of[word] < topics && !has_several[word]) counts[topic_of[word]]++;
      }
    }
    size_t topic = std::max_element(counts.begin(), counts.end()) - counts.begin();
    documents_with[topic]++;
    own += counts[topic];
    for (double count : counts) all += count;
    same_as_before += topic == before;
    before = topic;
  }
  // Words of the document's topic: 32 / (32 + 7), with equal weights.
  EXPECT_NEAR(own / all, 32.0 / 39, 0.05);
  double chi_square = 0;
  for (int64_t count : documents_with) chi_square += std::pow(static_cast<double>(count) - 200, 2) / 200;
  EXPECT_LT(chi_square, 24.3);                                        // 7 degrees of freedom: 1 in 1,000
  EXPECT_NEAR(static_cast<double>(same_as_before), 200, 4.5 * 13.3);  // of 1,599, each with 1/8
}

// As parse() does it, for all of the text and so without probabilities.
bool accepts(const Automaton& automaton, const std::vector<std::vector<bool>>& emits,
             std::span<const int32_t> ids) {
  Words states;
  const std::vector<Automaton::Step> at_end{{Automaton::end, 1}};
  bool ends = false;
  for (size_t i = 0; i < ids.size(); i++) {
    Words next;
    auto reach = [&](const std::vector<Automaton::Step>& steps) {
      for (const Automaton::Step& step : steps)
        if (step.state != Automaton::end &&
            emits[automaton.states[step.state].word_class][ids[i] - first_word_id])
          next.push_back(step.state);
    };
    if (i == 0) reach(automaton.first);
    for (int32_t state : states) reach(automaton.states[state].steps);
    std::sort(next.begin(), next.end());
    next.erase(std::unique(next.begin(), next.end()), next.end());
    states = next;
  }
  for (int32_t state : states)
    for (const Automaton::Step& step : automaton.states[state].steps) ends |= step.state == Automaton::end;
  return ends;
}

TEST(LanguageText, EveryLineOfTheTextIsALineOfTheLanguage) {
  const Automaton& automaton = language();
  std::vector<std::vector<bool>> emits(automaton.classes.size(), std::vector<bool>(automaton.words.size()));
  for (size_t c = 0; c < emits.size(); c++)
    for (int32_t word : automaton.classes[c].words) emits[c][word] = true;
  const TokenizedLines& lines = tokenized_language();
  std::vector<int> accepted(static_cast<size_t>(lines.size() / every_line));
  parallel_tasks(static_cast<int64_t>(accepted.size()),
                 [&](int64_t i) { accepted[i] = accepts(automaton, emits, lines[i * every_line]); });
  EXPECT_EQ(std::count(accepted.begin(), accepted.end(), 0), 0);
  for (int64_t i = 0; i < lines.size(); i += lines.size() / 50) {
    Words words;
    for (int32_t id : lines[i]) words.push_back(id - first_word_id);
    EXPECT_EQ(automaton.parse(words).size(), words.size()) << language_lines().lines[i];
  }
}

// Words are those between spaces; a sentence is compared with its punctuation.
TEST(LanguageText, FewerThan1PercentOfTheHeldOutSentencesAreInTheTrainingText) {
  auto for_each_sentence = [](const std::vector<std::string_view>& lines, auto visit) {
    for (std::string_view line : lines) {
      while (!line.empty()) {
        std::string_view sentence = line.substr(0, line.find_first_of(".?") + 1);
        line.remove_prefix(std::min(line.size(), sentence.size() + 1));  // and a space
        if (std::count(sentence.begin(), sentence.end(), ' ') >= 5) visit(sentence);
      }
    }
  };
  std::vector<std::string_view> training = language_lines().part(HeldOutRule(language_corpus()), false);
  std::unordered_set<std::string_view> known;
  for_each_sentence(training, [&](std::string_view sentence) { known.insert(sentence); });
  int64_t sentences = 0, seen = 0;
  for_each_sentence(held_out_language_lines(), [&](std::string_view sentence) {
    sentences++;
    seen += known.contains(sentence);
  });
  EXPECT_GT(sentences, 1000);
  EXPECT_LT(static_cast<double>(seen), 0.01 * static_cast<double>(sentences));
}

}  // namespace
}  // namespace bertie
