#include "apps/predicted_texts.h"

#include <algorithm>
#include <utility>

namespace bertie {
namespace {

// So many lines are read before they are answered, those of like length together, unless none are waiting.
constexpr int64_t most_lines = 1024;

}  // namespace

Examples::Examples(const PredictedTexts& options, bool pairs) : options_(options) {
  TableOptions table = options.table;
  table.pairs = table.pairs || pairs;
  table.for_training = false;
  pairs_ = table.pairs;
  if (!options.input.empty()) reader_ = std::make_unique<TableReader>(options.input, table);
  BERTIE_CHECK(reader_ || !pairs_ || split_pair(options.text).second, "text",
               "a tab must separate the two texts, or question and context; there is none");
}

std::vector<TextExample> Examples::next() {
  if (reader_) return reader_->next_chunk(most_lines);
  if (std::exchange(done_, true)) return {};
  TextInput text = pairs_ ? split_pair(options_.text) : TextInput{options_.text};
  TextExample example{std::string(text.first)};
  if (text.second) example.text_pair = std::string(*text.second);
  return {example};
}

WordTexts::WordTexts(const PredictedTexts& options) : options_(options) {
  if (!options.input.empty()) lines_ = std::make_unique<TextLines>("input", options.input);
}

bool WordTexts::next(const Tokenizer& tokenizer, Chunk& chunk) {
  if (done_) return false;
  chunk = {};
  if (lines_) {
    std::vector<std::string>& texts = chunk.texts;
    while (std::ssize(texts) < most_lines && (texts.empty() || lines_->has_next()) &&
           !(done_ = !lines_->next()))
      texts.emplace_back(without_return(lines_->line()));
  } else {
    chunk.texts.push_back(options_.text);
    done_ = true;
  }
  for (const std::string& text : chunk.texts) {
    chunk.places.push_back(words_of(tokenizer, text));
    TaggedSentence& sentence = chunk.sentences.emplace_back();
    for (const TextSpan& word : chunk.places.back())
      sentence.words.push_back(text.substr(word.begin, word.end - word.begin));
  }
  return !chunk.texts.empty();
}

QuestionTexts::QuestionTexts(const PredictedTexts& options) {
  if (options.input.ends_with(".json") || options.input.ends_with(".json.gz"))
    questions_ = read_questions({options.input}, false).questions;
  else
    examples_ = std::make_unique<Examples>(options, true);
}

std::vector<Question> QuestionTexts::next() {
  constexpr size_t at_once = 64;
  std::vector<Question> chunk;
  if (!examples_) {
    for (size_t end = std::min(begin_ + at_once, questions_.size()); begin_ < end; ++begin_)
      chunk.push_back(questions_[begin_]);
    return chunk;
  }
  for (const TextExample& example : examples_->next())
    chunk.push_back({"", example.text, std::make_shared<std::string>(example.text_pair.value_or(""))});
  return chunk;
}

}  // namespace bertie
