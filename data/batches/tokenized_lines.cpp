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

TokenizedLines tokenize_lines(const Tokenizer& tokenizer, std::span<const std::string_view> lines,
                              int64_t max_length) {
  BERTIE_CHECK(max_length >= 3, "tokenize", "max_length must leave room for [CLS], a token and [SEP], got {}",
               max_length);
  std::vector<bool> continues_word;
  for (const std::string& token : tokenizer.vocabulary().tokens()) {
    continues_word.push_back(token.starts_with(continuation_prefix));
  }

  auto count = static_cast<int64_t>(lines.size());
  std::vector<TokenizedLines> parts((lines.size() + lines_per_task - 1) / lines_per_task);
  parallel_ranges(count, lines_per_task, [&](int64_t begin, int64_t end) {
    TokenizedLines& part = parts[begin / lines_per_task];
    for (int64_t line = begin; line < end; line++) {
      auto first = static_cast<int64_t>(part.ids.size());
      tokenizer.append_ids(lines[line], part.ids);
      cut(part.ids, first, max_length - 2, continues_word, part.offsets);
    }
  });

  TokenizedLines result;
  size_t ids = 0, sequences = 1;
  for (const TokenizedLines& part : parts) {
    ids += part.ids.size();
    sequences += static_cast<size_t>(part.size());
  }
  result.ids.reserve(ids);
  result.offsets.reserve(sequences);
  for (TokenizedLines& part : parts) {
    auto shift = static_cast<int64_t>(result.ids.size());
    result.ids.insert(result.ids.end(), part.ids.begin(), part.ids.end());
    for (int64_t i = 1; i <= part.size(); i++) result.offsets.push_back(shift + part.offsets[i]);
    part = {};  // its memory is needed no more
  }
  return result;
}

}  // namespace bertie
