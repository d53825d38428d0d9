// How tags say where an entity of several words begins and ends.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bertie/data/tasks/tagged_sentence.h"

namespace bertie {

// - bio (IOB2): B- begins each entity, I- goes on with it.
// - iob1: I- for all words of an entity; B- only where one of the same type ends right before.
// - bioes: B- begins, I- goes on with and E- ends an entity of several words; S- is one of a single word.
// - none: no tag begins like that; each stands for itself, as parts of speech do.
enum class TagScheme { bio, iob1, bioes, none };
std::string_view name_of(TagScheme scheme);  // "BIO", "IOB1", "BIOES", "none"

// Of sentences together: BIOES where a tag begins with E- or S-. Else IOB1 where more entities that follow no
// other one of their type begin with I- than with B-. Else BIO.
TagScheme scheme_of(std::span<const TaggedSentence> sentences);
// Of labels, each there once: BIOES, or BIO, of which IOB1's can't be told.
TagScheme scheme_of_labels(std::span<const std::string> labels);

// Tags that break a scheme: an I- or E- that goes on with nothing of its type, a B- of IOB1 that separates
// nothing, a B- or I- of BIOES with nothing of its type after it, and, in any, a tag that is neither O nor
// begins as the scheme says.
struct BrokenTags {
  int64_t count = 0;
  FilePlace first = {};
};
BrokenTags broken_tags(std::span<const TaggedSentence> sentences, TagScheme scheme);

// The same entities in BIO or BIOES, whatever scheme the tags of a sentence have. Where tags are broken, the
// entities are those that seqeval makes of them (models/entity_metrics.h). Tags of no scheme stay. Throws
// where `to` is another scheme.
void convert_tags(std::vector<std::string>& tags, TagScheme to);

}  // namespace bertie
