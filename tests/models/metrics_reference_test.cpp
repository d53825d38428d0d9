// Metrics and what is made of predictions beside the referees: 1,000 random cases each, whose expected
// numbers tests/models/reference/make_metrics_reference.py writes down. It makes the same cases.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>

#include "bertie/data/tokenizer/utf8.h"
#include "bertie/models/answer_decoding.h"
#include "bertie/models/answer_metrics.h"
#include "bertie/models/classification_metrics.h"
#include "bertie/models/correlation.h"
#include "bertie/models/entity_decoding.h"
#include "bertie/models/entity_metrics.h"
#include "tests/models/reference_cases.h"

namespace bertie {
namespace {

// What is found of a case, value by value, against its line.
class ExpectedLine {
 public:
  explicit ExpectedLine(std::string_view line) : words_(std::string(line)) {}

  void compare(double found, double tolerance = 1e-12) {
    double expected = std::stod(next());
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(found)) << found << " instead of NaN";
    } else {
      EXPECT_LE(std::abs(found - expected), tolerance * std::max(1.0, std::abs(expected)))
          << found << " instead of " << expected;
    }
  }
  void compare(const F1Score& found) {
    for (double value : {found.precision, found.recall, found.f1}) compare(value);
  }
  void compare(int64_t found) { EXPECT_EQ(std::to_string(found), next()); }
  void compare(const std::string& found) { EXPECT_EQ(found, next()); }
  void end() {
    std::string more;
    EXPECT_FALSE(words_ >> more) << more;
  }
  bool is(const std::string& text) const { return words_.str() == text; }

 private:
  std::string next() {
    std::string word;
    if (!(words_ >> word)) ADD_FAILURE() << "the line has no more";
    return word.empty() ? "nan" : word;
  }
  std::istringstream words_;
};

void compare_cases(const std::string& name,
                   const std::function<void(int64_t, CaseNumbers&, ExpectedLine&)>& compare) {
  std::vector<std::string> lines = reference_lines("metrics/" + name);
  ASSERT_EQ(lines.size(), 1000u);
  for (int64_t i = 0; i < 1000 && !testing::Test::HasFailure(); i++) {
    SCOPED_TRACE(fmt::format("{}, case {}: {}", name, i, lines[i]));
    CaseNumbers numbers(i);
    ExpectedLine expected(lines[i]);
    compare(i, numbers, expected);
    expected.end();
  }
}

TEST(MetricsReference, LabelsAreScoredAsByScikitLearn) {
  compare_cases("classification.txt.gz", [](int64_t, CaseNumbers& n, ExpectedLine& expected) {
    int64_t classes = 1 + n.below(5), examples = 1 + n.below(40);
    bool truths_alike = n.below(6) == 0, predictions_alike = n.below(6) == 0;
    int64_t copied = n.below(5), only_truth = n.below(classes), only_prediction = n.below(classes);
    ConfusionMatrix matrix(classes + 1);  // one that doesn't occur
    for (int64_t i = 0; i < examples; i++) {
      int64_t truth = truths_alike ? only_truth : n.below(classes);
      int64_t predicted = predictions_alike     ? only_prediction
                          : n.below(4) < copied ? truth
                                                : n.below(classes);
      matrix.add(truth, predicted);
    }
    std::vector<LabelCounts> labels = matrix.labels();
    expected.compare(accuracy(matrix));
    expected.compare(matthews_correlation(matrix));
    expected.compare(f1_score(labels[1]));
    expected.compare(micro_average(labels));
    expected.compare(macro_average(matrix));
    for (int64_t truth = 0; truth < classes; truth++)
      for (int64_t predicted = 0; predicted < classes; predicted++)
        expected.compare(matrix.count(truth, predicted));
  });
}

TEST(MetricsReference, SeveralLabelsAreScoredAsByScikitLearn) {
  compare_cases("multi_label.txt.gz", [](int64_t, CaseNumbers& n, ExpectedLine& expected) {
    int64_t labels = 2 + n.below(4), examples = 1 + n.below(30);
    int64_t true_of_4 = n.below(4), predicted_of_4 = n.below(4), copied = n.below(5);
    MultiLabelCounts counts(labels);
    for (int64_t i = 0; i < examples; i++) {
      std::vector<bool> truth, predicted;
      for (int64_t label = 0; label < labels; label++) truth.push_back(n.below(4) < true_of_4);
      for (bool label : truth) predicted.push_back(n.below(4) < copied ? label : n.below(4) < predicted_of_4);
      counts.add(truth, predicted);
    }
    expected.compare(counts.subset_accuracy());
    expected.compare(micro_average(counts.labels()));
    expected.compare(macro_average(counts.labels()));
  });
}

TEST(MetricsReference, NumbersCorrelateAsByScipy) {
  compare_cases("correlation.txt.gz", [](int64_t, CaseNumbers& n, ExpectedLine& expected) {
    int64_t pairs = 2 + n.below(30), kind = n.below(9);
    auto number = [&n] { return static_cast<double>(n.below(1 << 20) - (1 << 19)) / (1 << 10); };
    std::vector<double> xs, ys;
    for (int64_t i = 0; i < pairs; i++) {
      double& x = xs.emplace_back(number());
      double& y = ys.emplace_back(number());
      if (kind == 0) x = 0.1;
      if (kind == 1) y = -0.1;
      if (kind == 2) {
        x = static_cast<double>(n.below(4));
        y = static_cast<double>(n.below(3));
      }
      if (kind == 3) {
        x = std::ldexp(x, 900);
        y = std::ldexp(y, -900);
      }
      if (kind == 4) x = 1e6 + x / (1 << 20);
      if (kind == 5 && n.below(20) == 0) x = std::numeric_limits<double>::quiet_NaN();
      if (kind == 6 && n.below(20) == 0) y = std::numeric_limits<double>::infinity();
      if (kind == 7) y = 3 - 2 * x;
    }
    expected.compare(pearson_correlation(xs, ys));
    expected.compare(spearman_correlation(xs, ys));
  });
}

std::string random_tag(CaseNumbers& n, int64_t kind) {
  static const std::vector<std::string> types{"PER", "LOC", "A-B"},
      letters{"BIO", "IIIIOOB", "BIOES", "BIOES"};
  std::string letter(1, letters[kind][n.below(static_cast<int64_t>(letters[kind].size()))]);
  const std::string& type = types[n.below(3)];
  if (kind == 3) return std::vector{letter, letter + "-", letter + type, letter + "-" + type}[n.below(4)];
  return letter == "O" ? letter : letter + "-" + type;
}

TEST(MetricsReference, EntitiesAreScoredAsBySeqeval) {
  compare_cases("entities.txt.gz", [](int64_t, CaseNumbers& n, ExpectedLine& expected) {
    int64_t sequences = 1 + n.below(4), kind = n.below(4), copied = n.below(5);
    bool no_truths = n.below(10) == 0, no_predictions = n.below(10) == 0;
    EntityCounts counts;
    std::vector<Entity> of_the_first;
    for (int64_t s = 0; s < sequences; s++) {
      std::vector<std::string> truth, predicted;
      for (int64_t length = n.below(9); length > 0; length--) {
        truth.push_back(no_truths ? "O" : random_tag(n, kind));
        predicted.push_back(no_predictions ? "O" : n.below(4) < copied ? truth.back() : random_tag(n, kind));
      }
      counts.add(truth, predicted);
      if (s == 0) of_the_first = find_entities(truth);
    }
    expected.compare(counts.score());
    for (const auto& [type, of_type] : counts.types()) {
      expected.compare(type);
      expected.compare(f1_score(of_type));
      expected.compare(of_type.truths);
    }
    expected.compare("first:");
    for (const Entity& entity : of_the_first) {
      expected.compare(entity.type);
      expected.compare(entity.begin);
      expected.compare(entity.end);
    }
  });
}

TEST(MetricsReference, WordsAreMergedAsByTransformers) {
  compare_cases("merged_words.txt.gz", [](int64_t, CaseNumbers& n, ExpectedLine& expected) {
    static const std::vector<std::vector<std::string>> all_tags{{"O", "B-PER", "I-PER", "B-LOC", "I-LOC"},
                                                                {"O", "NOUN", "VERB"}};
    const std::vector<std::string>& tags = all_tags[n.below(2)];
    std::vector<TaggedWord> words;
    int64_t begin = 0;
    for (int64_t left = n.below(12); left > 0; left--) {
      begin += n.below(3);
      words.push_back({.place = {begin, begin}, .tag = ""});
      int64_t pieces = 1 + n.below(3);
      for (int64_t piece = 0; piece < pieces; piece++) {
        begin += 1 + n.below(4);
        words.back().place.end = begin;
        for (size_t tag = 0; tag < tags.size(); tag++) {
          double probability = static_cast<double>(n.below(64) * 8 + static_cast<int64_t>(tag)) / 512;
          if (piece > 0 || (tag > 0 && probability < words.back().probability)) continue;
          words.back().tag = tags[tag];
          words.back().probability = probability;
        }
      }
    }
    for (const TextEntity& entity : merge_words(words)) {
      expected.compare(entity.type);
      expected.compare(entity.place.begin);
      expected.compare(entity.place.end);
      expected.compare(entity.probability);
    }
  });
}

class RandomAnswers {
 public:
  RandomAnswers() {
    nlohmann::json json =
        nlohmann::json::parse(std::ifstream(BERTIE_SOURCE_DIR "/tests/models/reference/metrics/words.json"));
    words_ = json["words"];
    separators_ = json["separators"];
  }

  std::vector<AnsweredQuestion> questions(CaseNumbers& n, int64_t number, int64_t fewest_truths) const {
    std::vector<AnsweredQuestion> questions(number);
    for (auto& [predicted, truths, null_score] : questions) {
      for (int64_t left = fewest_truths + n.below(4); left > 0; left--) truths.push_back(answer(n));
      int64_t kind = truths.empty() ? 3 : n.below(4);
      predicted = kind == 3 ? answer(n) : truths[n.below(static_cast<int64_t>(truths.size()))];
      if (kind == 2) predicted += " " + any(words_, n);
    }
    return questions;
  }

 private:
  static const std::string& any(const std::vector<std::string>& texts, CaseNumbers& n) {
    return texts[n.below(static_cast<int64_t>(texts.size()))];
  }
  std::string answer(CaseNumbers& n) const {
    std::string answer;
    int64_t length = n.below(6);
    for (int64_t i = 0; i < length; i++) {
      if (i > 0) answer += any(separators_, n);
      answer += any(words_, n);
    }
    return answer;
  }
  std::vector<std::string> words_, separators_;
};

TEST(MetricsReference, AnswersAreScoredAsByTheScriptOfSquad1) {
  compare_cases("squad1.txt.gz",
                [answers = RandomAnswers()](int64_t, CaseNumbers& n, ExpectedLine& expected) {
                  int64_t number = 1 + n.below(4);
                  AnswerScores scores = squad1_scores(answers.questions(n, number, 1));
                  EXPECT_EQ(scores.questions, number);
                  expected.compare(scores.exact_match);
                  expected.compare(scores.f1);
                });
}

TEST(MetricsReference, AnswersAreScoredAsByTheScriptOfSquad2) {
  compare_cases(
      "squad2.txt.gz", [answers = RandomAnswers()](int64_t, CaseNumbers& n, ExpectedLine& expected) {
        int64_t number = 1 + n.below(8);
        std::vector<AnsweredQuestion> questions = answers.questions(n, number, 0);
        bool ties = n.below(2) == 0;
        double threshold = static_cast<double>(n.below(6)) / 4;
        for (AnsweredQuestion& question : questions)
          question.null_score =
              ties ? static_cast<double>(n.below(6)) / 4 : static_cast<double>(n.below(1 << 20)) / (1 << 20);
        Squad2Scores scores = squad2_scores(questions, threshold);
        for (const AnswerScores& part : {scores.all, scores.with_answer, scores.without_answer}) {
          expected.compare(part.questions);
          expected.compare(part.exact_match);
          expected.compare(part.f1);
        }
        expected.compare(scores.best_exact_match);
        expected.compare(scores.best_exact_match_threshold);
        expected.compare(scores.best_f1);
        expected.compare(scores.best_f1_threshold);
      });
}

// Before, between and behind articles, and beside a sigma.
TEST(MetricsReference, EveryCodePointIsNormalizedAsByTheScriptsOfSquad) {
  std::vector<std::string> lines = reference_lines("metrics/normalized.txt.gz");
  constexpr char32_t block = 1024;
  ASSERT_EQ(lines.size(), 1 + 0x110000 / block);
  std::istringstream edges(lines[0]);  // where what the script's Unicode knows begins and ends, in turn
  uint32_t edge = 0;
  edges >> edge;
  bool known = false;
  for (char32_t first = 0; first < 0x110000; first += block) {
    std::string texts;
    for (char32_t code_point = first; code_point < first + block; code_point++) {
      if (code_point == edge) {
        known = !known;
        edges >> edge;
      }
      if (!known) continue;
      std::string c;
      append_utf8(code_point, c);
      std::string text = c + "a the" + c + "an" + c + " " + c + "Σ" + c + " bΣ" + c + "b " + c + "B";
      texts += normalize_answer(text) + "\n";
    }
    EXPECT_EQ(checksum(texts), lines[1 + first / block])
        << fmt::format("U+{:04X} …", static_cast<uint32_t>(first));
  }
}

float logit(CaseNumbers& n, size_t token) {
  return (static_cast<float>(n.below(1 << 17) * 64 + static_cast<int64_t>(token)) / (1 << 18) - 16) * 0.7F;
}

TEST(MetricsReference, AnswersAreChosenAsByTransformers) {
  const std::vector<AnswerOptions> all_options{
      {20, 30, false, 0}, {20, 30, true, 0}, {4, 3, true, 1.5}, {3, 5, false, 0}};
  compare_cases("answers.txt.gz", [&](int64_t number, CaseNumbers& n, ExpectedLine& expected) {
    const AnswerOptions& options = all_options[number % 4];
    int64_t windows = 1 + n.below(3), question = 1 + n.below(4), tokens = n.below(25),
            stride = 1 + n.below(8);
    std::vector<TextSpan> spans;
    int64_t begin = 0;
    for (int64_t i = 0; i < (windows - 1) * stride + tokens; i++) {
      begin += n.below(2);
      spans.push_back({begin, begin + 1 + n.below(3)});
      begin = spans.back().end;
    }
    std::vector<std::vector<float>> logits;
    for (int64_t i = 0; i < 2 * windows; i++)
      for (logits.emplace_back(); logits.back().size() < static_cast<size_t>(question + tokens + 1);)
        logits.back().push_back(logit(n, logits.back().size()));
    std::vector<AnswerWindow> all;
    for (int64_t w = 0; w < windows; w++)
      all.push_back({.start_logits = logits[2 * w],
                     .end_logits = logits[2 * w + 1],
                     .context_begin = question,
                     .spans = std::span(spans).subspan(w * stride, tokens)});
    FoundAnswers answers = best_answers(all, options);
    if (expected.is("none")) {
      EXPECT_TRUE(answers.chosen.is_null());
      EXPECT_EQ(answers.kept.size(), options.null_answers ? 1u : 0u);
      EXPECT_EQ(answers.null_difference, options.null_answers ? std::numeric_limits<float>::infinity() : 0);
      expected.compare("none");
      return;
    }
    const AnswerSpan& chosen = answers.chosen;
    expected.compare(chosen.place.begin);
    expected.compare(chosen.place.end);
    expected.compare(static_cast<int64_t>(answers.kept.size()));
    expected.compare(answers.null_difference);
    expected.compare(chosen.start_logit);
    expected.compare(chosen.end_logit);
    // transformers' softmax is in f32: a rounding for each of its terms and for their sum of 21 or fewer.
    for (double probability :
         {chosen.probability, answers.kept.front().probability, answers.kept.back().probability})
      expected.compare(probability, 32 * 0x1p-24);
  });
}

}  // namespace
}  // namespace bertie
