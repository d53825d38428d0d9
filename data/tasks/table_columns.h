// Which columns of a table are the text, the second text and the label.
#pragma once
#include <optional>
#include <span>
#include <string>

#include "bertie/data/tasks/table_reader.h"

namespace bertie {

struct TableColumns {
  size_t text = 0;  // from 0
  std::optional<size_t> pair, label;
};

// Whether the first row's fields are names of columns: TableOptions::Header.
bool is_header(std::span<const std::string> fields, const TableOptions& options);

// Throws, naming the file, where a column isn't there or it can't be known which one is meant. `has_names`:
// the fields are the columns' names, else only their number counts.
TableColumns choose_columns(const std::string& file, std::span<const std::string> fields, bool has_names,
                            const TableOptions& options);

}  // namespace bertie
