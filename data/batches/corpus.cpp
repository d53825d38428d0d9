#include "bertie/data/batches/corpus.h"

#include <algorithm>

#include "bertie/autograd/error.h"
#include "bertie/data/files/mapped_file.h"
#include "bertie/data/tokenizer/utf8.h"

namespace bertie {
namespace {

constexpr size_t binary_probe_bytes = 64 << 10;
constexpr int64_t held_out_every = 20;

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r\v\f") == std::string_view::npos; }

// Replaces invalid UTF-8 in `text` and counts it in `corpus`.
void make_valid(Corpus& corpus, const std::string& source, std::string& text) {
  size_t invalid = find_invalid_utf8(text);
  if (invalid == std::string::npos) return;
  if (corpus.replaced == 0) {
    corpus.first_replaced_source = source;
    corpus.first_replaced_line =
        1 + std::count(text.begin(), text.begin() + static_cast<int64_t>(invalid), '\n');
  }
  text = replace_invalid_utf8(text, corpus.replaced);
}

// Ends the document that the last lines form, if there are any.
void end_document(Corpus& corpus) {
  auto lines = static_cast<int64_t>(corpus.lines.size());
  if (corpus.document_offsets.back() < lines) corpus.document_offsets.push_back(lines);
}

}  // namespace

void add_text(Corpus& corpus, const std::string& source, std::string text) {
  size_t nul = std::string_view(text).substr(0, binary_probe_bytes).find('\0');
  BERTIE_CHECK(nul == std::string_view::npos, "corpus",
               "'{}' must be text, but its byte {} is NUL (a binary file?)", source, nul);
  make_valid(corpus, source, text);

  auto kept = std::make_shared<const std::string>(std::move(text));
  size_t lines_before = corpus.lines.size();
  for (std::string_view rest = *kept; !rest.empty();) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (is_blank(line)) {
      end_document(corpus);
    } else {
      corpus.lines.push_back(line);
    }
  }
  BERTIE_CHECK(corpus.lines.size() > lines_before, "corpus", "'{}' has no text, it is {}", source,
               kept->empty() ? "empty" : "blank");
  end_document(corpus);
  corpus.sources.push_back(source);
  corpus.texts.push_back(std::move(kept));
}

Corpus read_corpus(const std::vector<std::string>& paths) {
  Corpus corpus;
  for (const std::string& path : paths) add_text(corpus, path, read_text(path));
  return corpus;
}

CorpusSplit split_corpus(const Corpus& corpus) {
  auto lines = static_cast<int64_t>(corpus.lines.size());
  BERTIE_CHECK(lines > 1, "corpus",
               "a corpus must have at least 2 lines, one to train on and one to hold out, got {}", lines);
  bool by_document = corpus.documents() >= held_out_every;
  CorpusSplit split;
  int64_t document = 0;
  for (int64_t line = 0; line < lines; line++) {
    if (line == corpus.document_offsets[document + 1]) document++;
    int64_t unit = by_document ? document : line;
    bool held_out =
        unit % held_out_every == held_out_every - 1 || (lines < held_out_every && line == lines - 1);
    (held_out ? split.held_out : split.training).push_back(corpus.lines[line]);
  }
  return split;
}

}  // namespace bertie
