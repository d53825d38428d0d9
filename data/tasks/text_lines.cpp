#include "bertie/data/tasks/text_lines.h"

#include "bertie/autograd/error.h"
#include "bertie/data/files/input_file.h"
#include "bertie/data/tokenizer/utf8.h"

namespace bertie {
namespace {

constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
constexpr std::string_view white_space = " \t\r\n\v\f";

}  // namespace

TextLines::TextLines(const char* where, const std::string& path)
    : TextLines(where, std::make_unique<InputFile>(path, InputFile::Kind::text)) {}

TextLines::TextLines(const char* where, std::unique_ptr<InputFile> file)
    : where_(where),
      path_(std::make_shared<const std::string>(file->path() == "-" ? "standard input" : file->path())),
      blocks_(std::move(file), LineBlocks::Sizes()) {}

bool TextLines::next() {
  if (waiting_.empty()) waiting_ = blocks_.next();
  if (waiting_.empty()) return false;
  line_ = waiting_.front();
  waiting_ = waiting_.subspan(1);
  if (++number_ == 1 && line_.starts_with(byte_order_mark)) line_.remove_prefix(byte_order_mark.size());
  if (size_t invalid = find_invalid_utf8(line_); invalid != std::string_view::npos)
    fail(where_, "{}: a text must be UTF-8, byte {} of this line isn't", place().str(), invalid + 1);
  return true;
}

bool TextLines::has_next() const { return !waiting_.empty() || blocks_.file().has_input(0); }

std::string_view without_return(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

bool is_blank(std::string_view text) { return text.find_first_not_of(white_space) == std::string_view::npos; }

std::string_view stripped(std::string_view text) {
  size_t begin = text.find_first_not_of(white_space);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(white_space) + 1 - begin);
}

}  // namespace bertie
