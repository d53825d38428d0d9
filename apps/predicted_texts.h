// The texts that bert_predict is given, some at a time, as each task wants them.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "apps/task.h"
#include "bertie/data/tasks/text_lines.h"
#include "bertie/data/tokenizer/tokenizer.h"

namespace bertie {

// One text, or a file of them.
struct PredictedTexts : TaskOptions {
  std::string text, input;
};

// Texts or, as the options say or where `pairs`, pairs of them.
class Examples {
 public:
  Examples(const PredictedTexts& options, bool pairs);  // the options must outlive this, here and below
  std::vector<TextExample> next();                      // none at the end

 private:
  const PredictedTexts& options_;
  bool pairs_ = false, done_ = false;
  std::unique_ptr<TableReader> reader_;
};

// Texts whose words are to be tagged.
class WordTexts {
 public:
  struct Chunk {
    std::vector<std::string> texts;
    std::vector<std::vector<TextSpan>> places;  // of each text's words
    std::vector<TaggedSentence> sentences;      // the words, without tags
  };
  explicit WordTexts(const PredictedTexts& options);
  bool next(const Tokenizer& tokenizer, Chunk& chunk);  // false at the end

 private:
  const PredictedTexts& options_;
  std::unique_ptr<TextLines> lines_;
  bool done_ = false;
};

// Questions with their contexts, of a table or of SQuAD's JSON.
class QuestionTexts {
 public:
  explicit QuestionTexts(const PredictedTexts& options);
  std::vector<Question> next();  // none at the end

 private:
  std::unique_ptr<Examples> examples_;
  std::vector<Question> questions_;  // of JSON
  size_t begin_ = 0;
};

}  // namespace bertie
