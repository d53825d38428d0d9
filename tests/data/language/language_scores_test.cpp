#include "bertie/data/language/language_scores.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>

#include "bertie/autograd/threads.h"
#include "bertie/data/batches/mlm_batches.h"
#include "tests/message_of.h"

namespace bertie {
namespace {

using Columns = LanguageScore;
using Context = WordPosterior::Context;
constexpr int64_t line_count = 25;

const Vocabulary& vocabulary() {
  static const Vocabulary vocabulary = language_vocabulary();
  return vocabulary;
}
int64_t ids() { return vocabulary().size(); }

std::vector<Automaton::Line> draw_lines(int64_t count, uint64_t seed) {
  Random random(seed);
  std::vector<Automaton::Line> lines;
  for (int64_t i = 0; i < count; i++) lines.push_back(language().draw(language().draw_topic(random), random));
  return lines;
}

TokenizedLines tokenized(const std::vector<Automaton::Line>& drawn) {
  TokenVectors lines;
  for (const Automaton::Line& line : drawn) {
    for (int32_t word : line.words) lines.ids.push_back(word + first_word_id);
    lines.offsets.push_back(static_cast<int64_t>(lines.ids.size()));
  }
  return TokenizedLines(std::move(lines));
}

const std::vector<Automaton::Line>& drawn() {
  static const std::vector<Automaton::Line> lines = draw_lines(line_count, 41);
  return lines;
}
const TokenizedLines& lines() {
  static const TokenizedLines lines = tokenized(drawn());
  return lines;
}

// A log-probability for each id; the last one's is the largest.
std::vector<double> some_unigram() {
  std::vector<double> log_p;
  double sum = static_cast<double>(ids() * (ids() + 1)) / 2;
  for (int64_t id = 0; id < ids(); id++) log_p.push_back(std::log(static_cast<double>(id + 1) / sum));
  return log_p;
}

MlmBatches batches_of(int64_t batch_tokens) {
  return MlmBatches(lines(), vocabulary(), Masking(ordinary_tokens(vocabulary()), vocabulary().mask_id(), 42),
                    batch_tokens, 43);
}

// A scored token.
struct Position {
  int64_t line, place;    // it is this word of the line
  int32_t truth;          // which word it is
  std::vector<double> p;  // of each word, exactly, in its context

  int64_t choice() const { return std::max_element(p.begin(), p.end()) - p.begin(); }
};
std::vector<Position> positions_in(const MaskedBatch& batch, Context context = Context::line) {
  static const WordPosterior posterior(language());
  const auto &offsets = batch.tokens.offsets, &sequences = batch.tokens.sequences;
  std::vector<Position> positions;
  size_t words = language().words.size();
  for (int64_t m = 0, n = 0; n < static_cast<int64_t>(sequences.size()); n++) {
    std::vector<int32_t> observed;
    for (int64_t token = offsets[n] + 1; token < offsets[n + 1] - 1; token++) {
      int32_t id = batch.tokens.ids.data<int32_t>()[token];
      observed.push_back(id == vocabulary().mask_id() ? WordPosterior::hidden : id - first_word_id);
    }
    std::vector<int64_t> places;
    for (; m < batch.labels.size() && batch.scored_rows.data<int64_t>()[m] < offsets[n + 1]; m++) {
      places.push_back(batch.scored_rows.data<int64_t>()[m] - offsets[n] - 1);
      positions.push_back({sequences[n], places.back(), batch.labels.data<int32_t>()[m] - first_word_id, {}});
    }
    if (places.empty()) continue;
    std::vector<double> p = posterior(observed, places, context);
    for (size_t i = 0; i < places.size(); i++) {
      auto row = p.begin() + static_cast<int64_t>(i * words);
      positions[positions.size() - places.size() + i].p.assign(row, row + static_cast<int64_t>(words));
    }
  }
  return positions;
}

// A model is what gives a batch log-probabilities [M, V].
using Model = std::function<Array(const MaskedBatch&)>;

Array posterior_model(const MaskedBatch& batch) {
  Array log_p = Array::full({batch.labels.size(), ids()}, -INFINITY, DType::f64);
  double* row = log_p.mutable_data<double>();
  for (const Position& position : positions_in(batch)) {
    std::transform(position.p.begin(), position.p.end(), row + first_word_id,
                   [](double p) { return std::log(p); });
    row += ids();
  }
  return log_p;
}

Array uniform_model(const MaskedBatch& batch) {
  return Array::full({batch.labels.size(), ids()}, -std::log(static_cast<double>(ids())), DType::f64);
}

// Between the exact p and other weights, which are a function of the scored token alone.
Array mixed_model(const MaskedBatch& batch) {
  Array log_p = Array::empty({batch.labels.size(), ids()}, DType::f64);
  double* row = log_p.mutable_data<double>();
  for (const Position& position : positions_in(batch)) {
    std::vector<double> weights;
    Random random(static_cast<uint64_t>(position.line), static_cast<uint64_t>(position.place));
    for (int64_t id = 0; id < ids(); id++)
      weights.push_back((id < first_word_id ? 0 : position.p[id - first_word_id]) + 0.05 * random.uniform());
    double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    for (double weight : weights) *row++ = std::log(weight / sum);
  }
  return log_p;
}

LanguageScores scores_of(const Model& model, int64_t batch_tokens = 500, int64_t passes = 1) {
  LanguageScores scores(some_unigram());
  MlmBatches batches = batches_of(batch_tokens);
  for (int64_t pass = 0; pass < passes; pass++) {
    BatchPlan plan = batches.ordered_pass();
    for (int64_t b = 0; b < plan.size(); b++) {
      MaskedBatch batch = batches.batch(plan[b], pass);
      scores.add(batch, model(batch));
    }
  }
  return scores;
}

// All positions that scores_of() scores.
template <class Visit>
void for_each_position(Visit visit, int64_t passes = 1, Context context = Context::line) {
  MlmBatches batches = batches_of(500);
  BatchPlan plan = batches.ordered_pass();
  for (int64_t pass = 0; pass < passes; pass++) {
    for (int64_t b = 0; b < plan.size(); b++) {
      MaskedBatch batch = batches.batch(plan[b], pass);
      for (const Position& position : positions_in(batch, context)) visit(position);
    }
  }
}

std::vector<double> numbers(const LanguageScore& score) {
  std::vector<double> all{static_cast<double>(score.positions), score.accuracy_lost, score.loss_lost,
                          score.accuracy_error, score.loss_error};
  all.insert(all.end(), score.accuracy.begin(), score.accuracy.end());
  all.insert(all.end(), score.loss.begin(), score.loss.end());
  return all;
}

std::vector<double> all_numbers(const LanguageScores& scores) {
  std::vector<double> all = numbers(scores.all());
  for (int p = 0; p < phenomena; p++) {
    std::vector<double> some = numbers(scores.of(static_cast<Phenomenon>(p)));
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

TEST(LanguageScores, AModelThatKnowsAllLosesNothing) {
  LanguageScores scores = scores_of(posterior_model);
  LanguageScore all = scores.all();
  EXPECT_GT(all.positions, 40);
  EXPECT_EQ(all.accuracy[Columns::model], all.accuracy[Columns::best]);
  EXPECT_NEAR(all.loss[Columns::model], all.loss[Columns::best], 1e-12);
  EXPECT_EQ(all.accuracy_lost, 0);
  EXPECT_NEAR(all.loss_lost, 0, 1e-12);
  EXPECT_EQ(all.accuracy_error, 0);
  EXPECT_NEAR(all.loss_error, 0, 1e-12);
  EXPECT_GT(all.loss[Columns::best], 0);
}

TEST(LanguageScores, TheColumnsAreThoseOfThePosteriorAndOfTheWordsAlone) {
  LanguageScore all = scores_of(uniform_model).all();
  auto expect_column = [&](LanguageScore::Column column, Context context, auto choice_and_log_p) {
    double positions = 0, right = 0, loss = 0;
    for_each_position(
        [&](const Position& position) {
          auto [choice, log_p] = choice_and_log_p(position);
          positions++;
          right += choice == position.truth;
          loss -= log_p;
        },
        1, context);
    EXPECT_EQ(static_cast<double>(all.positions), positions);
    EXPECT_NEAR(all.accuracy[column], right / positions, 1e-12) << column;
    EXPECT_NEAR(all.loss[column], loss / positions, 1e-12) << column;
  };
  auto exact = [](const Position& position) {
    return std::pair(position.choice(), std::log(position.p[position.truth]));
  };
  expect_column(Columns::best, Context::line, exact);
  expect_column(Columns::two_neighbors, Context::two_neighbors, exact);
  expect_column(Columns::left, Context::left, exact);
  expect_column(Columns::unigram, Context::line, [](const Position& position) {
    return std::pair(language().word_count() - 1, some_unigram()[position.truth + first_word_id]);
  });
}

// Its first choice is [PAD], which is never right.
TEST(LanguageScores, AUniformModel) {
  double positions = 0, best = 0, divergence = 0;
  for_each_position([&](const Position& position) {
    positions++;
    best += position.p[position.choice()];
    for (double each : position.p)
      divergence += each > 0 ? each * std::log(each * static_cast<double>(ids())) : 0;
  });
  LanguageScore all = scores_of(uniform_model).all();
  EXPECT_NEAR(all.loss[Columns::model], std::log(static_cast<double>(ids())), 1e-12);
  EXPECT_NEAR(all.loss_lost, divergence / positions, 1e-12);
  EXPECT_EQ(all.accuracy[Columns::model], 0);
  EXPECT_NEAR(all.accuracy_lost, best / positions, 1e-12);
}

TEST(LanguageScores, AModelThatAlwaysSaysTheSameWordLosesWhatThatWordFallsShort) {
  constexpr int32_t word = 7;
  double positions = 0, right = 0, lost = 0;
  for_each_position([&](const Position& position) {
    positions++;
    right += position.truth == word;
    lost += position.p[position.choice()] - position.p[word];
  });
  LanguageScore all = scores_of([](const MaskedBatch& batch) {
                        Array log_p = uniform_model(batch);
                        double* out = log_p.mutable_data<double>();
                        for (int64_t m = 0; m < batch.labels.size(); m++)
                          out[m * ids() + first_word_id + word] = -1;
                        return log_p;
                      }).all();
  EXPECT_NEAR(all.accuracy[Columns::model], right / positions, 1e-12);
  EXPECT_NEAR(all.accuracy_lost, lost / positions, 1e-12);
}

TEST(LanguageScores, F32GivesTheSameToItsPrecision) {
  LanguageScore f64 = scores_of(mixed_model).all();
  LanguageScore f32 =
      scores_of([](const MaskedBatch& batch) { return mixed_model(batch).cast(DType::f32); }).all();
  EXPECT_GT(f64.loss_lost, 0.1);
  std::vector<double> a = numbers(f64), b = numbers(f32);
  for (size_t i = 0; i < a.size(); i++) EXPECT_NEAR(a[i], b[i], 1e-6 * std::abs(a[i])) << i;
}

TEST(LanguageScores, AreTheSameOnAnyNumberOfThreadsAndInAnyBatches) {
  int threads = thread_count();
  set_thread_count(1);
  std::vector<double> one = all_numbers(scores_of(mixed_model));
  set_thread_count(2);
  EXPECT_EQ(all_numbers(scores_of(mixed_model)), one);
  EXPECT_EQ(all_numbers(scores_of(mixed_model, 170)), one);
  EXPECT_EQ(all_numbers(scores_of(mixed_model, 10'000)), one);
  set_thread_count(threads);
}

// Two of them judge every other batch, and both add all judgments.
TEST(LanguageScores, AreTheSameWhoeverJudges) {
  LanguageScores scores[] = {LanguageScores(some_unigram()), LanguageScores(some_unigram())};
  MlmBatches batches = batches_of(170);
  BatchPlan plan = batches.ordered_pass();
  ASSERT_GT(plan.size(), 2);
  for (int64_t b = 0; b < plan.size(); b += 2) {
    std::vector<MaskedBatch> two;
    std::vector<std::vector<LanguageScores::Judgment>> judgments;
    for (int64_t i = 0; i < std::min<int64_t>(2, plan.size() - b); i++) {
      two.push_back(batches.batch(plan[b + i], 0));
      judgments.push_back(scores[i].judge(two[i], mixed_model(two[i])));
    }
    for (LanguageScores& each : scores)
      for (size_t i = 0; i < two.size(); i++) each.add(two[i], judgments[i]);
  }
  for (const LanguageScores& each : scores) EXPECT_EQ(all_numbers(each), all_numbers(scores_of(mixed_model)));
}

TEST(LanguageScores, EachPositionCountsForThePhenomenonOfItsState) {
  std::array<double, phenomena> positions{}, right{}, loss{};
  for_each_position(
      [&](const Position& position) {
        int32_t mark = language().states[drawn()[position.line].states[position.place]].mark;
        positions[mark]++;
        right[mark] += position.choice() == position.truth;
        loss[mark] -= std::log(position.p[position.truth]);
      },
      3);
  LanguageScores found = scores_of(uniform_model, 500, 3);
  for (int mark = 0; mark < phenomena; mark++) {
    LanguageScore score = found.of(static_cast<Phenomenon>(mark));
    EXPECT_GT(score.positions, 0) << mark;
    EXPECT_EQ(static_cast<double>(score.positions), positions[mark]) << mark;
    EXPECT_NEAR(score.accuracy[Columns::best] * positions[mark], right[mark], 1e-9) << mark;
    EXPECT_NEAR(score.loss[Columns::best] * positions[mark], loss[mark], 1e-9) << mark;
  }
  LanguageScore all = found.all();
  EXPECT_EQ(static_cast<double>(all.positions), std::accumulate(positions.begin(), positions.end(), 0.0));
  EXPECT_NEAR(all.loss[Columns::best] * static_cast<double>(all.positions),
              std::accumulate(loss.begin(), loss.end(), 0.0), 1e-9);
}

// A ratio of sums over lines that are independent; what one line has in several passes belongs together.
TEST(LanguageScores, StandardErrorsTakeLinesAsIndependent) {
  struct Line {
    double positions = 0, right = 0, loss = 0;  // differences best − uniform model
  };
  std::map<int64_t, Line> of_line;
  for_each_position(
      [&](const Position& position) {
        Line& line = of_line[position.line];
        line.positions++;
        line.right += position.choice() == position.truth;
        line.loss += -std::log(position.p[position.truth]) - std::log(static_cast<double>(ids()));
      },
      2);
  auto error = [&](double Line::*sum) {
    double positions = 0, total = 0, squares = 0;
    for (const auto& [number, line] : of_line) {
      positions += line.positions;
      total += line.*sum;
    }
    for (const auto& [number, line] : of_line)
      squares += std::pow(line.*sum - total / positions * line.positions, 2);
    return std::sqrt(squares) / positions;
  };
  LanguageScore all = scores_of(uniform_model, 500, 2).all();
  EXPECT_GT(all.accuracy_error, 0);
  EXPECT_NEAR(all.accuracy_error, error(&Line::right), 1e-12);
  EXPECT_NEAR(all.loss_error, error(&Line::loss), 1e-12);
}

TEST(LanguageScores, NothingAddedIsNothingScored) {
  LanguageScores scores(some_unigram());
  for (double number : all_numbers(scores)) EXPECT_EQ(number, 0);
}

TEST(LanguageScores, ErrorsNameWhatIsWrong) {
  std::string wanted = std::to_string(ids()), one_less = std::to_string(ids() - 1);
  EXPECT_EQ(message_of([&] { LanguageScores(std::vector<double>(ids() - 1)); }),
            "[language] the vocabulary must have " + wanted + " ids, got " + one_less);

  MlmBatches batches = batches_of(500);
  MaskedBatch batch = batches.batch(batches.ordered_pass()[0], 0);
  int64_t scored = batch.labels.size();
  LanguageScores scores(some_unigram());
  std::string rows = std::to_string(scored), rule = "[language] the log-probabilities must be [";
  EXPECT_EQ(message_of([&] {
              scores.add(batch, Array::zeros({scored, ids() - 1}, DType::f32));
            }),
            rule + rows + ", " + wanted + "], got [" + rows + ", " + one_less + "]");
  EXPECT_EQ(message_of([&] {
              scores.add(batch, Array::zeros({scored + 1, ids()}, DType::f32));
            }),
            rule + rows + ", " + wanted + "], got [" + std::to_string(scored + 1) + ", " + wanted + "]");
  EXPECT_EQ(message_of([&] {
              scores.add(batch, Array::zeros({scored, ids()}, DType::i32));
            }),
            "[language] computes in f32 or f64, got i32");

  EXPECT_EQ(scores.all().positions, 0);
  auto message_for = [&](int32_t id) {  // in place of all words
    MaskedBatch other = batch;
    other.tokens.ids = Array::full({batch.tokens.tokens()}, id, DType::i32);
    other.labels = Array::full({scored}, id, DType::i32);
    return message_of([&] { scores.add(other, uniform_model(batch)); });
  };
  std::string message = message_for(first_word_id);  // about whichever line was tried first
  EXPECT_EQ(message.find("[language] sequence "), 0u) << message;
  EXPECT_NE(message.find(" of the batch must be of the language's lines"), std::string::npos) << message;
  EXPECT_NE(message_for(vocabulary().unk_id()).find("a word must be below"), std::string::npos);

  std::vector<LanguageScores::Judgment> judgments = scores.judge(batch, uniform_model(batch));
  judgments.back().mark = phenomena;
  EXPECT_EQ(message_of([&] { scores.add(batch, judgments); }),
            fmt::format("[language] judgment {} of {} tokens and 0 labels has the mark {}", scored - 1,
                        scored, static_cast<int>(phenomena)));
  judgments.pop_back();
  EXPECT_EQ(message_of([&] { scores.add(batch, judgments); }),
            fmt::format("[language] there must be a judgment of each of {} tokens and 0 labels, got {}",
                        scored, scored - 1));
  EXPECT_EQ(scores.all().positions, 0);
}

}  // namespace
}  // namespace bertie
