// Sentences whose words have tags, such as those of names of persons: CoNLL-2003, WikiANN, and JSON lines.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "bertie/data/tasks/file_place.h"

namespace bertie {

struct TaggedSentence {
  std::vector<std::string> words;
  std::vector<std::string> tags;  // one for each word
  FilePlace place = {};           // of the first word
  bool has_lines = true;  // each word has a line of its own, the next one's; else all have that of the first

  FilePlace place_of(size_t word) const;
};

// How tags say where an entity of several words begins and ends.
// - bio (IOB2): B- begins each entity, I- goes on with it.
// - iob1: I- for all words of an entity; B- only where one of the same type ends right before.
// - bioes: B- begins, I- goes on with and E- ends an entity of several words; S- is one of a single word.
// - none: no tag begins like that; each stands for itself, as parts of speech do.
enum class TagScheme { bio, iob1, bioes, none };
std::string_view name_of(TagScheme scheme);  // "BIO", "IOB1", "BIOES", "none"

struct TaggedData {
  std::vector<TaggedSentence> sentences;
  // Of all of the files together: BIOES where a tag begins with E- or S-. Else IOB1 where more entities that
  // follow no other one of their type begin with I- than with B-. Else BIO.
  TagScheme scheme = TagScheme::none;
  // Tags that break it: an I- or E- that goes on with nothing of its type, a B- of IOB1 that separates
  // nothing, a B- or I- of BIOES with nothing of its type after it, and, in any, a tag that is neither O nor
  // begins as the scheme says. They are kept as they are; seqeval's rules say which entities they make.
  int64_t broken_tags = 0;
  FilePlace first_broken = {};
};

// Reads files exactly as they are published. In JSON lines (.jsonl, .json, or a first line in
// braces) an object has "tokens" (or "words") and "tags" (or "ner_tags"), arrays of texts. In any other file
// a line is a word and its tag: columns separated by tabs, or, where the line has none, by spaces; the first
// is the word, the last the tag. Blank lines and the end of a file end sentences, -DOCSTART- does, too, and
// belongs to none. A prefix of all words of a file ("en:", as in WikiANN) is taken away. Compressed by gzip
// or not.
//
// IOB1's tags come as BIO's, as the datasets of Hugging Face have them, since what a word's tag is doesn't
// depend on the entity before then. BIOES's stay, which seqeval understands as well.
//
// Throws an Error that names file and line where a line has another number of columns than the file's first
// one, so a word no tag; where words and tags of an object are of different number; where a line isn't UTF-8;
// and where a file has no sentence.
TaggedData read_tagged(const std::vector<std::string>& paths);

}  // namespace bertie
