#include "bertie/models/entity_decoding.h"

#include <algorithm>

#include "bertie/autograd/error.h"
#include "bertie/models/entity_metrics.h"

namespace bertie {
namespace {

bool has_scheme(std::string_view tag) {
  constexpr std::string_view letters = "BIES";
  return tag == "O" || (tag.size() >= 2 && letters.find(tag[0]) != std::string_view::npos && tag[1] == '-');
}

}  // namespace

std::vector<TextEntity> merge_words(std::span<const TaggedWord> words) {
  std::vector<std::string> tags;
  int64_t end = 0;
  for (const TaggedWord& word : words) {
    BERTIE_CHECK(!word.tag.empty(), "merge_words", "a tag must not be empty");
    BERTIE_CHECK(word.place.begin >= end && word.place.end >= word.place.begin, "merge_words",
                 "words must be in the order of the text, got [{}, {}) behind what ends at {}",
                 word.place.begin, word.place.end, end);
    end = word.place.end;
    tags.push_back(has_scheme(word.tag) ? word.tag : "I-" + word.tag);
  }
  std::vector<TextEntity> merged;
  for (Entity& entity : find_entities(tags)) {
    double sum = 0;
    for (int64_t i = entity.begin; i < entity.end; i++) sum += words[i].probability;
    int64_t length = entity.end - entity.begin;
    merged.push_back({.place = {words[entity.begin].place.begin, words[entity.end - 1].place.end},
                      .type = std::move(entity.type),
                      .probability = sum / static_cast<double>(length),
                      .first_word = entity.begin,
                      .words = length});
  }
  return merged;
}

}  // namespace bertie
