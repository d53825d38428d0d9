#include "apps/int8_comparison.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/console/program.h"
#include "apps/console/progress.h"
#include "bertie/autograd/error.h"

namespace bertie {
namespace {

using Keep = std::vector<std::string>;

// How far logits are from those in f32.
struct Difference {
  double relative = 0;  // root of Σ (z − f32)² / Σ f32²
  int64_t changed = 0, predictions = 0;

  std::string str() const {
    return fmt::format("{:>12.5f}{:>16}", relative,
                       predictions > 0 ? fmt::format("{} of {}", changed, predictions) : "-");
  }
  Record record() const {
    return {{"logits_difference", relative}, {"changed", changed}, {"predictions", predictions}};
  }
};

// Texts with their logits in f32.
class Reference {
 public:
  Reference(const Int8Comparison& comparison, const TaskSequences& texts)
      : comparison_(comparison),
        texts_(texts),
        logits_(comparison.logits(texts, {})),
        predictions_(comparison.predictions(texts, logits_)) {}

  Difference with(const Keep& keep) const {
    Array logits = comparison_.logits(texts_, keep);
    const float *z = logits.data<float>(), *exact = logits_.data<float>();
    double squares = 0, differences = 0;
    for (int64_t i = 0; i < logits.size(); ++i) {
      squares += static_cast<double>(exact[i]) * exact[i];
      differences += std::pow(static_cast<double>(z[i]) - exact[i], 2);
    }
    BERTIE_CHECK(std::isfinite(squares) && std::isfinite(differences), "model",
                 "its results aren't finite: are its weights broken?");
    Difference result{std::sqrt(differences / std::max(squares, 1e-300)), 0, std::ssize(predictions_)};
    std::vector<int64_t> predictions = comparison_.predictions(texts_, logits);
    for (size_t i = 0; i < predictions.size(); ++i) result.changed += predictions[i] != predictions_[i];
    return result;
  }

 private:
  const Int8Comparison& comparison_;
  const TaskSequences& texts_;
  Array logits_;
  std::vector<int64_t> predictions_;
};

// Sequences from all over the texts, of about so many tokens at most.
TaskSequences some_of(const TaskSequences& texts, int64_t tokens) {
  int64_t step = (texts.tokens() + tokens - 1) / tokens;
  TaskSequences some;
  for (int64_t i = 0; i < texts.size(); i += step)
    some.add(texts[i], texts.second_begins[i], texts.examples[i]);
  return some;
}

}  // namespace

void compare_int8(const Int8Comparison& comparison, bool json) {
  constexpr int64_t tokens_tried = 4096;
  constexpr size_t most_kept = 4;
  constexpr double least_gain = 0.1;
  const TaskSequences& texts = comparison.texts;
  BERTIE_CHECK(texts.size() > 0, "compare", "there are no texts");
  Reference all(comparison, texts);
  Difference difference = all.with({});
  Record record{{"sequences", texts.size()}, {"int8", difference.record()}, {"kept", Record::array()}};
  auto show = [&](const std::string& kept, const Difference& d) {
    if (!json) result("{:<24}{}", kept, d.str());
  };
  if (!json) {
    result("{} sequences; what int8 changes against f32:", texts.size());
    result("{:<24}{:>12}{:>16}", "kept in f32", "logits off", comparison.predicted);
  }
  show("nothing", difference);

  TaskSequences tried = some_of(texts, tokens_tried);
  Reference some(comparison, tried);
  double before = some.with({}).relative;
  Keep keep;
  while (keep.size() < most_kept && before > 0) {
    Progress progress("Trying layers", std::ssize(comparison.parts));
    double least = before;
    std::string best;
    for (int64_t done = 0; const std::string& part : comparison.parts) {
      progress.update(done++);
      if (std::find(keep.begin(), keep.end(), part) != keep.end()) continue;
      Keep with = keep;
      with.push_back(part);
      double now = some.with(with).relative;
      if (now >= least) continue;
      least = now;
      best = part;
    }
    if (least > (1 - least_gain) * before) break;
    before = least;
    keep.push_back(best);
    difference = all.with(keep);
    show((keep.size() > 1 ? "and " : "") + best, difference);
    Record kept = difference.record();
    kept["layer"] = best;
    record["kept"].push_back(kept);
  }
  if (json) return print_result(record.dump());
  if (keep.empty())
    result("No layer by itself takes a tenth of that away.");
  else
    result("To leave {}: --keep-f32 {}", keep.size() == 1 ? "it" : "them", fmt::join(keep, ","));
}

}  // namespace bertie
