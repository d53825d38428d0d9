// Sentences whose words have tags, such as those of names of persons: CoNLL-2003, WikiANN, and JSON lines.
#pragma once
#include <string>
#include <vector>

#include "bertie/data/tasks/tag_scheme.h"

namespace bertie {

struct TaggedData {
  struct File {
    std::string path;
    int64_t sentences;  // in their order, the files' one behind the other
    TagScheme scheme;   // that its tags came in
    BrokenTags broken;  // of that scheme
  };
  std::vector<TaggedSentence> sentences;
  std::vector<File> files;
  // That all tags have now: BIOES where each file that has a scheme came in that, else BIO.
  TagScheme scheme = TagScheme::none;
};

// Reads files exactly as they are published. In JSON lines (.jsonl, .json, or a first line in
// braces) an object has "tokens" (or "words") and "tags" (or "ner_tags"), arrays of texts. In any other file
// a line is a word and its tag: columns separated by tabs, or, where the line has none, by spaces; the first
// is the word, the last the tag. Blank lines and the end of a file end sentences, -DOCSTART- does, too, and
// belongs to none. A prefix of all words of a file ("en:", as in WikiANN) is taken away. Compressed by gzip
// or not.
//
// Each file's scheme is found by itself. IOB1's tags come as BIO's, as the datasets of Hugging Face have
// them, since what a word's tag is doesn't depend on the entity before then. BIOES's stay, which seqeval
// understands as well, unless another file has another scheme: then they come as BIO's, too. Tags that come
// in the scheme that all have in the end are kept as they are, also where they break it.
//
// Throws an Error that names file and line where a line has another number of columns than the file's first
// one, so a word no tag; where words and tags of an object are of different number; where a line isn't UTF-8;
// and where a file has no sentence.
TaggedData read_tagged(const std::vector<std::string>& paths);

// Tags of any scheme become those of BIO or BIOES; where there is no scheme, nothing changes.
void convert_tags(TaggedData& data, TagScheme to);

}  // namespace bertie
