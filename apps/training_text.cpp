#include "apps/training_text.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>

#include "apps/console/options.h"
#include "apps/console/program.h"
#include "apps/console/progress.h"
#include "apps/text_report.h"

namespace bertie {
namespace {

// Shows megabytes of how many, as soon as they are known.
class TextProgress {
 public:
  explicit TextProgress(std::string what) : what_(std::move(what)) {}
  CorpusProgress callback() {
    return [this](int64_t done, int64_t total) {
      constexpr int64_t megabyte = 1'000'000;
      if (!shown_) shown_.emplace(what_ + ", MB", total / megabyte);
      shown_->update(done / megabyte);
    };
  }

 private:
  std::string what_;
  std::optional<Progress> shown_;
};

// Of the store that each is to have.
void check_same_text(Processes& processes, const std::string& fingerprint) {
  std::vector<std::string> all = processes.gather(fingerprint), names = processes.gather(processes.name());
  for (size_t r = 1; r < all.size(); ++r)
    if (all[r] != all[0])
      throw SharedError(
          fmt::format("[corpus] the text, its tokenizer or their options differ between {} and {}: each must "
                      "have the same files",
                      names[0], names[r]));
}

}  // namespace

const char* const text_paths_help =
    "Text files (also .gz), folders, patterns, or '-', standard input; of .jsonl files each line is an "
    "object "
    "with a document as its \"text\"";

CLI::Option* add_documents_option(CLI::App& app, Documents& documents) {
  std::map<std::string, Documents> names;
  for (Documents ends : {Documents::blank_lines, Documents::lines, Documents::files})
    names.emplace(name_of(ends), ends);
  return app
      .add_option_function<std::string>(
          "--documents", [&documents, names](const std::string& name) { documents = names.at(name); },
          "What ends a document: blank lines (and files), each line, or files alone (default: blank-lines)")
      ->check(CLI::IsMember({"blank-lines", "lines", "files"}));
}

Corpus read_training_text(const std::vector<std::string>& paths, Documents documents,
                          const std::string& cache, const CorpusSource* standard_input) {
  TextProgress progress("Reading the text");
  std::map<std::string, CorpusSource> known = known_sources(cache, documents);
  if (standard_input) known["-"] = *standard_input;
  return read_corpus(paths, {documents, cache, known, progress.callback()});
}

WordCounts count_training_words(const Corpus& corpus, const HeldOutRule& held_out,
                                const WordSplitterOptions& words) {
  std::optional<TextProgress> progress(std::in_place, "Counting the words");
  WordCounter counter = count_words(corpus, held_out, words, progress->callback());
  progress.reset();
  if (counter.left_out() > 0)
    message(
        "Note: there are more different words than there is room for: those that came only {} were left out",
        counter.left_out() == 1 ? "once" : fmt::format("{} times", counter.left_out()));
  return counter.take();
}

TokenStore tokenize_training_text(const Corpus& corpus, const Tokenizer& tokenizer, const std::string& cache,
                                  int64_t max_length, bool hold_out, Processes& processes) {
  TokenStoreOptions options{.max_length = max_length, .hold_out = hold_out};
  std::string fingerprint;
  processes.let_each([&] { fingerprint = token_store_fingerprint(corpus, tokenizer, options); });
  check_same_text(processes, fingerprint);
  TokenStore store;
  std::string notes;
  auto tokenize = [&] {
    TextProgress progress("Tokenizing the text");
    options.progress = progress.callback();
    options.note = [&](const std::string& note) { notes = note; };
    store = tokenize_corpus(corpus, tokenizer, cache, options);
  };
  // A shared folder may have no locks (FolderLock), so who sees the first one's keeps away until it is done.
  std::filesystem::path folder = std::filesystem::path(cache) / fingerprint;
  std::error_code ignored;  // tokenize_corpus() tells it
  processes.let_first([&] { std::filesystem::create_directories(folder, ignored); });
  bool sees_it = !processes.is_first() && std::filesystem::exists(folder, ignored);
  for (bool waits : {false, true})
    processes.let_each([&] {
      if (waits == sees_it) tokenize();
    });
  if (!notes.empty()) message("Note: {}", notes);
  return store;
}

}  // namespace bertie
