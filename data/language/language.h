// The language of the default text: English of a few hundred words, made by a grammar whose distribution is
// known exactly, so that the best possible score of any model is known too. docs/language.md describes it.
#pragma once
#include <string>
#include <vector>

#include "bertie/data/language/automaton.h"
#include "bertie/data/tokenizer/vocabulary.h"

namespace bertie {

// What a position of a sentence tests: the mark of its state. "Near": words at most four places away decide.
// "Far": the three words on each side are not enough, for a phrase or a clause stands between.
enum class Phenomenon {
  none,
  number_near,  // subject and verb agree in number
  number_far,   // across a prepositional phrase or a relative clause
  tense_near,   // verb and time
  tense_far,    // with a time word at the other end of the sentence
  right_near,   // what only the right context decides: a or an
  right_far,    // the first word of a question
  both_near,    // and, but, yet between adjectives: by what is on both sides
  both_far,     // between clauses
  sense_near,   // which of the three courts it is, by the word beside it
  sense_far,    // at the other end of the sentence
};
inline constexpr int phenomena = 11;
const char* phenomenon_name(Phenomenon phenomenon);

// A line is two, three or four sentences, each number equally often, whatever the sentences say; they are
// independent, given the topic.
const Automaton& language();

// The special tokens, then the language's words, in lower case: word w has the id first_word_id + w.
Vocabulary language_vocabulary();
inline constexpr auto first_word_id = static_cast<int32_t>(std::size(special_tokens));

// A text drawn from the language, the same on every machine (ASCII, data/batches/corpus.h): documents of ten
// lines, each with a topic of its own.
std::string language_text();

// Some lines with [MASK]s that words far away decide.
const std::vector<std::string>& language_examples();

}  // namespace bertie
