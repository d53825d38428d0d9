#include "bertie/data/batches/source_reader.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "bertie/autograd/error.h"
#include "bertie/autograd/threads.h"
#include "bertie/data/files/input_file.h"
#include "bertie/data/files/json_object.h"
#include "bertie/data/tokenizer/utf8.h"

namespace bertie {
namespace {

constexpr LineBlocks::Sizes sizes{4 << 20, 16 << 20, true};
constexpr int64_t binary_probe_bytes = 64 << 10;
constexpr int64_t json_lines_per_task = 512;

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r\v\f") == std::string_view::npos; }

std::unique_ptr<InputFile> open(const CorpusSource& source) {
  if (source.text) return std::make_unique<InputFile>(source.name, *source.text);
  BERTIE_CHECK(
      !source.path.empty(), "corpus",
      "of what came through standard input only the tokens were stored, and they are damaged or were "
      "made with other options: begin anew with the text");
  return std::make_unique<InputFile>(source.path, InputFile::Kind::text);
}

// The text of a line of a file of JSON lines.
std::string text_of(const std::string& where, std::string_view line) {
  nlohmann::json object = parse_json_object("corpus", where, line);
  auto text = object.find("text");
  BERTIE_CHECK(text != object.end() && text->is_string(), "corpus",
               "{} must have a text under the key 'text', {}", where,
               text == object.end() ? "it has no such key" : "it has something else there");
  return std::move(text->get_ref<std::string&>());
}

}  // namespace

SourceReader::SourceReader(const CorpusSource& source, Documents documents)
    : source_(source),
      documents_(documents),
      is_json_(source.path.ends_with(".jsonl") || source.path.ends_with(".jsonl.gz")),
      blocks_(open(source), sizes),
      found_(source) {
  found_.bytes = static_cast<int64_t>(blocks_.file().bytes());
  found_.modified_ns = blocks_.file().modified_ns();
  found_.lines = found_.documents = found_.replaced = found_.first_replaced_line = 0;
}

int64_t SourceReader::position() const { return blocks_.file().position(); }

CorpusSource SourceReader::found() const {
  CorpusSource result = found_;
  result.hash = hash_.hex();
  return result;
}

void SourceReader::refuse_binary(std::span<const std::string_view> raw) {
  for (std::string_view line : raw) {
    if (bytes_ >= binary_probe_bytes) return;
    size_t nul = line.substr(0, static_cast<size_t>(binary_probe_bytes - bytes_)).find('\0');
    BERTIE_CHECK(nul == std::string_view::npos, "corpus",
                 "'{}' must be text, but its byte {} is NUL (a binary file?)", source_.name,
                 bytes_ + static_cast<int64_t>(nul));
    bytes_ += static_cast<int64_t>(line.size()) + 1;
  }
}

SourceReader::Part SourceReader::make_valid(std::span<const std::string_view> raw, size_t begin,
                                            size_t end) const {
  Part part;
  for (size_t i = begin; i < end && part.failure.empty(); ++i) {
    std::string_view line = raw[i];
    std::string valid;
    if (find_invalid_utf8(line) != std::string_view::npos) {
      if (part.replaced == 0) part.first_replaced = i;
      line = valid = replace_invalid_utf8(line, part.replaced);
    }
    if (is_json_ && !is_blank(line)) {
      std::string where =
          fmt::format("line {} of '{}'", blocks_.first_number() + static_cast<int64_t>(i), source_.name);
      try {
        BERTIE_CHECK(i + 1 < raw.size() || !blocks_.last_goes_on(), "corpus",
                     "{} is longer than the {} MiB that a document of JSON lines may have", where,
                     sizes.longest_line >> 20);
        valid = text_of(where, line);
      } catch (const Error& error) {
        part.failure = error.what();
      }
    }
    if (valid.empty() && !is_json_) continue;
    part.lines.push_back(i);
    part.texts.push_back(std::move(valid));
  }
  return part;
}

bool SourceReader::next() {
  lines_.clear();
  begins_.clear();
  bool goes_on = blocks_.last_goes_on();
  std::span<const std::string_view> raw = blocks_.next();
  if (raw.empty()) return false;
  refuse_binary(raw);

  auto count = static_cast<int64_t>(raw.size());
  parts_.assign(static_cast<size_t>((count + json_lines_per_task - 1) / json_lines_per_task), {});
  parallel_ranges(count, json_lines_per_task, [&](int64_t begin, int64_t end) {
    parts_[static_cast<size_t>(begin / json_lines_per_task)] =
        make_valid(raw, static_cast<size_t>(begin), static_cast<size_t>(end));
  });
  for (const Part& part : parts_) {
    if (!part.failure.empty()) throw Error(part.failure);
    if (found_.replaced == 0 && part.replaced > 0)
      found_.first_replaced_line = blocks_.first_number() + static_cast<int64_t>(part.first_replaced);
    found_.replaced += part.replaced;
    if (is_json_)
      for (const std::string& text : part.texts) add_object(text);
  }
  if (!is_json_) add_lines(raw, goes_on);
  return true;
}

void SourceReader::add_lines(std::span<const std::string_view> raw, bool goes_on) {
  size_t i = 0;
  auto add = [&](std::string_view line) {
    bool is_part = i == 0 && goes_on;  // of the line before
    begins_next_ |= documents_ == Documents::lines && !is_part;
    add_line(line);
    ++i;
  };
  for (const Part& part : parts_) {
    for (size_t t = 0; t < part.texts.size(); ++t) {
      while (i < part.lines[t]) add(raw[i]);
      add(part.texts[t]);
    }
  }
  while (i < raw.size()) add(raw[i]);
}

void SourceReader::add_line(std::string_view line) {
  if (is_blank(line)) {
    begins_next_ |= documents_ == Documents::blank_lines;
    return;
  }
  if (begins_next_) hash_.add_item(int64_t{-1});  // which no line's length is
  hash_.add_item(line);
  lines_.push_back(line);
  begins_.push_back(begins_next_);
  ++found_.lines;
  found_.documents += begins_next_ ? 1 : 0;
  begins_next_ = false;
}

// A text of many lines, all of one document; its blank ones end none.
void SourceReader::add_object(std::string_view text) {
  begins_next_ = true;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (!is_blank(line)) add_line(line);
  }
}

}  // namespace bertie
