// From a tag for every word to entities in the text.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "bertie/data/tasks/tag_windows.h"

namespace bertie {

// What was predicted for a word: the first of its pieces decides, as in training (transformers' pipeline has
// this as aggregation_strategy="first").
struct TaggedWord {
  TextSpan place;  // bytes of the text: the whole word
  std::string tag;
  double probability = 0;  // of that tag
};

struct TextEntity {
  TextSpan place;  // bytes of the text: from the first word's begin to the last one's end
  std::string type;
  double probability = 0;  // the mean of its words'
  int64_t first_word = 0, words = 0;
};

// In their order, O left out. Tags are read as for the metrics (find_entities), so that what is shown is what
// is scored; of BIO and IOB1 transformers makes the same entities, of BIOES only this does (there, "E-PER" is
// a type). A tag of no scheme ("NOUN") is a type by itself: words with the same tag, one behind the other,
// are one entity, as in transformers. Throws where a tag is empty or words aren't in the order of the text.
std::vector<TextEntity> merge_words(std::span<const TaggedWord> words);

}  // namespace bertie
