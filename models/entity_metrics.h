// Entities in sequences of tags, and how many of them were found: counted as seqeval does it by default,
// which is how the script of CoNLL's shared tasks, conlleval, does it. Tags may follow BIO (IOB2), IOB1 or
// BIOES, be mixed or broken: every tag has a meaning after any other, none is an error.
#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "bertie/models/classification_metrics.h"

namespace bertie {

// Tags [begin, end) of a sequence.
struct Entity {
  int64_t begin = 0, end = 0;
  std::string type;
  auto operator<=>(const Entity&) const = default;
};

// In their order. A tag is one letter and, behind the first '-', a type ("_" where it has none). B and S
// begin an entity; E and S end one; so does O, another type, and whatever begins one. I and E go on, or begin
// one where there is none to go on. Throws where a tag is empty. (seqeval joins all sequences before it looks
// for entities, which makes a difference only where a tag has a letter of none of the schemes.)
std::vector<Entity> find_entities(std::span<const std::string> tags);

// Of each type that is true or predicted anywhere. An entity is right where begin, end and type are.
class EntityCounts {
 public:
  // A sequence. Throws where the two aren't equally long.
  void add(std::span<const std::string> truth, std::span<const std::string> predicted);
  const std::map<std::string, LabelCounts>& types() const { return types_; }
  F1Score score()
      const;  // over all types, micro-averaged: seqeval's, and CoNLL's, number; 0 without entities

 private:
  std::map<std::string, LabelCounts> types_;
};

}  // namespace bertie
