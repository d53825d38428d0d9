#include "bertie/data/tasks/tag_scheme.h"

#include <algorithm>
#include <utility>

#include "bertie/autograd/error.h"

namespace bertie {
namespace {

// A tag's part that says where in an entity it stands: B, I, E or S; O for the tag "O", and 0 for one that
// has none.
struct Tag {
  char place = 'O';
  std::string_view type;
};

Tag parts_of(std::string_view tag) {
  if (tag == "O") return {};
  constexpr std::string_view places = "BIES";
  if (tag.size() < 2 || tag[1] != '-' || places.find(tag[0]) == std::string_view::npos) return {0, tag};
  return {tag[0], tag.substr(2)};
}

bool is_of_entity(const Tag& tag) { return tag.place != 'O' && tag.place != 0; }

// Whether a word may go on with the entity of the word before.
bool may_go_on(const Tag& before, const Tag& tag) {
  return (before.place == 'B' || before.place == 'I') && before.type == tag.type;
}

bool breaks(TagScheme scheme, const Tag& before, const Tag& tag, const Tag& after) {
  if (scheme == TagScheme::none) return false;
  if (tag.place == 0) return true;
  bool goes_on = may_go_on(before, tag);
  if (scheme == TagScheme::iob1) return tag.place == 'B' && !goes_on;
  if ((tag.place == 'I' || tag.place == 'E') && !goes_on) return true;
  return scheme == TagScheme::bioes && (tag.place == 'B' || tag.place == 'I') &&
         !((after.place == 'I' || after.place == 'E') && after.type == tag.type);
}

}  // namespace

std::string_view name_of(TagScheme scheme) {
  switch (scheme) {
    case TagScheme::bio:
      return "BIO";
    case TagScheme::iob1:
      return "IOB1";
    case TagScheme::bioes:
      return "BIOES";
    case TagScheme::none:
      break;
  }
  return "none";
}

TagScheme scheme_of(std::span<const TaggedSentence> sentences) {
  int64_t begun_by_b = 0, begun_by_i = 0;
  bool has_scheme = false;
  for (const TaggedSentence& sentence : sentences) {
    Tag before;
    for (const std::string& text : sentence.tags) {
      Tag tag = parts_of(text);
      if (tag.place == 'E' || tag.place == 'S') return TagScheme::bioes;
      has_scheme |= is_of_entity(tag);
      if (!may_go_on(before, tag)) (tag.place == 'B' ? begun_by_b : begun_by_i) += is_of_entity(tag);
      before = tag;
    }
  }
  if (!has_scheme) return TagScheme::none;
  return begun_by_i > begun_by_b ? TagScheme::iob1 : TagScheme::bio;
}

TagScheme scheme_of_labels(std::span<const std::string> labels) {
  TagScheme scheme = TagScheme::none;
  for (const std::string& label : labels) {
    Tag tag = parts_of(label);
    if (tag.place == 'E' || tag.place == 'S') return TagScheme::bioes;
    if (is_of_entity(tag)) scheme = TagScheme::bio;
  }
  return scheme;
}

BrokenTags broken_tags(std::span<const TaggedSentence> sentences, TagScheme scheme) {
  BrokenTags broken;
  for (const TaggedSentence& sentence : sentences) {
    Tag before, tag = sentence.tags.empty() ? Tag() : parts_of(sentence.tags[0]);
    for (size_t w = 0; w < sentence.tags.size(); ++w) {
      Tag after = w + 1 < sentence.tags.size() ? parts_of(sentence.tags[w + 1]) : Tag();
      if (breaks(scheme, before, tag, after) && broken.count++ == 0) broken.first = sentence.place_of(w);
      before = std::exchange(tag, after);
    }
  }
  return broken;
}

void convert_tags(std::vector<std::string>& tags, TagScheme to) {
  BERTIE_CHECK(to == TagScheme::bio || to == TagScheme::bioes, "tags",
               "can be converted to BIO or BIOES, not to '{}'", name_of(to));
  const std::vector<std::string> old = tags;
  // Of each tag: whether its entity began before. The one behind the last has none.
  std::vector<bool> goes_on(old.size() + 1);
  Tag before;
  for (size_t i = 0; i < old.size(); ++i) {
    Tag tag = parts_of(old[i]);
    goes_on[i] = (tag.place == 'I' || tag.place == 'E') && may_go_on(before, tag);
    before = tag;
  }
  for (size_t i = 0; i < old.size(); ++i) {
    if (!is_of_entity(parts_of(old[i]))) continue;
    bool ends = !goes_on[i + 1];
    if (to == TagScheme::bio)
      tags[i][0] = goes_on[i] ? 'I' : 'B';
    else
      tags[i][0] = goes_on[i] ? (ends ? 'E' : 'I') : (ends ? 'S' : 'B');
  }
}

}  // namespace bertie
