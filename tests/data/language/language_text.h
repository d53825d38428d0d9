// The default text, made once for all tests of a program.
#pragma once
#include "bertie/data/batches/corpus.h"
#include "bertie/data/batches/tokenized_lines.h"
#include "bertie/data/language/language.h"

namespace bertie {

inline const Corpus& language_corpus() {
  static const Corpus corpus = [] {
    Corpus result;
    add_text(result, "the language", language_text());
    return result;
  }();
  return corpus;
}

inline const Tokenizer& language_tokenizer() {
  static const Tokenizer tokenizer(language_vocabulary());
  return tokenizer;
}

inline const TokenizedLines& tokenized_language() {
  static const TokenizedLines lines =
      tokenize_lines(language_tokenizer(), language_corpus().lines, language().longest() + 2);
  return lines;
}

}  // namespace bertie
