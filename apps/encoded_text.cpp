#include "apps/encoded_text.h"

#include <algorithm>

#include "apps/console/options.h"
#include "apps/console/program.h"

namespace bertie {
namespace {

// Enough lines to sort by length, and few enough to answer soon and to hold all their embeddings.
constexpr int64_t block_tokens = 1 << 14;
constexpr size_t block_lines = 4096;
constexpr int64_t batch_tokens = 2048;

// Every line that has tokens, the shortest first, in batches of up to batch_tokens.
BatchPlan plan(const std::vector<Encoding>& lines) {
  std::vector<int64_t> order, lengths;
  for (size_t i = 0; i < lines.size(); ++i)
    if (!lines[i].ids.empty()) order.push_back(static_cast<int64_t>(i));
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return lines[a].ids.size() < lines[b].ids.size(); });
  for (int64_t line : order) lengths.push_back(static_cast<int64_t>(lines[line].ids.size()));
  return plan_batches(std::move(order), lengths, batch_tokens);
}

}  // namespace

void add_text_options(CLI::App& app, TextOptions& options) {
  auto* group = app.add_option_group("text");
  group->add_option("--text", options.text, "One text");
  group->add_option("--input", options.input, "A file with a text in each line; '-' is standard input")
      ->check(check_file_name);
  group->require_option(1);
}

int32_t single_token(const Tokenizer& tokenizer, const char* option, const std::string& word) {
  if (auto id = tokenizer.vocabulary().find(word)) return *id;
  std::vector<int32_t> ids = tokenizer.ids(word);
  BERTIE_CHECK(ids.size() == 1 && ids[0] != tokenizer.vocabulary().unk_id(), option,
               "a word must be one token of the vocabulary, '{}' isn't", word);
  return ids[0];
}

BertInput EncodedLines::input(int64_t batch) const {
  std::vector<int32_t> ids, types;
  BertInput input;
  for (int64_t line : batches[batch]) {
    const Encoding& encoding = lines[line];
    ids.insert(ids.end(), encoding.ids.begin(), encoding.ids.end());
    types.insert(types.end(), encoding.token_type_ids.begin(), encoding.token_type_ids.end());
    input.pass.packing.offsets.push_back(static_cast<int64_t>(ids.size()));
  }
  input.ids = Array::from(ids);
  input.token_type_ids = Array::from(types);
  return input;
}

EncodedText::EncodedText(const TextOptions& text, const Tokenizer& tokenizer, const EncodeOptions& options,
                         std::string prompt)
    : text_(text), tokenizer_(tokenizer), options_(options), prompt_(std::move(prompt)) {
  if (!text.input.empty()) reader_ = std::make_unique<LineBlocks>(text.input);
}

bool EncodedText::next_line(std::string_view& line) {
  if (!reader_) {
    line = text_.text;
    return lines_ == 0;
  }
  if (used_ == read_.size()) {
    read_ = reader_->next();
    used_ = 0;
  }
  if (read_.empty()) return false;
  line = read_[used_++];
  return true;
}

bool EncodedText::next(EncodedLines& block) {
  if (!failure_.empty()) throw Error(failure_);
  block.first_line = lines_ + 1;
  block.lines.clear();
  std::string_view line;
  for (int64_t tokens = 0; tokens < block_tokens && block.lines.size() < block_lines;) {
    bool would_wait = reader_ && used_ == read_.size();  // a pipe's reader wants what there is
    if ((would_wait && !block.lines.empty()) || !next_line(line)) break;
    ++lines_;
    std::string prompted;
    if (!prompt_.empty()) line = prompted = prompt_ + std::string(line);
    Encoding& encoding = block.lines.emplace_back();
    try {
      tokenizer_.encode(text_.pairs ? split_pair(line) : TextInput{line}, options_, encoding);
    } catch (const Error& error) {
      failure_ = reader_ ? fmt::format("{}, in line {} of '{}'", error.what(), lines_, shown(text_.input))
                         : error.what();
      block.lines.pop_back();
      if (block.lines.empty()) throw Error(failure_);
      break;
    }
    tokens += static_cast<int64_t>(encoding.ids.size());
    if (encoding.cut_off > 0 && !std::exchange(told_cut_, true))
      message("Note: line {} is cut to {} tokens, {} are lost (said once)", lines_,
              options_.max_length.value(), encoding.cut_off);
    if (encoding.replaced > 0 && !std::exchange(told_replaced_, true))
      message("Note: line {} has invalid UTF-8, read as U+FFFD (said once)", lines_);
  }
  block.batches = plan(block.lines);
  return !block.lines.empty();
}

}  // namespace bertie
