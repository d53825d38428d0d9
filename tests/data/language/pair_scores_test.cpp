// LanguageScores of segment pairs, on the way that training takes: documents, pairs, masks.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>

#include "bertie/autograd/threads.h"
#include "bertie/data/batches/sentence_pairs.h"
#include "bertie/data/language/language_scores.h"
#include "tests/data/language/small_languages.h"
#include "tests/message_of.h"

namespace bertie {
namespace {

using Columns = LanguageScore;
using Context = WordPosterior::Context;
constexpr int64_t documents = 6, lines_per_document = 4, passes = 2;

const Vocabulary& vocabulary() {
  static const Vocabulary vocabulary = language_vocabulary();
  return vocabulary;
}
int64_t ids() { return vocabulary().size(); }

struct Text {
  TokenizedLines lines;
  std::vector<std::vector<int32_t>> states;  // of each line
};
const Text& text() {
  static const Text text = [] {
    Text result;
    TokenVectors tokens;
    Random random(51);
    for (int64_t d = 0; d < documents; d++) {
      int64_t topic = language().draw_topic(random);
      for (int64_t i = 0; i < lines_per_document; i++) {
        Automaton::Line line = language().draw(topic, random);
        for (int32_t word : line.words) tokens.ids.push_back(word + first_word_id);
        tokens.end_sequence();
        result.states.push_back(line.states);
      }
      tokens.end_document();
    }
    result.lines = TokenizedLines(std::move(tokens));
    return result;
  }();
  return text;
}

PairBatches pair_batches(int64_t batch_tokens) {
  PairOptions options;
  options.max_length = 2 * language().longest() + 3;
  options.single_lines = true;
  return PairBatches(text().lines, vocabulary(),
                     Masking(ordinary_tokens(vocabulary()), vocabulary().mask_id(), 52), options,
                     batch_tokens, 53);
}

std::vector<double> uniform(int64_t count) {
  return std::vector<double>(count, -std::log(static_cast<double>(count)));
}

// What is known of a batch's pairs without LanguageScores.
struct Position {
  int64_t line = 0;  // of the text
  int mark = 0;
  int32_t truth = 0;
  std::array<std::vector<double>, 3> p;  // of each word: best, 2+2, left
};
struct Pair {
  int64_t first_line = 0;
  int32_t label = 0;  // 1: random
  double p[2] = {};   // of each label
  std::vector<Position> positions;
};
constexpr Columns::Column columns_of_contexts[] = {Columns::best, Columns::two_neighbors, Columns::left};

std::vector<Pair> pairs_in(const PairBatches& batches, const MaskedBatch& batch) {
  static const WordPosterior posterior(language());
  const auto* rows = batch.scored_rows.data<int64_t>();
  int64_t words = language().word_count(), m = 0;
  std::vector<Pair> result;
  for (size_t n = 0; n < batch.tokens.sequences.size(); n++) {
    const SentencePair& planned = batches.pairs()[batch.tokens.sequences[n]];
    const int64_t lines[] = {planned.a_line, planned.b_line};
    int64_t begin = batch.tokens.offsets[n] + 1;
    std::array<std::vector<int32_t>, 2> observed;
    std::array<std::vector<int64_t>, 2> scored;
    for (int i = 0; i < 2; i++) {
      auto size = static_cast<int64_t>(text().lines[lines[i]].size());
      for (int64_t row = begin; row < begin + size; row++) {
        int32_t id = batch.tokens.ids.data<int32_t>()[row];
        observed[i].push_back(id == vocabulary().mask_id() ? WordPosterior::hidden : id - first_word_id);
        if (m == batch.labels.size() || rows[m] != row) continue;
        scored[i].push_back(row - begin);
        m++;
      }
      begin += size + 1;  // [SEP]
    }
    PairPosterior exact(posterior, observed[0], observed[1]);
    Pair pair{planned.a_line, planned.random ? 1 : 0, {exact.neighbors(), 1 - exact.neighbors()}, {}};
    for (int i = 0; i < 2; i++) {
      size_t before = pair.positions.size();
      for (int64_t place : scored[i]) {
        Position position;
        position.line = lines[i];
        position.mark = language().states[text().states[lines[i]][place]].mark;
        position.truth = text().lines[lines[i]][place] - first_word_id;
        pair.positions.push_back(position);
      }
      for (size_t c = 0; c < std::size(contexts); c++) {
        std::vector<double> p = exact(i, scored[i], contexts[c]);
        for (size_t k = 0; k < scored[i].size(); k++) {
          auto row = p.begin() + static_cast<int64_t>(k) * words;
          pair.positions[before + k].p[c].assign(row, row + words);
        }
      }
    }
    result.push_back(std::move(pair));
  }
  EXPECT_EQ(m, batch.labels.size());
  return result;
}

// Log-probabilities of scored words [M, V] and labels [N, 2] for the pairs of a batch.
struct Guess {
  Array words, labels;
};
using Model = std::function<Guess(const std::vector<Pair>&)>;

Guess exact_model(const std::vector<Pair>& pairs) {
  std::vector<double> words, labels;
  for (const Pair& pair : pairs) {
    for (const Position& position : pair.positions) {
      words.insert(words.end(), first_word_id, -INFINITY);
      for (double p : position.p[0]) words.push_back(std::log(p));
    }
    for (double p : pair.p) labels.push_back(std::log(p));
  }
  auto positions = static_cast<int64_t>(words.size()) / ids();
  return {Array::from(words).reshape({positions, ids()}),
          Array::from(labels).reshape({static_cast<int64_t>(pairs.size()), 2})};
}

// Says the same label with p = 0.9 for all pairs.
Model stubborn_model(int32_t label) {
  return [=](const std::vector<Pair>& pairs) {
    Guess guess = exact_model(pairs);
    guess.words = Array::full(guess.words.shape(), uniform(ids())[0], DType::f64);
    std::vector<double> labels;
    for (size_t n = 0; n < pairs.size(); n++)
      for (int32_t each : {0, 1}) labels.push_back(std::log(each == label ? 0.9 : 0.1));
    guess.labels = Array::from(labels).reshape({static_cast<int64_t>(pairs.size()), 2});
    return guess;
  };
}

LanguageScores scores_of(const Model& model, int64_t batch_tokens = 700) {
  LanguageScores scores(uniform(ids()));
  PairBatches batches = pair_batches(batch_tokens);
  for (int64_t pass = 0; pass < passes; pass++) {
    int64_t count = batches.begin_pass(pass);
    for (int64_t b = 0; b < count; b++) {
      MaskedBatch batch = batches.batch(b);
      Guess guess = model(pairs_in(batches, batch));
      scores.add(batch, guess.words, guess.labels);
    }
  }
  return scores;
}

// All pairs that scores_of() scores.
const std::vector<Pair>& all_pairs() {
  static const std::vector<Pair> all = [] {
    std::vector<Pair> result;
    PairBatches batches = pair_batches(700);
    for (int64_t pass = 0; pass < passes; pass++) {
      int64_t count = batches.begin_pass(pass);
      for (int64_t b = 0; b < count; b++)
        for (Pair& pair : pairs_in(batches, batches.batch(b))) result.push_back(std::move(pair));
    }
    return result;
  }();
  return all;
}

int64_t largest(const std::vector<double>& p) { return std::max_element(p.begin(), p.end()) - p.begin(); }

TEST(PairScores, AModelThatKnowsAllLosesNothing) {
  LanguageScores scores = scores_of(exact_model);
  for (const LanguageScore& score : {scores.all(), scores.next_sentence()}) {
    EXPECT_GT(score.positions, 20);
    EXPECT_EQ(score.accuracy[Columns::model], score.accuracy[Columns::best]);
    EXPECT_NEAR(score.loss[Columns::model], score.loss[Columns::best], 1e-12);
    EXPECT_EQ(score.accuracy_lost, 0);
    EXPECT_NEAR(score.loss_lost, 0, 1e-12);
    EXPECT_EQ(score.accuracy_error, 0);
    EXPECT_NEAR(score.loss_error, 0, 1e-12);
  }
}

TEST(PairScores, TheWordsAreScoredWithBothLinesInSight) {
  LanguageScores scores = scores_of(stubborn_model(0));
  for (size_t c = 0; c < std::size(contexts); c++) {
    std::array<double, phenomena> count{}, right{}, loss{};
    for (const Pair& pair : all_pairs()) {
      for (const Position& position : pair.positions) {
        count[position.mark]++;
        right[position.mark] += largest(position.p[c]) == position.truth;
        loss[position.mark] -= std::log(position.p[c][position.truth]);
      }
    }
    for (int mark = 0; mark < phenomena; mark++) {
      LanguageScore score = scores.of(static_cast<Phenomenon>(mark));
      EXPECT_EQ(static_cast<double>(score.positions), count[mark]);
      EXPECT_NEAR(score.accuracy[columns_of_contexts[c]] * count[mark], right[mark], 1e-9);
      EXPECT_NEAR(score.loss[columns_of_contexts[c]] * count[mark], loss[mark], 1e-9);
    }
  }
}

TEST(PairScores, TheLabelIsScoredAsAWordIs) {
  for (int32_t says : {0, 1}) {
    double pairs = 0, right = 0, best_right = 0, loss = 0, best_loss = 0, lost = 0, divergence = 0;
    for (const Pair& pair : all_pairs()) {
      pairs++;
      right += pair.label == says;
      best_right += pair.p[pair.label] > 0.5;
      loss -= std::log(pair.label == says ? 0.9 : 0.1);
      best_loss -= std::log(pair.p[pair.label]);
      lost += std::max(pair.p[0], pair.p[1]) - pair.p[says];
      divergence +=
          pair.p[says] * std::log(pair.p[says] / 0.9) + pair.p[1 - says] * std::log(pair.p[1 - says] / 0.1);
    }
    LanguageScore score = scores_of(stubborn_model(says)).next_sentence();
    EXPECT_EQ(static_cast<double>(score.positions), pairs);
    EXPECT_NEAR(score.accuracy[Columns::model], right / pairs, 1e-12);
    EXPECT_NEAR(score.accuracy[Columns::best], best_right / pairs, 1e-12);
    EXPECT_NEAR(score.loss[Columns::model], loss / pairs, 1e-12);
    EXPECT_NEAR(score.loss[Columns::best], best_loss / pairs, 1e-12);
    EXPECT_NEAR(score.accuracy_lost, lost / pairs, 1e-12);
    EXPECT_NEAR(score.loss_lost, divergence / pairs, 1e-12);
  }
}

// Of a ratio of sums over first lines, which count as independent; one may begin several pairs.
TEST(PairScores, StandardErrorsOfTheLabelTakeFirstLinesAsIndependent) {
  struct Line {
    double pairs = 0, right = 0, loss = 0;  // differences best − model
  };
  std::map<int64_t, Line> of_line;
  for (const Pair& pair : all_pairs()) {
    Line& line = of_line[pair.first_line];
    line.pairs++;
    line.right += (pair.p[pair.label] > 0.5) - (pair.label == 0);
    line.loss += -std::log(pair.p[pair.label]) + std::log(pair.label == 0 ? 0.9 : 0.1);
  }
  EXPECT_LT(of_line.size(), all_pairs().size());
  auto error = [&](double Line::*sum) {
    double pairs = 0, total = 0, squares = 0;
    for (const auto& [number, line] : of_line) pairs += line.pairs, total += line.*sum;
    for (const auto& [number, line] : of_line) squares += std::pow(line.*sum - total / pairs * line.pairs, 2);
    return std::sqrt(squares) / pairs;
  };
  LanguageScore score = scores_of(stubborn_model(0)).next_sentence();
  EXPECT_GT(score.accuracy_error, 0);
  EXPECT_NEAR(score.accuracy_error, error(&Line::right), 1e-12);
  EXPECT_NEAR(score.loss_error, error(&Line::loss), 1e-12);
}

// In large batches a line is in several pairs.
TEST(PairScores, AreTheSameOnAnyNumberOfThreads) {
  int threads = thread_count();
  auto numbers = [](const LanguageScores& scores) {
    std::vector<double> all;
    for (const LanguageScore& score : {scores.all(), scores.next_sentence()}) {
      all.insert(all.end(), {score.accuracy_lost, score.loss_lost, score.accuracy_error, score.loss_error});
      all.insert(all.end(), score.accuracy.begin(), score.accuracy.end());
      all.insert(all.end(), score.loss.begin(), score.loss.end());
    }
    return all;
  };
  set_thread_count(1);
  std::vector<double> one = numbers(scores_of(exact_model, 10'000));
  set_thread_count(2);
  EXPECT_EQ(numbers(scores_of(exact_model, 10'000)), one);
  set_thread_count(threads);
}

TEST(PairScores, ErrorsNameWhatIsWrong) {
  PairBatches batches = pair_batches(700);
  batches.begin_pass(0);
  MaskedBatch batch = batches.batch(0);
  Guess guess = exact_model(pairs_in(batches, batch));
  LanguageScores scores(uniform(ids()));
  EXPECT_EQ(scores.next_sentence().positions, 0);
  std::string pairs = std::to_string(batch.tokens.sequences.size());
  std::string rule = "[language] the log-probabilities of labels must be [" + pairs + ", 2], got ";
  EXPECT_EQ(message_of([&] { scores.add(batch, guess.words); }), rule + "none");
  EXPECT_EQ(message_of([&] { scores.add(batch, guess.words, guess.words); }),
            rule + "[" + std::to_string(batch.labels.size()) + ", " + std::to_string(ids()) + "]");
  MaskedBatch one_segment = batch;
  one_segment.tokens.token_type_ids = Array::zeros({batch.tokens.tokens()}, DType::i32);
  EXPECT_EQ(message_of([&] { scores.add(one_segment, guess.words, guess.labels); }),
            "[language] sequence 0 must have two segments");
}

}  // namespace
}  // namespace bertie
