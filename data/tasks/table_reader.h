// Examples of a task, one a row: a text, perhaps a second one, and a label. From files as people have them,
// with any number of rows.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bertie/data/tasks/file_place.h"

namespace bertie {

struct TextExample {
  std::string text;
  std::optional<std::string> text_pair = std::nullopt;
  // As they were written, without white space around them: one, or, where TableOptions::labels is `several`,
  // any number, each once. None where there is no column of labels.
  std::vector<std::string> labels = {};
  double value = 0;  // of the label, where TableOptions::labels is `number`: within ±1e18
  FilePlace place = {};
};

// What the column of labels has: the name of a class, names of classes, or a number to predict.
enum class LabelKind { one, several, number };

struct TableOptions {
  // tsv: columns are separated by tabs, and a quote is a character like any other, as in GLUE's files.
  // csv: columns are separated by commas; a field in quotes may hold commas, line breaks, and quotes, which
  // are
  //   doubled (RFC 4180). A quote in a field that doesn't begin with one is a character like any other.
  // json_lines: each line is an object, its keys are the names of columns.
  // by_name: a file is what its name says (.tsv, .csv, .jsonl or .json, and that with .gz). Another one is
  // JSON
  //   lines where its first line is in braces, CSV where that is a header with commas (as `Header` says)
  //   and has no tab, and else TSV, so that a text without tabs is one of one column.
  enum class Format { by_name, tsv, csv, json_lines };
  // Whether the first row has the names of columns. `by_content`: it is where a column is asked for by a
  // name, and else where one of its fields is, in whatever case, a name that stands for a text by itself
  // ("sentence").
  enum class Header { by_content, present, absent };

  Format format = Format::by_name;
  Header header = Header::by_content;
  // A column by its name, in whatever case, or, in TSV and CSV, by its number from 1. Empty: with names, the
  // first of usual_columns() that is there; a second text is used where both columns of a pair are there.
  // Without names, column 1 is the text, with `pairs` the next one the second text, the next one the label,
  // and there must be no more.
  std::string text_column = {}, pair_column = {}, label_column = {};
  bool pairs = false;  // there must be a second text
  LabelKind labels = LabelKind::one;
  // True: each row must have a label (with `several`: a column of labels, whose field may be empty) and a
  // text that isn't blank. False: there may be no column of labels, and any text may be empty.
  bool for_training = true;
};

// "sentence1 and sentence2, question1 and question2, …": which names of columns are taken for what, for
// --help.
std::string usual_columns();

// Rows of one file, one after the other. A byte-order mark and the '\r' of line ends are skipped, a blank
// line, too, unless there is but one column, where it is an empty text.
class TableReader {
 public:
  // `path`: a file, perhaps compressed by gzip, a pipe, or "-". Reads the first row to find the columns.
  // Throws an Error that names the file where it can't be opened, lacks a column, telling which it has, or,
  // in training, has no row.
  TableReader(const std::string& path, TableOptions options);
  ~TableReader();
  TableReader(const TableReader&) = delete;
  TableReader& operator=(const TableReader&) = delete;

  // The next example; false at the end. Throws an Error that names file and line where
  // - a row has another number of columns than the first one, or a JSON object lacks a key,
  // - a quote isn't closed, naming the line where it opens, or something follows a closing one,
  // - a line isn't UTF-8 or no JSON object, or a JSON value is of no kind for its column,
  // - a label is missing or is to be a number and isn't, or a text is blank (see `for_training`).
  // Several labels in a field are separated by commas, semicolons or spaces; in JSON they are an array.
  bool next(TextExample& example);
  // Waits for the next example and takes all that are there by then, at most `most`; none at the end. So a
  // program that somebody types lines to answers each.
  std::vector<TextExample> next_chunk(int64_t most);

  bool has_pairs() const;
  bool has_labels() const;
  // "text in column 1 ('sentence'), label in column 2 ('label')", for a program to say how it read a file.
  std::string columns() const;

 private:
  class Rows;
  std::unique_ptr<Rows> rows_;
};

// All examples of some files, one after the other. Throws what TableReader does, and where one has a second
// text and another hasn't. `opened` is called with each file's reader before its rows are read, so that a
// pipe can be told about, too.
std::vector<TextExample> read_tables(const std::vector<std::string>& paths, const TableOptions& options,
                                     const std::function<void(const TableReader&)>& opened = {});

}  // namespace bertie
