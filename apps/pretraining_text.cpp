#include "apps/pretraining_text.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "apps/console/program.h"
#include "apps/console/progress.h"
#include "apps/run/run_options.h"
#include "apps/text_report.h"
#include "apps/training_text.h"
#include "bertie/data/files/json_object.h"
#include "bertie/data/language/language.h"
#include "bertie/data/tokenizer/wordpiece_trainer.h"

namespace bertie {
namespace {

std::string cache_folder(const PretrainOptions& o) {
  namespace fs = std::filesystem;
  if (!o.cache.empty()) return o.cache;
  return (fs::absolute(o.output) / "").lexically_normal().parent_path().string() + "-cache";
}

bool has_standard_input(const std::vector<std::string>& paths) {
  return std::find(paths.begin(), paths.end(), "-") != paths.end();
}

// A checkpoint tells what it was, as settings have it: "standard_input", and the stores' fingerprints.
std::optional<StoredInput> stored_input(const PretrainOptions& o, const std::string& cache) {
  bool in_corpus = has_standard_input(o.corpus);
  if (!in_corpus && !has_standard_input(o.held_out)) return {};
  std::optional<std::string> text = settings_to_resume(o);
  if (!text) return {};
  nlohmann::json settings =
                     parse_json_object("checkpoint", fmt::format("the settings in '{}'", o.output), *text),
                 input = settings.value("standard_input", nlohmann::json()),
                 store = settings.value(in_corpus ? "text" : "held_out_text", nlohmann::json());
  if (!input.is_object() || !store.is_string()) return {};  // the run had none
  if (std::optional<Vocabulary> vocabulary = stored_vocabulary(cache, store.get<std::string>())) {
    message("Standard input isn't read: the run continues with the text that it began with, from {}", cache);
    CorpusSource source;
    source.name = "-";
    source.hash = input.at("hash").get<std::string>();
    source.lines = input.at("lines").get<int64_t>();
    source.documents = input.at("documents").get<int64_t>();
    return StoredInput{source, *vocabulary};
  }
  struct stat status {};
  bool comes = ::fstat(STDIN_FILENO, &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISREG(status.st_mode));
  BERTIE_CHECK(
      comes, "corpus",
      "the text of this run came through standard input, and {} doesn't have it any more: it must come "
      "again",
      cache);
  return {};
}

const CorpusSource* source_of(const std::optional<StoredInput>& stored) {
  return stored ? &stored->source : nullptr;
}

// For StoredInput.
Record described(const Corpus& corpus) {
  for (const CorpusSource& source : corpus.sources)
    if (source.name == "-")
      return {{"hash", source.hash}, {"lines", source.lines}, {"documents", source.documents}};
  return nullptr;
}

// One that isn't trained on the text.
std::optional<Vocabulary> given_vocabulary(const PretrainOptions& o,
                                           const std::optional<StoredInput>& stored) {
  if (!o.vocab.empty()) return Vocabulary::read(o.vocab);
  if (stored && has_standard_input(o.corpus)) return stored->vocabulary;
  if (o.corpus.empty() && !o.vocab_size && !o.alphabet && !o.cased) return language_vocabulary();
  return {};
}

Vocabulary trained_vocabulary(const PretrainOptions& o, const Corpus& corpus, const HeldOutRule& rule,
                              const WordSplitterOptions& words) {
  WordPieceTrainerOptions trainer;
  trainer.size = o.vocab_size.value_or(trainer.size);
  trainer.alphabet_limit = o.alphabet.value_or(trainer.alphabet_limit);
  WordCounts counts = count_training_words(corpus, rule, words);
  Progress stage("Making the vocabulary");
  return train_wordpiece(counts, trainer);
}

std::vector<bool> scorable_tokens(const PretrainOptions& o, const Vocabulary& vocabulary) {
  std::vector<bool> scorable = ordinary_tokens(vocabulary);
  for (const std::string& word : o.unscored) {
    std::optional<int32_t> id = vocabulary.find(word);
    BERTIE_CHECK(id.has_value(), "unscored", "the vocabulary has no token '{}'", word);
    scorable[*id] = false;
  }
  return scorable;
}

// Whole lines of the language, alone or in pairs, fit into a sequence.
bool lines_fit(const PretrainOptions& o) {
  int64_t longest = language().longest();
  return o.max_length >= (o.next_sentence ? 2 * longest + 3 : longest + 2);
}

}  // namespace

int64_t tokens_of(const TokenizedLines& lines) {
  return static_cast<int64_t>(lines.ids.size()) + 2 * lines.size();
}

PretrainingTextReader::PretrainingTextReader(const PretrainOptions& o)
    : o_(o),
      cache_(cache_folder(o)),
      stored_(stored_input(o, cache_)),
      corpus_(o.corpus.empty() ? text_corpus("the default text", language_text(), o.documents)
                               : read_training_text(o.corpus, o.documents, cache_, source_of(stored_))),
      splits_(o.held_out.empty()) {
  note_corpus(corpus_);
  if (splits_)
    rule_ = HeldOutRule(corpus_);
  else
    held_out_ = read_training_text(o.held_out, o.documents, cache_, source_of(stored_));
  note_corpus(held_out_);
}

Vocabulary PretrainingTextReader::vocabulary(const WordSplitterOptions& words, Processes& processes) const {
  std::optional<Vocabulary> vocabulary;
  processes.let_each([&] { vocabulary = given_vocabulary(o_, stored_); });
  if (vocabulary) return *std::move(vocabulary);
  std::string lines;
  processes.let_first([&] {
    vocabulary = trained_vocabulary(o_, corpus_, rule_, words);
    for (const std::string& token : vocabulary->tokens()) lines += token + "\n";
  });
  std::istringstream sent(processes.of_first(lines));
  if (vocabulary) return *std::move(vocabulary);
  std::vector<std::string> tokens;
  for (std::string token; std::getline(sent, token);) tokens.push_back(token);
  return Vocabulary(std::move(tokens));
}

Tokenizer PretrainingTextReader::new_tokenizer(Processes& processes) const {
  TokenizerOptions options;
  options.words.do_lower_case = !o_.cased;
  return Tokenizer(vocabulary(options.words, processes), options);
}

PretrainingText PretrainingTextReader::tokenize(const Tokenizer& tokenizer, Processes& processes) const {
  auto tokenized = [&](const Corpus& corpus, bool hold_out) {
    return tokenize_training_text(corpus, tokenizer, cache_, o_.max_length, hold_out, processes);
  };
  TokenStore store = tokenized(corpus_, splits_);
  PretrainingText text{store.training, store.held_out, store.fingerprint, "", {}, described(corpus_), false};
  if (!splits_) {
    TokenStore held_out = tokenized(held_out_, false);
    text.held_out = held_out.training;
    text.held_out_fingerprint = held_out.fingerprint;
    if (text.standard_input.is_null()) text.standard_input = described(held_out_);
  }
  processes.let_each([&] { check_and_report(text, tokenizer.vocabulary()); });
  return text;
}

void PretrainingTextReader::check_and_report(PretrainingText& text, const Vocabulary& vocabulary) const {
  text.scorable = scorable_tokens(o_, vocabulary);
  check_scorable("corpus", "the text to train on", text.training, text.scorable, vocabulary.unk_id());
  check_scorable("held-out", "the held-out text", text.held_out, text.scorable, vocabulary.unk_id());
  if (o_.next_sentence)
    for (auto [option, lines] : {std::pair{"corpus", &text.training}, {"held-out", &text.held_out}})
      BERTIE_CHECK(lines->documents() >= 2, option,
                   "next-sentence prediction needs at least two documents to train on and two that are held "
                   "out, there is {} (--documents says what ends one)",
                   lines->documents());
  text.is_language = o_.corpus.empty() && splits_ && o_.unscored.empty() && !o_.cased && !o_.whole_words &&
                     o_.documents == Documents::blank_lines && lines_fit(o_) &&
                     vocabulary.tokens() == language_vocabulary().tokens();
  report(text, vocabulary);
}

void PretrainingTextReader::report(const PretrainingText& text, const Vocabulary& vocabulary) const {
  message("Text: {} lines in {} documents, {} tokens to train on, {} held out; vocabulary {}", corpus_.lines,
          corpus_.documents, tokens_of(text.training), tokens_of(text.held_out), vocabulary.size());
  double share = unknown_share(text.training, vocabulary.unk_id()),
         held_out_share = unknown_share(text.held_out, vocabulary.unk_id());
  message("[UNK]: {:.2f} % of the tokens to train on, {:.2f} % of those held out", 100 * share,
          100 * held_out_share);
  std::string advice = o_.vocab.empty() && o_.model.empty() ? "A larger --alphabet knows more characters"
                                                            : "A vocabulary of this text would know it";
  note_unknown("the text to train on", share, advice);
  note_unknown("the held-out text", held_out_share, advice);
  note_known_lines(text.training, text.held_out);
  if (o_.corpus.empty() && !text.is_language)
    message(
        "Note: the best possible score is known only for the default text with its own vocabulary, whole "
        "lines and all words scored");
}

}  // namespace bertie
