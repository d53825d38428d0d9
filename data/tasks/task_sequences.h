// Examples of a task as sequences of tokens, [CLS] … [SEP] and perhaps … [SEP], each with what it is to be
// told.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "bertie/autograd/array.h"
#include "bertie/data/tasks/label_set.h"
#include "bertie/data/tokenizer/tokenizer.h"

namespace bertie {

// n sequences of T tokens together. A long example may have several, one after the other.
struct TaskSequences {
  std::vector<int32_t> ids;            // [T]
  std::vector<int64_t> offsets = {0};  // [n + 1], sequence i is ids [offsets[i], offsets[i + 1])
  std::vector<int64_t> second_begins;  // [n], of its tokens the first one of type 1; its length where none is
  std::vector<int64_t> examples;       // [n], which example it is (a part) of
  // What is to be predicted; no array where that isn't known.
  // - classes:        [n] i32, the label's id
  // - several labels: [n, labels] f32, 1 for those that it has and 0 for the others
  // - numbers:        [n] f32
  // - tags:           [T] i32, the tag's id at a word's first token and ignored_label at all others
  // - answers:        [n, 2] i32, token of the sequence where the answer begins and the one where it ends,
  // inclusive;
  //                   0, 0 ([CLS]) where the sequence doesn't hold it
  Array labels;
  int64_t cut_off = 0;        // tokens that there was no room for
  int64_t cut_sequences = 0;  // sequences that lost some

  static constexpr int32_t ignored_label = -100;

  int64_t size() const { return static_cast<int64_t>(offsets.size()) - 1; }
  int64_t tokens() const { return offsets.back(); }
  int64_t length(int64_t sequence) const;                       // throws where there is no such sequence
  std::span<const int32_t> operator[](int64_t sequence) const;  // throws where there is no such sequence
  // Adds one of these tokens, special ones included; token second_begin is the first of type 1.
  void add(std::span<const int32_t> tokens, int64_t second_begin, int64_t example);
  // Adds those of `more`, without labels.
  void append(const TaskSequences& more);
  bool labels_are_of_tokens() const;  // those of tags
  // Of all of this, so that a run that is taken up can tell whether its data is still the same.
  std::string hash() const;
};

// One sequence for each example: a text, or a pair that loses tokens "longest_first" (Tokenizer::encode). All
// of the following run in parallel, the same on any number of threads, and throw where max_length has no room
// for the special tokens and one more for each text. These have no labels; the others below give them.
TaskSequences encode_texts(const Tokenizer& tokenizer, std::span<const TextExample> examples,
                           int64_t max_length);

// What TaskSequences::labels holds of such sequences. Throws where an example has no label, or a class has
// several, and where a label isn't in the set, naming its place.
Array class_labels(std::span<const TextExample> examples, const LabelSet& labels);
Array several_labels(std::span<const TextExample> examples, const LabelSet& labels);
Array number_labels(std::span<const TextExample> examples);

}  // namespace bertie
