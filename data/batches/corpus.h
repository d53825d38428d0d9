// Text to train on, far larger than memory: where it is, and what reading it once found. Its lines are read
// by a CorpusReader, again and again.
//
// A line is a unit of text; only '\n' ends one, and one of white space alone is blank, which is no unit. A
// line of more than 16 MiB is several, cut behind white space, or, where there is none, between characters.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace bertie {

// What ends a document: a blank line or the end of a file, the end of each line, or only that of a file. In
// a file of JSON lines each object is one.
enum class Documents { blank_lines, lines, files };
std::string_view name_of(Documents documents);  // "blank-lines", "lines", "files"

struct CorpusSource {
  std::string name;                         // in messages
  std::string path;                         // to read it from, absolute
  std::shared_ptr<const std::string> text;  // what there is to read where there is no file
  // A file of this size and of this time of modification (nanoseconds since 1970) is still the same.
  int64_t bytes = 0, modified_ns = 0;

  // What reading it found:
  std::string hash;  // of its lines, and where documents begin
  int64_t lines = 0, documents = 0;
  // Invalid UTF-8, replaced by U+FFFD: how many sequences, and the line of the first one, from 1.
  int64_t replaced = 0, first_replaced_line = 0;
};

struct Corpus {
  Documents ends = Documents::blank_lines;
  std::vector<CorpusSource> sources;
  int64_t lines = 0, documents = 0, replaced = 0;  // of all of them
  std::shared_ptr<const void> stored;              // what came through pipes, as long as this lives
};

// Bytes of the files read so far, and those of all; 0: unknown.
using CorpusProgress = std::function<void(int64_t done, int64_t total)>;

struct CorpusOptions {
  Documents documents = Documents::blank_lines;
  // Where the text of pipes and of standard input is stored, under no name, so that it can be read again;
  // made where it is needed.
  std::string pipe_folder = ".";
  // Files that were read before, by their paths: one that is unchanged isn't read again. Under "-", what came
  // through standard input then: it isn't read at all, and a CorpusReader can't, either.
  std::map<std::string, CorpusSource> known = {};
  CorpusProgress progress = {};
};

// Reads everything once. Each path is
// - a text file, perhaps compressed by gzip, or a pipe, or "-", standard input;
// - a file of JSON lines, named *.jsonl or *.jsonl.gz: on each line an object whose "text" is a document, of
//   lines itself;
// - a folder: all files in it and in the folders within, in order of their paths, but no hidden ones;
// - a pattern as glob(3) has it, where there is no file of that name: all that fit, in order.
// Throws an Error that names the file, and the line where there is one, where a file can't be read, is binary
// (a NUL within its first 64 KiB), or has no text (nothing but white space; in a folder some may have none),
// or a line isn't such an object.
Corpus read_corpus(const std::vector<std::string>& paths, const CorpusOptions& options = {});

// The corpus of a text in memory; `name` is its source's. Throws as read_corpus() does.
Corpus text_corpus(const std::string& name, std::string text, Documents documents = Documents::blank_lines);

// Which lines of a corpus aren't trained on but held out to evaluate on.
class HeldOutRule {
 public:
  HeldOutRule() = default;  // none
  // Every 20th document, or, where there are fewer than 20, every 20th line; of fewer than 20 lines the last
  // one. Throws an Error where there is only one line.
  explicit HeldOutRule(const Corpus& corpus);

  // By their numbers, from 0.
  bool holds_out(int64_t line, int64_t document) const;

 private:
  enum class Unit { none, document, line, last_line } unit_ = Unit::none;
  int64_t lines_ = 0;
};

}  // namespace bertie
