// The rows of a table: TSV, CSV (RFC 4180) or JSON lines.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bertie/data/tasks/table_reader.h"
#include "bertie/data/tasks/text_lines.h"

namespace bertie {

class TableRows {
 public:
  // Looks at the first line where the file's name doesn't say what it is.
  TableRows(const std::string& path, const TableOptions& options);

  // Goes to the next row; false at the end. In TSV and CSV all rows have as many fields as the first one.
  bool next();
  bool is_json() const { return format_ == TableOptions::Format::json_lines; }
  std::vector<std::string>& fields() { return fields_; }  // of TSV and CSV
  nlohmann::json& object() { return object_; }            // of JSON lines
  const FilePlace& place() const { return place_; }       // where the row begins
  bool has_next() const { return line_waits_ || lines_.has_next(); }

 private:
  bool next_line();
  void cut_tsv();
  void cut_csv();
  void take_quoted(std::string_view& rest, std::string& field);

  TextLines lines_;
  TableOptions::Format format_;
  bool line_waits_ = false;  // the first one was looked at already
  std::vector<std::string> fields_;
  nlohmann::json object_;
  FilePlace place_;
  size_t columns_ = 0;  // 0: no row yet
  int64_t first_line_ = 0;
};

}  // namespace bertie
