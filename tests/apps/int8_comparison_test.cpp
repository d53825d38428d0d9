#include "apps/int8_comparison.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "apps/console/program.h"

namespace bertie {
namespace {

// A model whose logits are 1 and −1 for a text of an even first id and the opposite for others, and each of
// whose parts in int8 adds an error of its own, which are spread over the texts at right angles.
struct ErringModel {
  std::vector<std::string> parts = {"0.attention", "0.output", "1.attention", "1.output"};
  std::map<std::string, float> errors;
  std::vector<int64_t> texts_seen;

  Array logits(const TaskSequences& texts, const std::optional<std::vector<std::string>>& keep) {
    texts_seen.push_back(texts.size());
    Array logits = Array::empty({texts.size(), 2}, DType::f32);
    float* z = logits.mutable_data<float>();
    for (int64_t i = 0; i < texts.size(); ++i) {
      float value = texts[i][0] % 2 == 0 ? 1.0f : -1.0f;
      for (size_t part = 0; keep && part < parts.size(); ++part)
        if (std::find(keep->begin(), keep->end(), parts[part]) == keep->end())
          value += (i >> part & 1 ? 1.0f : -1.0f) * errors[parts[part]];
      z[2 * i] = value;
      z[2 * i + 1] = -value;
    }
    return logits;
  }

  Record compare(int64_t texts) {
    Int8Comparison comparison;
    for (int32_t i = 0; i < texts; ++i) {
      std::vector<int32_t> ids = {i / 16, 1, 2, 3};
      comparison.texts.add(ids, 4, i);
    }
    comparison.parts = parts;
    comparison.logits = [&](const TaskSequences& some, const auto& keep) { return logits(some, keep); };
    comparison.predictions = [](const TaskSequences& some, const Array& z) {
      std::vector<int64_t> labels;
      for (int64_t i = 0; i < some.size(); ++i) labels.push_back(z.item(2 * i) > z.item(2 * i + 1));
      return labels;
    };
    comparison.predicted = "labels";
    testing::internal::CaptureStdout();
    compare_int8(comparison, true);
    return Record::parse(testing::internal::GetCapturedStdout());
  }
};

std::vector<std::string> kept_of(const Record& record) {
  std::vector<std::string> names;
  for (const Record& kept : record["kept"]) names.push_back(kept["layer"]);
  return names;
}

TEST(Int8Comparison, ChoosesTheWorstPartsInTheirOrder) {
  ErringModel model;
  model.errors = {{"0.attention", 0.01f}, {"0.output", 0.9f}, {"1.attention", 0.001f}, {"1.output", 0.3f}};
  Record record = model.compare(64);
  EXPECT_EQ(record["sequences"], 64);
  // Errors at right angles: their squares add up.
  EXPECT_NEAR(record["int8"]["logits_difference"], std::sqrt(0.81 + 0.09 + 1e-4 + 1e-6), 1e-5);
  // Where −0.9 and −0.3 come together the sign turns: at a quarter of the texts.
  EXPECT_EQ(record["int8"]["changed"], 16);
  EXPECT_EQ(record["int8"]["predictions"], 64);
  EXPECT_EQ(kept_of(record),
            (std::vector<std::string>{"0.output", "1.output", "0.attention", "1.attention"}));
  EXPECT_NEAR(record["kept"][0]["logits_difference"], std::sqrt(0.09 + 1e-4 + 1e-6), 1e-5);
  EXPECT_EQ(record["kept"][0]["changed"], 0);
  EXPECT_NEAR(record["kept"][1]["logits_difference"], std::sqrt(1e-4 + 1e-6), 1e-6);
  EXPECT_NEAR(record["kept"][2]["logits_difference"], 1e-3, 1e-6);
  EXPECT_EQ(record["kept"][3]["logits_difference"], 0.0);
}

TEST(Int8Comparison, LeavesWhatTakesLessThanATenthAway) {
  ErringModel model;
  for (const std::string& part : model.parts) model.errors[part] = 0.1f;
  EXPECT_EQ(kept_of(model.compare(64)).size(), 4);  // √3/√4, √2/√3, √1/√2, 0
  ErringModel many;
  many.parts.clear();
  for (int i = 0; i < 6; ++i) many.parts.push_back(std::to_string(i));
  for (const std::string& part : many.parts) many.errors[part] = 0.1f;
  EXPECT_TRUE(kept_of(many.compare(64)).empty());  // √5/√6 is 0.91
}

TEST(Int8Comparison, TriesOnSomeOfManyTexts) {
  ErringModel model;
  model.errors = {{"0.attention", 0.5f}};
  int64_t texts = 16384 + 16;  // four tokens each
  Record record = model.compare(texts);
  EXPECT_EQ(kept_of(record), (std::vector<std::string>{"0.attention"}));
  EXPECT_EQ(record["kept"][0]["logits_difference"], 0.0);
  int64_t whole = std::count(model.texts_seen.begin(), model.texts_seen.end(), texts);
  EXPECT_EQ(whole, 3);  // in f32, in int8, and with the part that was chosen
  for (int64_t seen : model.texts_seen) EXPECT_TRUE(seen == texts || seen * 4 <= 4200) << seen;
}

TEST(Int8Comparison, SaysWhatItCantCompare) {
  ErringModel model;
  EXPECT_THROW(model.compare(0), Error);
  testing::internal::GetCapturedStdout();
  model.errors = {{"1.output", NAN}};
  EXPECT_THROW(model.compare(8), Error);
  testing::internal::GetCapturedStdout();
}

}  // namespace
}  // namespace bertie
