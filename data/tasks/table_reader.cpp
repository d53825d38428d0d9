#include "bertie/data/tasks/table_reader.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>
#include <utility>

#include "bertie/autograd/error.h"
#include "bertie/data/tasks/table_columns.h"
#include "bertie/data/tasks/table_rows.h"

namespace bertie {
namespace {

constexpr std::string_view label_separators = ",; \t\r\n";
constexpr double largest_number = 1e18;  // f32 holds its square, and a sum of many

std::vector<std::string> several_of(std::string_view field) {
  std::vector<std::string> labels;
  for (size_t begin = 0;
       (begin = field.find_first_not_of(label_separators, begin)) != std::string_view::npos;) {
    size_t end = std::min(field.find_first_of(label_separators, begin), field.size());
    labels.emplace_back(field.substr(begin, end - begin));
    begin = end;
  }
  return labels;
}

// A label in JSON; none where it is null.
std::optional<std::string> label_of(const nlohmann::json& value, const FilePlace& place,
                                    const std::string& key) {
  if (value.is_null()) return {};
  if (value.is_string()) return std::string(stripped(value.get_ref<const std::string&>()));
  BERTIE_CHECK(value.is_number() || value.is_boolean(), "table",
               "{}: '{}' must be a label, a text or a number", place.str(), key);
  return value.dump();
}

double number_of(const std::string& label, const FilePlace& place) {
  double number = 0;
  const char* end = label.data() + label.size();
  auto [stop, error] = std::from_chars(label.data(), end, number);
  BERTIE_CHECK(error == std::errc() && stop == end && std::isfinite(number), "table",
               "{}: the label must be a number, got '{}'", place.str(), label);
  BERTIE_CHECK(std::abs(number) <= largest_number, "table",
               "{}: the label must be a number within ±{}, got '{}'", place.str(), largest_number, label);
  return number;
}

}  // namespace

class TableReader::Rows {
 public:
  Rows(const std::string& path, TableOptions options) : rows_(path, options), options_(std::move(options)) {
    row_waits_ = rows_.next();
    BERTIE_CHECK(row_waits_ || !options_.for_training, "table", "{}: there must be at least one row",
                 path == "-" ? "standard input" : path);
    if (!row_waits_) return;
    const std::string& file = *rows_.place().file;
    if (rows_.is_json()) {
      for (const auto& [key, value] : rows_.object().items()) names_.push_back(key);
      BERTIE_CHECK(!names_.empty(), "table", "{}: the first object must have the keys of all, it has none",
                   rows_.place().str());
      columns_ = choose_columns(file, names_, true, options_);
    } else {
      bool has_header = is_header(rows_.fields(), options_);
      columns_ = choose_columns(file, rows_.fields(), has_header, options_);
      if (has_header) {
        names_ = rows_.fields();
        row_waits_ = false;
      }
    }
  }

  bool next(TextExample& example) {
    if (!std::exchange(row_waits_, false) && !rows_.next()) return false;
    example = {};
    example.place = rows_.place();
    if (rows_.is_json())
      take_object(example);
    else
      take_fields(example);
    check(example);
    return true;
  }

  bool has_next() const { return row_waits_ || rows_.has_next(); }
  const TableColumns& columns() const { return columns_; }
  std::string name_of(size_t column) const {
    if (rows_.is_json()) return fmt::format("'{}'", shown(names_[column]));
    if (names_.empty()) return fmt::format("column {}", column + 1);
    return fmt::format("column {} ('{}')", column + 1, shown(stripped(names_[column])));
  }

 private:
  void take_fields(TextExample& example) {
    std::vector<std::string>& fields = rows_.fields();
    example.text = std::move(fields[columns_.text]);
    if (columns_.pair) example.text_pair = std::move(fields[*columns_.pair]);
    if (columns_.label) add_labels(fields[*columns_.label], example);
  }

  void take_object(TextExample& example) {
    auto text = [&](size_t column) {
      nlohmann::json& value = value_of(column);
      BERTIE_CHECK(value.is_string(), "table", "{}: '{}' must be a text", rows_.place().str(),
                   names_[column]);
      return std::move(value.get_ref<std::string&>());
    };
    example.text = text(columns_.text);
    if (columns_.pair) example.text_pair = text(*columns_.pair);
    if (!columns_.label) return;
    const nlohmann::json& value = value_of(*columns_.label);
    const std::string& key = names_[*columns_.label];
    if (options_.labels == LabelKind::several && value.is_array()) {
      for (const nlohmann::json& each : value)
        if (std::optional<std::string> label = label_of(each, rows_.place(), key))
          example.labels.push_back(*label);
    } else if (std::optional<std::string> label = label_of(value, rows_.place(), key)) {
      add_labels(*label, example);
    }
  }

  nlohmann::json& value_of(size_t column) {
    auto found = rows_.object().find(names_[column]);
    BERTIE_CHECK(found != rows_.object().end(), "table",
                 "{}: there must be a key '{}', as in the first object", rows_.place().str(), names_[column]);
    return *found;
  }

  void add_labels(std::string_view field, TextExample& example) const {
    if (options_.labels == LabelKind::several)
      example.labels = several_of(field);
    else if (std::string_view label = stripped(field); !label.empty())
      example.labels.emplace_back(label);
  }

  void check(TextExample& example) const {
    std::set<std::string> seen;
    std::erase_if(example.labels, [&](const std::string& label) { return !seen.insert(label).second; });
    if (options_.labels == LabelKind::number && !example.labels.empty())
      example.value = number_of(example.labels[0], example.place);
    if (!options_.for_training) return;
    BERTIE_CHECK(!is_blank(example.text), "table", "{}: the text must not be blank, {} is",
                 example.place.str(), name_of(columns_.text));
    BERTIE_CHECK(!example.text_pair || !is_blank(*example.text_pair), "table",
                 "{}: the second text must not be blank, {} is", example.place.str(),
                 name_of(*columns_.pair));
    BERTIE_CHECK(!example.labels.empty() || options_.labels == LabelKind::several, "table",
                 "{}: there must be a label, {} is empty", example.place.str(), name_of(*columns_.label));
  }

  TableRows rows_;
  TableOptions options_;
  std::vector<std::string> names_;  // of the columns; none: there is no header
  TableColumns columns_;
  bool row_waits_ = false;  // there is a first one, and it is no header
};

TableReader::TableReader(const std::string& path, TableOptions options)
    : rows_(std::make_unique<Rows>(path, std::move(options))) {}

TableReader::~TableReader() = default;

bool TableReader::next(TextExample& example) { return rows_->next(example); }

std::vector<TextExample> TableReader::next_chunk(int64_t most) {
  std::vector<TextExample> chunk;
  TextExample example;
  while (static_cast<int64_t>(chunk.size()) < most && (chunk.empty() || rows_->has_next()) && next(example))
    chunk.push_back(std::move(example));
  return chunk;
}

bool TableReader::has_pairs() const { return rows_->columns().pair.has_value(); }
bool TableReader::has_labels() const { return rows_->columns().label.has_value(); }

std::string TableReader::columns() const {
  const TableColumns& columns = rows_->columns();
  std::string text = "text in " + rows_->name_of(columns.text);
  if (columns.pair) text += ", second text in " + rows_->name_of(*columns.pair);
  if (columns.label) text += ", label in " + rows_->name_of(*columns.label);
  return text;
}

std::vector<TextExample> read_tables(const std::vector<std::string>& paths, const TableOptions& options,
                                     const std::function<void(const TableReader&)>& opened) {
  std::vector<TextExample> examples;
  for (const std::string& path : paths) {
    TableReader reader(path, options);
    if (opened) opened(reader);
    size_t before = examples.size();
    for (TextExample example; reader.next(example);) examples.push_back(std::move(example));
    BERTIE_CHECK(examples.size() > before, "table", "{}: there must be at least one row below the header",
                 path);
    BERTIE_CHECK(before == 0 || examples[0].text_pair.has_value() == reader.has_pairs(), "table",
                 "{}: it must have second texts where {} has, and none where that has none", path,
                 *examples[0].place.file);
  }
  return examples;
}

}  // namespace bertie
