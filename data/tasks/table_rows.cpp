#include "bertie/data/tasks/table_rows.h"

#include "bertie/autograd/error.h"
#include "bertie/data/files/json_object.h"
#include "bertie/data/tasks/table_columns.h"

namespace bertie {
namespace {

using Format = TableOptions::Format;

// A quote that somebody forgot to close doesn't take all of a large file into memory.
constexpr size_t most_quoted_bytes = 16 << 20;

Format format_of_name(std::string name) {
  if (name.ends_with(".gz")) name.resize(name.size() - 3);
  if (name.ends_with(".tsv")) return Format::tsv;
  if (name.ends_with(".csv")) return Format::csv;
  if (name.ends_with(".jsonl") || name.ends_with(".json")) return Format::json_lines;
  return Format::by_name;
}

Format format_of_line(std::string_view line, const TableOptions& options) {
  if (line.starts_with('{') && line.ends_with('}')) return Format::json_lines;
  if (line.find('\t') != std::string_view::npos) return Format::tsv;
  std::vector<std::string> fields;
  for (size_t begin = 0, comma = 0; comma != std::string_view::npos; begin = comma + 1) {
    comma = line.find(',', begin);
    std::string_view field = line.substr(begin, comma == std::string_view::npos ? comma : comma - begin);
    bool is_quoted = field.size() >= 2 && field.starts_with('"') && field.ends_with('"');
    fields.emplace_back(is_quoted ? field.substr(1, field.size() - 2) : field);
  }
  return fields.size() > 1 && is_header(fields, options) ? Format::csv : Format::tsv;
}

}  // namespace

TableRows::TableRows(const std::string& path, const TableOptions& options)
    : lines_("table", path), format_(options.format) {
  if (format_ == Format::by_name) format_ = format_of_name(path);
  if (format_ != Format::by_name) return;
  line_waits_ = lines_.next();
  format_ = line_waits_ ? format_of_line(without_return(lines_.line()), options) : Format::tsv;
}

bool TableRows::next_line() {
  if (std::exchange(line_waits_, false)) return true;
  return lines_.next();
}

bool TableRows::next() {
  do {
    if (!next_line()) return false;
    place_ = lines_.place();
  } while (is_json() ? is_blank(lines_.line()) : columns_ > 1 && without_return(lines_.line()).empty());
  if (is_json()) {
    object_ = parse_json_object("table", place_.str(), lines_.line());
    return true;
  }
  fields_.clear();
  format_ == Format::csv ? cut_csv() : cut_tsv();
  if (columns_ == 0) {
    columns_ = fields_.size();
    first_line_ = place_.line;
  }
  BERTIE_CHECK(
      fields_.size() == columns_, "table", "{}: each row must have as many columns as line {}, {}, got {}{}",
      place_.str(), first_line_, columns_, fields_.size(),
      format_ == Format::csv && fields_.size() > columns_ ? " (a text with commas takes quotes)" : "");
  return true;
}

void TableRows::cut_tsv() {
  std::string_view rest = without_return(lines_.line());
  for (size_t tab; (tab = rest.find('\t')) != std::string_view::npos; rest.remove_prefix(tab + 1))
    fields_.emplace_back(rest.substr(0, tab));
  fields_.emplace_back(rest);
}

void TableRows::cut_csv() {
  std::string_view rest = lines_.line();
  for (;;) {
    std::string& field = fields_.emplace_back();
    if (rest.starts_with('"')) take_quoted(rest, field);
    size_t comma = rest.find(',');
    if (comma == std::string_view::npos) {
      field += without_return(rest);
      return;
    }
    field += rest.substr(0, comma);
    rest.remove_prefix(comma + 1);
  }
}

// Leaves in `rest` what follows the closing quote: a comma or nothing.
void TableRows::take_quoted(std::string_view& rest, std::string& field) {
  const FilePlace opened = lines_.place();
  rest.remove_prefix(1);
  for (;;) {
    size_t quote = rest.find('"');
    field += rest.substr(0, quote);
    BERTIE_CHECK(field.size() <= most_quoted_bytes, "table",
                 "{}: a quote opens here and isn't closed within {} MiB", opened.str(),
                 most_quoted_bytes >> 20);
    if (quote == std::string_view::npos) {
      BERTIE_CHECK(lines_.next(), "table", "{}: a quote opens here and is never closed", opened.str());
      field += '\n';
      rest = lines_.line();
      continue;
    }
    rest.remove_prefix(quote + 1);
    if (!rest.starts_with('"')) break;
    field += '"';
    rest.remove_prefix(1);
  }
  BERTIE_CHECK(without_return(rest).empty() || rest.starts_with(','), "table",
               "{}: a comma or the line's end must follow a closing quote, got '{}'", lines_.place().str(),
               rest);
}

}  // namespace bertie
