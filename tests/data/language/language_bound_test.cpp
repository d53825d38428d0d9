// The best possible score, on the way that training takes: text, tokenizer, masking, batches.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "bertie/autograd/threads.h"
#include "bertie/data/batches/mlm_batches.h"
#include "bertie/data/language/word_posterior.h"
#include "tests/data/language/language_text.h"
#include "tests/data/language/small_languages.h"

namespace bertie {
namespace {

using Context = WordPosterior::Context;
using Words = std::vector<int32_t>;

#ifdef BERTIE_SANITIZE
constexpr int64_t scored_positions = 800;
#else
constexpr int64_t scored_positions = 6000;
#endif

struct Prediction {
  double expected_right, right;  // max p, and whether the true word has it
  double expected_loss, loss;    // entropy of p, and −log p(true word)
  double expected_kept, kept;    // p(the word shown), and whether it is the true one; 0 where none is shown
};
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
    std::vector<std::string_view> held_out = held_out_language_lines();
    const Vocabulary& vocabulary = language_tokenizer().vocabulary();
    MlmBatches batches(tokenize_lines(language_tokenizer(), held_out, language().longest() + 2), vocabulary,
                       Masking(ordinary_tokens(vocabulary), vocabulary.mask_id(), 1), 2048, 1);
    // The lines of one document aren't independent: what they are about is drawn once.
    auto document_of = [&](int64_t line) {
      const auto& lines = language_lines().lines;
      auto place = std::find_if(lines.begin(), lines.end(),
                                [&](auto other) { return other.data() == held_out[line].data(); }) -
                   lines.begin();
      const auto& offsets = language_lines().document_offsets;
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

TEST(LanguageBound, NeitherNeighborsNorTheLeftAreEnough) {
  double best = expected_accuracy(0);
  EXPECT_GE(best - expected_accuracy(1), 0.10);
  EXPECT_GE(best - expected_accuracy(2), 0.10);
}
#endif

// If the posterior is what it says, then what it expects of itself is what comes.
TEST(LanguageBound, ThePosteriorIsCalibratedOnTheTextAsTrainingSeesIt) {
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

}  // namespace
}  // namespace bertie
