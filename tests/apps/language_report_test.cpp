#include "apps/language_report.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace bertie {
namespace {

constexpr int64_t documents = 4, lines_per_document = 3;

const Vocabulary& vocabulary() {
  static const Vocabulary vocabulary = language_vocabulary();
  return vocabulary;
}

// Lines of the language in documents, scored as whole lines or as pairs, of a model that knows nothing.
LanguageScores scores_of(bool as_pairs) {
  TokenVectors tokens;
  Random random(61);
  for (int64_t d = 0; d < documents; d++) {
    int64_t topic = language().draw_topic(random);
    for (int64_t i = 0; i < lines_per_document; i++) {
      for (int32_t word : language().draw(topic, random).words) tokens.ids.push_back(word + first_word_id);
      tokens.end_sequence();
    }
    tokens.end_document();
  }
  TokenizedLines lines(std::move(tokens));
  Masking masking(ordinary_tokens(vocabulary()), vocabulary().mask_id(), 62);
  PairOptions options;
  options.max_length = 2 * language().longest() + 3;
  options.single_lines = true;
  PairBatches pairs(lines, vocabulary(), masking, options, 10'000, 63);
  pairs.begin_pass(0);
  MlmBatches whole_lines(lines, vocabulary(), masking, 10'000, 63);
  MaskedBatch batch = as_pairs ? pairs.batch(0) : whole_lines.batch(whole_lines.ordered_pass()[0], 0);

  double log_p = -std::log(static_cast<double>(vocabulary().size()));
  LanguageScores scores(std::vector<double>(vocabulary().size(), log_p));
  auto sequences = static_cast<int64_t>(batch.tokens.sequences.size());
  scores.add(batch, Array::full({batch.labels.size(), vocabulary().size()}, log_p, DType::f64),
             as_pairs ? Array::full({sequences, 2}, -std::log(2.0), DType::f64) : Array());
  return scores;
}

std::vector<std::string> rows_of(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < text.size(); begin = text.find('\n', begin) + 1)
    lines.push_back(text.substr(begin, text.find('\n', begin) - begin));
  return lines;
}

TEST(LanguageReport, ATableOfLinesHasNoNextSentencePrediction) {
  LanguageScores scores = scores_of(false);
  std::vector<std::string> lines = rows_of(language_table(scores));
  ASSERT_EQ(lines.size(), 2u + phenomena + 3u);  // `none` gives its row to `all`
  for (const std::string& line : lines) {
    EXPECT_LE(line.size(), 80u) << line;
    EXPECT_EQ(line.find("NSP"), std::string::npos) << line;
  }
  EXPECT_FALSE(to_json(scores).contains("next_sentence"));
}

TEST(LanguageReport, ATableOfPairsEndsWithNextSentencePrediction) {
  LanguageScores scores = scores_of(true);
  LanguageScore label = scores.next_sentence();
  std::vector<std::string> lines = rows_of(language_table(scores));
  ASSERT_EQ(lines.size(), 2u + phenomena + 1u + 3u + 1u);
  for (const std::string& line : lines) EXPECT_LE(line.size(), 80u) << line;
  using enum LanguageScore::Column;
  // In the columns of the rows above, of which `2+2` and `left` have nothing to say.
  EXPECT_EQ(
      lines[2 + phenomena],
      fmt::format("NSP (pairs) {:6} {:5.1f} {:5.1f}             {:5.1f}  {:6.3f}{:6.3f}            {:6.3f}",
                  label.positions, 100 * label.accuracy[model], 100 * label.accuracy[best],
                  100 * label.accuracy_lost, label.loss[model], label.loss[best], label.loss_lost));
  EXPECT_EQ(lines[2 + phenomena].size(), lines[1].size());

  nlohmann::ordered_json json = to_json(scores);
  EXPECT_EQ(
      json["next_sentence"],
      (nlohmann::ordered_json{{"positions", label.positions},
                              {"model", {{"accuracy", label.accuracy[model]}, {"loss", label.loss[model]}}},
                              {"best", {{"accuracy", label.accuracy[best]}, {"loss", label.loss[best]}}},
                              {"accuracy_lost", label.accuracy_lost},
                              {"loss_lost", label.loss_lost},
                              {"accuracy_error", label.accuracy_error},
                              {"loss_error", label.loss_error}}));
  EXPECT_NEAR(label.loss[model], std::log(2), 1e-12);
}

}  // namespace
}  // namespace bertie
