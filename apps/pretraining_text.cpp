#include "apps/pretraining_text.h"

#include <filesystem>

#include "apps/program.h"
#include "apps/progress.h"
#include "apps/text_report.h"
#include "apps/training_text.h"
#include "bertie/data/language/language.h"
#include "bertie/data/tokenizer/wordpiece_trainer.h"

namespace bertie {
namespace {

std::string cache_folder(const PretrainOptions& o) {
  namespace fs = std::filesystem;
  if (!o.cache.empty()) return o.cache;
  return (fs::absolute(o.output) / "").lexically_normal().parent_path().string() + "-cache";
}

Vocabulary vocabulary_for(const PretrainOptions& o, const Corpus& corpus, const HeldOutRule& rule,
                          const WordSplitterOptions& words) {
  if (!o.vocab.empty()) return Vocabulary::read(o.vocab);
  if (o.corpus.empty() && !o.vocab_size && !o.alphabet && !o.cased) return language_vocabulary();
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
      corpus_(o.corpus.empty() ? text_corpus("the default text", language_text(), o.documents)
                               : read_training_text(o.corpus, o.documents, cache_)),
      splits_(o.held_out.empty()) {
  note_corpus(corpus_);
  if (splits_)
    rule_ = HeldOutRule(corpus_);
  else
    held_out_ = read_training_text(o.held_out, o.documents, cache_);
  note_corpus(held_out_);
}

Tokenizer PretrainingTextReader::new_tokenizer() const {
  TokenizerOptions options;
  options.words.do_lower_case = !o_.cased;
  return Tokenizer(vocabulary_for(o_, corpus_, rule_, options.words), options);
}

PretrainingText PretrainingTextReader::tokenize(const Tokenizer& tokenizer) const {
  TokenStore store = tokenize_training_text(corpus_, tokenizer, cache_, o_.max_length, splits_);
  PretrainingText text{store.training, store.held_out, store.fingerprint, "", {}, false};
  if (!splits_) {
    TokenStore held_out = tokenize_training_text(held_out_, tokenizer, cache_, o_.max_length, false);
    text.held_out = held_out.training;
    text.held_out_fingerprint = held_out.fingerprint;
  }
  const Vocabulary& vocabulary = tokenizer.vocabulary();
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
                     o_.documents == Documents::blank_lines &&
                     o_.mask_probability == MaskingOptions::usual_probability && lines_fit(o_) &&
                     vocabulary.tokens() == language_vocabulary().tokens();
  report(text, vocabulary);
  return text;
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
