#include "bertie/models/entity_metrics.h"

#include <algorithm>
#include <string_view>

#include "bertie/autograd/error.h"
#include "bertie/data/tokenizer/utf8.h"

namespace bertie {
namespace {

struct Tag {
  char letter;
  std::string_view type;
  bool is_one_of(std::string_view letters) const { return letters.find(letter) != std::string_view::npos; }
};

Tag parse(std::string_view tag) {
  BERTIE_CHECK(!tag.empty(), "find_entities", "a tag must not be empty");
  std::string_view type = tag.substr(decode_utf8(tag).bytes);
  type.remove_prefix(std::min(type.size(), type.find('-') + 1));  // npos + 1 is 0
  return {tag[0], type.empty() ? "_" : type};
}

// Whether an entity ends before `tag`, and whether one begins with it.
bool ends(const Tag& before, const Tag& tag) {
  return before.is_one_of("ES") || (before.is_one_of("BI") && tag.is_one_of("BSO")) ||
         (!before.is_one_of("O.") && before.type != tag.type);
}
bool begins(const Tag& before, const Tag& tag) {
  return tag.is_one_of("BS") || (before.is_one_of("ESO") && tag.is_one_of("EI")) ||
         (!tag.is_one_of("O.") && before.type != tag.type);
}

}  // namespace

std::vector<Entity> find_entities(std::span<const std::string> tags) {
  std::vector<Entity> entities;
  Tag before{'O', ""};
  int64_t begin = 0, length = static_cast<int64_t>(tags.size());
  for (int64_t i = 0; i <= length; i++) {
    Tag tag = parse(i < length ? std::string_view(tags[i]) : "O");
    if (ends(before, tag)) entities.push_back({begin, i, std::string(before.type)});
    if (begins(before, tag)) begin = i;
    before = tag;
  }
  return entities;
}

void EntityCounts::add(std::span<const std::string> truth, std::span<const std::string> predicted) {
  BERTIE_CHECK(truth.size() == predicted.size(), "EntityCounts",
               "a sequence must have as many true tags as predicted ones, got {} and {}", truth.size(),
               predicted.size());
  std::vector<Entity> true_ones = find_entities(truth), predicted_ones = find_entities(predicted);
  for (const Entity& entity : true_ones) ++types_[entity.type].truths;
  std::sort(true_ones.begin(), true_ones.end());
  for (const Entity& entity : predicted_ones) {
    LabelCounts& counts = types_[entity.type];
    ++counts.predicted;
    counts.right += std::binary_search(true_ones.begin(), true_ones.end(), entity);
  }
}

F1Score EntityCounts::score() const {
  std::vector<LabelCounts> labels;
  for (const auto& [type, counts] : types_) labels.push_back(counts);
  return micro_average(labels);
}

}  // namespace bertie
