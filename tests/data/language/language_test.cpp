#include "bertie/data/language/language.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <unordered_set>

#include "bertie/autograd/threads.h"
#include "bertie/data/batches/corpus.h"
#include "bertie/data/batches/mlm_batches.h"
#include "bertie/data/language/word_posterior.h"
#include "bertie/data/tokenizer/tokenizer.h"

namespace bertie {
namespace {

using Context = WordPosterior::Context;
using Words = std::vector<int32_t>;
constexpr int32_t end = Automaton::end;

#ifdef BERTIE_SANITIZE
constexpr int64_t drawn_lines = 500, scored_positions = 800, every_line = 10;
#else
constexpr int64_t drawn_lines = 5000, scored_positions = 6000, every_line = 1;
#endif

const Corpus& corpus() {
  static const Corpus corpus = [] {
    Corpus result;
    add_text(result, "the language", language_text());
    return result;
  }();
  return corpus;
}

const Tokenizer& tokenizer() {
  static const Tokenizer tokenizer(language_vocabulary());
  return tokenizer;
}

const TokenizedLines& tokenized_text() {
  static const TokenizedLines lines = tokenize_lines(tokenizer(), corpus().lines, language().longest() + 2);
  return lines;
}

bool ends_sentence(int32_t word) { return language().words[word] == "." || language().words[word] == "?"; }

// --- the automaton

// How often a line comes to each state, in the mean.
std::vector<double> visits() {
  const Automaton& automaton = language();
  std::vector<double> visits(automaton.states.size());
  for (const Automaton::Step& step : automaton.first) visits[step.state] += step.p;
  for (size_t s = visits.size(); s-- > 0;) {
    for (const Automaton::Step& step : automaton.states[s].steps)
      if (step.state != end) visits[step.state] += visits[s] * step.p;
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
  for (const Automaton::Step& step : automaton.first) EXPECT_NE(step.state, end);
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
      after.insert(step.state == end ? 0 : ends[step.state]);
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
        if (a.state == end || b.state == end) {
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

// --- the text

TEST(Language, TheVocabularyIsTheSpecialTokensAndTheWords) {
  std::vector<std::string> expected(std::begin(special_tokens), std::end(special_tokens));
  for (std::string word : language().words) {
    std::transform(word.begin(), word.end(), word.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
    expected.push_back(word);
  }
  EXPECT_EQ(language_vocabulary().tokens(), expected);
}

TEST(Language, TheTextIsAsciiAndACorpusOfDocuments) {
  std::string text = language_text();
  EXPECT_TRUE(text == *corpus().texts[0]);  // the same again; EXPECT_EQ would print a difference for hours
  EXPECT_TRUE(
      std::all_of(text.begin(), text.end(), [](char c) { return c == '\n' || (c >= ' ' && c <= '~'); }));
  EXPECT_EQ(text.find("  "), std::string::npos);
  EXPECT_EQ(text.find(" \n"), std::string::npos);
  EXPECT_EQ(corpus().replaced, 0);
  EXPECT_GE(corpus().documents(), 20);  // so that whole documents are held out
  EXPECT_GT(static_cast<int64_t>(corpus().lines.size()), 2 * corpus().documents());
}

TEST(Language, EveryWordOfTheTextIsOneToken) {
  const TokenizedLines& lines = tokenized_text();
  ASSERT_EQ(lines.size(), static_cast<int64_t>(corpus().lines.size()));  // none is cut
  int32_t lowest = *std::min_element(lines.ids.begin(), lines.ids.end());
  EXPECT_EQ(lowest, first_word_id);  // no [UNK]
  for (int64_t i = 0; i < lines.size(); i++) {
    std::string_view line = corpus().lines[i];
    int64_t words = 1 + std::count(line.begin(), line.end(), ' ');
    int64_t punctuation = std::count_if(line.begin(), line.end(), [](char c) {
      return std::string_view(".,?").find(c) != std::string_view::npos;
    });
    ASSERT_EQ(static_cast<int64_t>(lines[i].size()), words + punctuation) << line;
  }
}

// As parse() does it, for all of the text and so without probabilities.
bool accepts(const Automaton& automaton, const std::vector<std::vector<bool>>& emits,
             std::span<const int32_t> ids) {
  Words states;
  const std::vector<Automaton::Step> at_end{{end, 1}};
  bool ends = false;
  for (size_t i = 0; i < ids.size(); i++) {
    Words next;
    auto reach = [&](const std::vector<Automaton::Step>& steps) {
      for (const Automaton::Step& step : steps)
        if (step.state != end && emits[automaton.states[step.state].word_class][ids[i] - first_word_id])
          next.push_back(step.state);
    };
    if (i == 0) reach(automaton.first);
    for (int32_t state : states) reach(automaton.states[state].steps);
    std::sort(next.begin(), next.end());
    next.erase(std::unique(next.begin(), next.end()), next.end());
    states = next;
  }
  for (int32_t state : states)
    for (const Automaton::Step& step : automaton.states[state].steps) ends |= step.state == end;
  return ends;
}

TEST(Language, EveryLineOfTheTextIsALineOfTheLanguage) {
  const Automaton& automaton = language();
  std::vector<std::vector<bool>> emits(automaton.classes.size(), std::vector<bool>(automaton.words.size()));
  for (size_t c = 0; c < emits.size(); c++)
    for (int32_t word : automaton.classes[c].words) emits[c][word] = true;
  const TokenizedLines& lines = tokenized_text();
  std::vector<int> accepted(static_cast<size_t>(lines.size() / every_line));
  parallel_tasks(static_cast<int64_t>(accepted.size()),
                 [&](int64_t i) { accepted[i] = accepts(automaton, emits, lines[i * every_line]); });
  EXPECT_EQ(std::count(accepted.begin(), accepted.end(), 0), 0);
  for (int64_t i = 0; i < lines.size(); i += lines.size() / 50) {
    Words words;
    for (int32_t id : lines[i]) words.push_back(id - first_word_id);
    EXPECT_EQ(automaton.parse(words).size(), words.size()) << corpus().lines[i];
  }
}

// Words are those between spaces; a sentence is compared with its punctuation.
TEST(Language, FewerThan1PercentOfTheHeldOutSentencesAreInTheTrainingText) {
  auto for_each_sentence = [](const std::vector<std::string_view>& lines, auto visit) {
    for (std::string_view line : lines) {
      while (!line.empty()) {
        std::string_view sentence = line.substr(0, line.find_first_of(".?") + 1);
        line.remove_prefix(std::min(line.size(), sentence.size() + 1));  // and a space
        if (std::count(sentence.begin(), sentence.end(), ' ') >= 5) visit(sentence);
      }
    }
  };
  CorpusSplit split = split_corpus(corpus());
  std::unordered_set<std::string_view> known;
  for_each_sentence(split.training, [&](std::string_view sentence) { known.insert(sentence); });
  int64_t sentences = 0, seen = 0;
  for_each_sentence(split.held_out, [&](std::string_view sentence) {
    sentences++;
    seen += known.contains(sentence);
  });
  EXPECT_GT(sentences, 1000);
  EXPECT_LT(static_cast<double>(seen), 0.01 * static_cast<double>(sentences));
}

// --- the bound, on the way that training takes: text, tokenizer, masking, batches

struct Prediction {
  double expected_right, right;  // max p, and whether the true word has it
  double expected_loss, loss;    // entropy of p, and −log p(true word)
  double expected_kept, kept;    // p(the word shown), and whether it is the true one; 0 where none is shown
};
constexpr Context contexts[] = {Context::line, Context::two_neighbors, Context::left};
struct Scored {
  int64_t document = 0;
  std::array<std::vector<Prediction>, std::size(contexts)> predictions;
};

Prediction prediction(const double* p, int64_t words, int32_t truth, int32_t shown) {
  Prediction result{0, 0, 0, -std::log(p[truth]), 0, 0};
  if (shown != WordPosterior::hidden) {
    result.expected_kept = p[shown];
    result.kept = shown == truth;
  }
  int64_t choice = std::max_element(p, p + words) - p;
  result.expected_right = p[choice];
  result.right = choice == truth;
  for (int64_t w = 0; w < words; w++)
    if (p[w] > 0) result.expected_loss -= p[w] * std::log(p[w]);
  return result;
}

// Of each line of the held-out text's first batches.
const std::vector<Scored>& scored_lines() {
  static const std::vector<Scored> all = [] {
    CorpusSplit split = split_corpus(corpus());
    const Vocabulary& vocabulary = tokenizer().vocabulary();
    MlmBatches batches(tokenize_lines(tokenizer(), split.held_out, language().longest() + 2), vocabulary,
                       Masking(ordinary_tokens(vocabulary), vocabulary.mask_id(), 1), 2048, 1);
    // The lines of one document aren't independent: what they are about is drawn once.
    auto document_of = [&](int64_t line) {
      auto place = std::lower_bound(corpus().lines.begin(), corpus().lines.end(), split.held_out[line],
                                    [](auto a, auto b) { return a.data() < b.data(); }) -
                   corpus().lines.begin();
      const auto& offsets = corpus().document_offsets;
      return std::upper_bound(offsets.begin(), offsets.end(), place) - offsets.begin();
    };
    WordPosterior posterior(language());
    BatchPlan plan = batches.ordered_pass();
    std::vector<Scored> result;
    for (int64_t b = 0, positions = 0; positions < scored_positions; b++) {
      MaskedBatch batch = batches.batch(plan[b % plan.size()], b / plan.size());
      const int32_t *ids = batch.tokens.ids.data<int32_t>(), *labels = batch.labels.data<int32_t>();
      const int64_t* rows = batch.scored_rows.data<int64_t>();
      size_t before = result.size();
      result.resize(before + batch.tokens.sequences.size());
      parallel_tasks(static_cast<int64_t>(batch.tokens.sequences.size()), [&](int64_t n) {
        Scored& line = result[before + n];
        line.document = document_of(batch.tokens.sequences[n]);
        int64_t begin = batch.tokens.offsets[n] + 1, stop = batch.tokens.offsets[n + 1] - 1;
        Words observed;
        for (int64_t row = begin; row < stop; row++)
          observed.push_back(ids[row] == vocabulary.mask_id() ? WordPosterior::hidden
                                                              : ids[row] - first_word_id);
        std::vector<int64_t> scored;
        Words truth;
        for (int64_t m = 0; m < batch.labels.size(); m++) {
          if (rows[m] < begin || rows[m] >= stop) continue;
          scored.push_back(rows[m] - begin);
          truth.push_back(labels[m] - first_word_id);
        }
        if (scored.empty()) return;
        for (size_t c = 0; c < std::size(contexts); c++) {
          std::vector<double> p = posterior(observed, scored, contexts[c]);
          for (size_t i = 0; i < scored.size(); i++)
            line.predictions[c].push_back(prediction(&p[i * language().words.size()], language().word_count(),
                                                     truth[i], observed[scored[i]]));
        }
      });
      positions += batch.labels.size();
    }
    return result;
  }();
  return all;
}

#ifndef BERTIE_SANITIZE  // there the sample is too small to tell 0.10 from a little more or less
// The mean of max p is the accuracy to be expected, free of the luck of the true words.
double expected_accuracy(size_t context) {
  double sum = 0;
  int64_t count = 0;
  for (const Scored& line : scored_lines()) {
    for (const Prediction& p : line.predictions[context]) sum += p.expected_right, count++;
  }
  EXPECT_GE(count, scored_positions);
  return sum / static_cast<double>(count);
}

TEST(Language, NeitherNeighborsNorTheLeftAreEnough) {
  double best = expected_accuracy(0);
  EXPECT_GE(best - expected_accuracy(1), 0.10);
  EXPECT_GE(best - expected_accuracy(2), 0.10);
}
#endif

// If the posterior is what it says, then what it expects of itself is what comes.
TEST(Language, ThePosteriorIsCalibratedOnTheTextAsTrainingSeesIt) {
  for (size_t c = 0; c < std::size(contexts); c++) {
    auto expect_zero_mean = [&](const char* what, auto difference) {
      std::map<int64_t, double> of_document;
      double sum = 0;
      for (const Scored& line : scored_lines()) {
        for (const Prediction& p : line.predictions[c]) {
          of_document[line.document] += difference(p);
          sum += difference(p);
        }
      }
      double squares = 0;
      for (const auto& [document, value] : of_document) squares += value * value;
      EXPECT_GT(of_document.size(), 10u);
      EXPECT_LT(std::abs(sum), 4 * std::sqrt(squares)) << what << " with context " << c;
    };
    expect_zero_mean("loss", [](const Prediction& p) { return p.loss - p.expected_loss; });
    expect_zero_mean("accuracy", [](const Prediction& p) { return p.right - p.expected_right; });
    expect_zero_mean("kept", [](const Prediction& p) { return p.kept - p.expected_kept; });
  }
}

// With the most probable word at each [MASK], and it is very probable.
TEST(Language, TheExamplesAreLinesOfTheLanguage) {
  Tokenizer tokenizer(language_vocabulary());
  WordPosterior posterior(language());
  EXPECT_FALSE(language_examples().empty());
  for (const std::string& example : language_examples()) {
    std::vector<int32_t> line;
    std::vector<int64_t> masks;
    for (int32_t id : tokenizer.ids(example)) {
      EXPECT_NE(id, tokenizer.vocabulary().unk_id()) << example;
      bool is_mask = id == tokenizer.vocabulary().mask_id();
      if (is_mask) masks.push_back(static_cast<int64_t>(line.size()));
      line.push_back(is_mask ? WordPosterior::hidden : id - first_word_id);
    }
    ASSERT_FALSE(masks.empty());
    std::vector<double> p = posterior(line, masks);
    int64_t words = language().word_count();
    for (size_t m = 0; m < masks.size(); m++) {
      auto row = p.begin() + static_cast<int64_t>(m) * words;
      auto best = std::max_element(row, row + words);
      EXPECT_GT(*best, 0.9) << example;
      line[masks[m]] = static_cast<int32_t>(best - row);
    }
    EXPECT_FALSE(language().parse(line).empty()) << example;
  }
}

}  // namespace
}  // namespace bertie
