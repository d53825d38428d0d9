#include "bertie/data/batches/tokenized_lines.h"

#include "bertie/autograd/threads.h"

namespace bertie {
namespace {

constexpr int64_t lines_per_task = 256;

// Appends the ends of the sequences that ids [begin, ids.size()) are cut into.
void cut(const std::vector<int32_t>& ids, int64_t begin, int64_t limit,
         const std::vector<bool>& continues_word, std::vector<int64_t>& ends) {
  auto size = static_cast<int64_t>(ids.size());
  while (size - begin > limit) {
    int64_t end = begin + limit;
    while (end > begin && continues_word[ids[end]]) end--;
    if (end == begin) end = begin + limit;  // a single word fills the sequence
    ends.push_back(end);
    begin = end;
  }
  if (size > begin) ends.push_back(size);
}

}  // namespace

void TokenVectors::end_sequence() {
  auto end = static_cast<int64_t>(ids.size());
  if (offsets.back() < end) offsets.push_back(end);
}

void TokenVectors::end_document() {
  auto end = static_cast<int64_t>(offsets.size()) - 1;
  if (document_offsets.back() < end) document_offsets.push_back(end);
}

TokenizedLines::TokenizedLines() : TokenizedLines(TokenVectors()) {}

TokenizedLines::TokenizedLines(TokenVectors vectors) {
  vectors.end_document();
  auto kept = std::make_shared<const TokenVectors>(std::move(vectors));
  ids = kept->ids;
  offsets = kept->offsets;
  document_offsets = kept->document_offsets;
  owner = kept;
}

LineTokenizer::LineTokenizer(const Tokenizer& tokenizer, int64_t max_length)
    : tokenizer_(tokenizer), limit_(max_length - 2) {
  BERTIE_CHECK(max_length >= 3, "tokenize", "max_length must leave room for [CLS], a token and [SEP], got {}",
               max_length);
  for (const std::string& token : tokenizer.vocabulary().tokens())
    continues_word_.push_back(token.starts_with(continuation_prefix));
}

std::vector<LineTokenizer::Part> LineTokenizer::tokenize(std::span<const std::string_view> lines) const {
  auto count = static_cast<int64_t>(lines.size());
  std::vector<Part> parts((lines.size() + lines_per_task - 1) / lines_per_task);
  parallel_ranges(count, lines_per_task, [&](int64_t begin, int64_t end) {
    Part& part = parts[begin / lines_per_task];
    for (int64_t line = begin; line < end; line++) {
      auto first = static_cast<int64_t>(part.sequences.ids.size());
      tokenizer_.append_ids(lines[line], part.sequences.ids);
      cut(part.sequences.ids, first, limit_, continues_word_, part.sequences.offsets);
      part.line_offsets.push_back(static_cast<int64_t>(part.sequences.offsets.size()) - 1);
    }
  });
  return parts;
}

TokenizedLines tokenize_lines(const Tokenizer& tokenizer, std::span<const std::string_view> lines,
                              int64_t max_length) {
  std::vector<LineTokenizer::Part> parts = LineTokenizer(tokenizer, max_length).tokenize(lines);
  TokenVectors result;
  size_t ids = 0, sequences = 1;
  for (const LineTokenizer::Part& part : parts) {
    ids += part.sequences.ids.size();
    sequences += part.sequences.offsets.size() - 1;
  }
  result.ids.reserve(ids);
  result.offsets.reserve(sequences);
  for (LineTokenizer::Part& part : parts) {
    auto shift = static_cast<int64_t>(result.ids.size());
    const TokenVectors& more = part.sequences;
    result.ids.insert(result.ids.end(), more.ids.begin(), more.ids.end());
    for (size_t i = 1; i < more.offsets.size(); i++) result.offsets.push_back(shift + more.offsets[i]);
    part = {};  // its memory is needed no more
  }
  return TokenizedLines(std::move(result));
}

}  // namespace bertie
