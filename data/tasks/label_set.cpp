#include "bertie/data/tasks/label_set.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>
#include <utility>

#include "bertie/autograd/error.h"

namespace bertie {
namespace {

std::optional<double> number_of(const std::string& name) {
  double number = 0;
  const char* end = name.data() + name.size();
  auto [stop, error] = std::from_chars(name.data(), end, number);
  if (error != std::errc() || stop != end || !std::isfinite(number)) return {};
  return number;
}

// Sorted already by their bytes.
std::vector<std::string> in_order(const std::set<std::string>& names) {
  std::vector<std::pair<double, std::string>> numbers;
  for (const std::string& name : names)
    if (std::optional<double> number = number_of(name)) numbers.emplace_back(*number, name);
  if (numbers.size() < names.size()) return {names.begin(), names.end()};
  std::sort(numbers.begin(), numbers.end());
  std::vector<std::string> result;
  for (auto& [number, name] : numbers) result.push_back(std::move(name));
  return result;
}

// `differ`: not all examples have the same ones.
LabelSet labels_of(const std::set<std::string>& names, bool differ) {
  BERTIE_CHECK(!names.empty(), "labels", "the training data must have labels, there is none");
  BERTIE_CHECK(differ, "labels", "the training data must have different labels, all are '{}'",
               *names.begin());
  return LabelSet(in_order(names));
}

}  // namespace

LabelSet::LabelSet(std::vector<std::string> names) : names_(std::move(names)) {
  for (const std::string& name : names_) {
    BERTIE_CHECK(!name.empty(), "labels", "a label must have a name, number {} has none", ids_.size());
    bool is_new = ids_.emplace(name, static_cast<int32_t>(ids_.size())).second;
    BERTIE_CHECK(is_new, "labels", "each label must be there once, '{}' is there twice", name);
  }
}

LabelSet LabelSet::of(std::span<const TextExample> examples) {
  std::set<std::string> names;
  bool differ = false;
  for (const TextExample& example : examples) {
    names.insert(example.labels.begin(), example.labels.end());
    differ |= example.labels != examples[0].labels;
  }
  return labels_of(names, differ);
}

LabelSet LabelSet::of(std::span<const TaggedSentence> sentences) {
  std::set<std::string> names;
  for (const TaggedSentence& sentence : sentences) names.insert(sentence.tags.begin(), sentence.tags.end());
  return labels_of(names, names.size() > 1);
}

const std::string& LabelSet::name(int32_t id) const {
  BERTIE_CHECK(id >= 0 && id < size(), "labels", "there are {} labels, asked for number {}", size(), id);
  return names_[id];
}

int32_t LabelSet::id(std::string_view label, const FilePlace& place) const {
  auto found = ids_.find(label);
  if (found != ids_.end()) return found->second;
  Listing known("\n  ");
  for (const std::string& name : names_) known.add(shown(name));
  fail("labels", "{}: the label '{}' is none of those of the training data:{}", place.str(), label, known);
}

void LabelSet::check_has(const LabelSet& of_data, std::string_view directory) const {
  Listing missing("\n  "), known("\n  ");
  for (const std::string& name : of_data.names())
    if (!ids_.contains(name)) missing.add(shown(name));
  for (const std::string& name : names_) known.add(shown(name));
  BERTIE_CHECK(missing.empty(), "labels", "{} must have all labels of the data, it lacks{}\nand has{}",
               directory, missing, known);
}

}  // namespace bertie
