// Words with tags as sequences of tokens. A word's first token carries its tag. A sentence that is longer
// than a sequence becomes several that overlap, so that no word is dropped.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "bertie/data/tasks/task_sequences.h"

namespace bertie {

// Where a word's tag is predicted: at token `row` of all of them (TaskSequences::ids), which is in sequence
// `sequence`. −1 where the word has no token (it is nothing but characters that the tokenizer drops); it has
// no entity then.
struct WordPlace {
  int64_t sequence = -1;
  int64_t row = -1;
};

struct TagWindows {
  TaskSequences sequences;  // examples[i]: its sentence
  // Word w of sentence s is words[word_offsets[s] + w].
  std::vector<WordPlace> words;
  std::vector<int64_t> word_offsets = {0};
  int64_t words_without_token = 0;

  void append(const TagWindows& more);                    // without labels
  std::span<const WordPlace> of(int64_t sentence) const;  // throws where there is no such sentence
};

// A sentence that has room is one sequence. Of a longer one each sequence begins with a whole word, has as
// many as fit, and overlaps the one before by about half, so that every word has about a quarter of a
// sequence or more on both sides, but near the sentence's ends. A word that several have is predicted, and in
// training scored, in that one alone where the smaller of its numbers of tokens to the left and to the right
// is largest (of equal ones in the first). Of a word of more tokens than a sequence the first ones are taken.
//
// encode_tagged() makes the labels, too. Throws where a tag isn't among them, naming its place.
TagWindows encode_tagged(const Tokenizer& tokenizer, std::span<const TaggedSentence> sentences,
                         int64_t max_length, const LabelSet& labels);
// For prediction: tags may be missing, and there are no labels.
TagWindows encode_words(const Tokenizer& tokenizer, std::span<const TaggedSentence> sentences,
                        int64_t max_length);

// A word of a text: bytes [begin, end) of it.
struct TextSpan {
  int64_t begin = 0, end = 0;
  bool operator==(const TextSpan&) const = default;
};
// The words of a running text as the tokenizer splits it: at white space and around punctuation. Their tokens
// one after the other are those of the text.
std::vector<TextSpan> words_of(const Tokenizer& tokenizer, std::string_view text);

}  // namespace bertie
