#include "bertie/data/tasks/table_columns.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "bertie/autograd/error.h"
#include "bertie/data/tasks/text_lines.h"

namespace bertie {
namespace {

constexpr std::pair<std::string_view, std::string_view> usual_pairs[] = {
    {"sentence1", "sentence2"}, {"question1", "question2"}, {"premise", "hypothesis"},
    {"question", "sentence"},   {"question", "context"},    {"text_a", "text_b"},
    {"text", "text_pair"},      {"#1 string", "#2 string"}};
constexpr std::string_view usual_texts[] = {"sentence", "text", "question", "review"};
constexpr std::string_view usual_labels[] = {"label",      "labels",       "gold_label", "class",
                                             "category",   "target",       "sentiment",  "score",
                                             "similarity", "is_duplicate", "quality"};

std::string lowered(std::string_view name) {
  std::string result(stripped(name));
  for (char& c : result)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return result;
}

bool is_number(std::string_view column) {
  return !column.empty() && column.find_first_not_of("0123456789") == std::string_view::npos;
}

class Names {
 public:
  Names(const std::string& file, std::span<const std::string> fields, bool are_names)
      : file_(file), count_(fields.size()) {
    if (!are_names) return;
    for (const std::string& field : fields) {
      shown_.add(shown(field));
      names_.push_back(lowered(field));
    }
  }

  bool empty() const { return names_.empty(); }
  size_t count() const { return count_; }
  // A column that somebody asked for; none, where they didn't.
  std::optional<size_t> wanted(std::string_view column, std::string_view what) const {
    if (column.empty()) return {};
    if (is_number(column)) {
      size_t number = 0;
      std::from_chars(column.data(), column.data() + column.size(), number);  // 0 where it is too large
      BERTIE_CHECK(number >= 1 && number <= count_, "table",
                   "{}: the column of the {} must be one of {}, got number {}", file_, what, count_, column);
      return number - 1;
    }
    BERTIE_CHECK(!empty(), "table", "{}: the column '{}' of the {} can't be found without a header", file_,
                 column, what);
    std::optional<size_t> found = find(lowered(column));
    BERTIE_CHECK(found, "table", "{}: there must be a column '{}' of the {}, there are{}", file_, column,
                 what, shown_);
    return found;
  }
  std::optional<size_t> find(std::string_view name) const {
    auto found = std::find(names_.begin(), names_.end(), name);
    if (found == names_.end()) return {};
    BERTIE_CHECK(std::find(found + 1, names_.end(), name) == names_.end(), "table",
                 "{}: each column must have a name of its own, '{}' is there twice", file_, name);
    return found - names_.begin();
  }
  [[noreturn]] void fail_to_find(std::string_view what, std::string_view usual) const {
    if (empty())
      fail("table", "{}: it must be said which of the {} columns is the {}; there is no header", file_,
           count_, what);
    fail("table", "{}: it must be said which column is the {}, none has a usual name ({}); there are{}",
         file_, what, usual, shown_);
  }

 private:
  const std::string& file_;
  size_t count_;
  std::vector<std::string> names_;
  Listing shown_{"\n  "};
};

std::string listed(std::span<const std::string_view> names) {
  std::string result;
  for (std::string_view name : names) result.append(result.empty() ? "" : ", ").append(name);
  return result;
}

std::string listed_texts() {
  std::string result;
  for (auto [first, second] : usual_pairs) result.append(first).append(" and ").append(second).append(", ");
  return result + listed(usual_texts);
}

void choose_named(const Names& names, const TableOptions& options, TableColumns& columns, bool has_text) {
  if (!has_text) {
    for (auto [first, second] : usual_pairs) {
      std::optional<size_t> text = names.find(first), pair = names.find(second);
      if (!text || !pair) continue;
      columns.text = *text;
      if (!columns.pair) columns.pair = pair;
      has_text = true;
      break;
    }
    for (size_t i = 0; i < std::size(usual_texts) && !has_text; ++i) {
      std::optional<size_t> text = names.find(usual_texts[i]);
      has_text = text.has_value();
      if (text) columns.text = *text;
    }
    if (!has_text) names.fail_to_find("text", listed_texts());
  }
  for (size_t i = 0; i < std::size(usual_labels) && !columns.label; ++i) {
    std::optional<size_t> label = names.find(usual_labels[i]);
    if (label != columns.text && label != columns.pair) columns.label = label;
  }
  if (options.pairs && !columns.pair) names.fail_to_find("second text", listed_texts());
}

void choose_by_number(const Names& names, const TableOptions& options, TableColumns& columns, bool has_text) {
  if (options.pairs && !columns.pair) {
    if (columns.text + 1 >= names.count()) names.fail_to_find("second text", "");
    columns.pair = columns.text + 1;
  }
  size_t next = std::max(columns.text, columns.pair.value_or(0)) + 1;
  if (!has_text && !columns.label && next + 1 < names.count()) names.fail_to_find("text", "");
  if (!columns.label && next + 1 == names.count()) columns.label = next;
}

}  // namespace

std::string usual_columns() { return "texts: " + listed_texts() + "; labels: " + listed(usual_labels); }

bool is_header(std::span<const std::string> fields, const TableOptions& options) {
  if (options.header != TableOptions::Header::by_content)
    return options.header == TableOptions::Header::present;
  for (const std::string& column : {options.text_column, options.pair_column, options.label_column})
    if (!column.empty() && !is_number(column)) return true;
  return std::any_of(fields.begin(), fields.end(), [](const std::string& field) {
    std::string name = lowered(field);
    return std::find(std::begin(usual_texts), std::end(usual_texts), name) != std::end(usual_texts) ||
           std::any_of(std::begin(usual_pairs), std::end(usual_pairs),
                       [&](const auto& pair) { return pair.first == name; });
  });
}

TableColumns choose_columns(const std::string& file, std::span<const std::string> fields, bool has_names,
                            const TableOptions& options) {
  Names names(file, fields, has_names);
  TableColumns columns;
  std::optional<size_t> text = names.wanted(options.text_column, "text");
  columns.text = text.value_or(0);
  columns.pair = names.wanted(options.pair_column, "second text");
  columns.label = names.wanted(options.label_column, "label");
  if (has_names)
    choose_named(names, options, columns, text.has_value());
  else
    choose_by_number(names, options, columns, text.has_value());
  BERTIE_CHECK(columns.pair != columns.text && columns.label != columns.text &&
                   (!columns.pair || columns.label != columns.pair),
               "table", "{}: the text, the second text and the label must be different columns", file);
  if (options.for_training && !columns.label) names.fail_to_find("label", listed(usual_labels));
  return columns;
}

}  // namespace bertie
