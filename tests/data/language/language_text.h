// The default text, made once for all tests of a program.
#pragma once
#include "bertie/data/batches/corpus.h"
#include "bertie/data/batches/tokenized_lines.h"
#include "bertie/data/language/language.h"
#include "tests/corpus_lines.h"

namespace bertie {

inline const Corpus& language_corpus() {
  static const Corpus corpus = text_corpus("the language", language_text());
  return corpus;
}

inline const CorpusLines& language_lines() {
  static const CorpusLines lines(language_corpus());
  return lines;
}

inline std::vector<std::string_view> held_out_language_lines() {
  return language_lines().part(HeldOutRule(language_corpus()), true);
}

inline const Tokenizer& language_tokenizer() {
  static const Tokenizer tokenizer(language_vocabulary());
  return tokenizer;
}

inline const TokenizedLines& tokenized_language() {
  static const TokenizedLines lines =
      tokenize_lines(language_tokenizer(), language_lines().lines, language().longest() + 2);
  return lines;
}

}  // namespace bertie
