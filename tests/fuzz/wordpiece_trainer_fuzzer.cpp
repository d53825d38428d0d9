// A byte of options, a byte for the size, then any bytes as lines of text: the trained vocabulary keeps to
// its size and, where no character was left out, cuts every word into pieces (but for those too long for a
// tokenizer).
#include "bertie/data/tokenizer/wordpiece_trainer.h"

#include <algorithm>
#include <set>

#include "bertie/autograd/error.h"
#include "bertie/autograd/threads.h"
#include "bertie/data/tokenizer/tokenizer.h"
#include "tests/fuzz/fuzzer_files.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace bertie;
  set_thread_count(1);
  if (size < 2) return 0;
  WordSplitterOptions splitter{.do_lower_case = (bytes[0] & 1) != 0,
                               .strip_accents = (bytes[0] & 2) != 0,
                               .tokenize_chinese_chars = (bytes[0] & 4) != 0};
  WordPieceTrainerOptions options{.size = 5 + bytes[1],
                                  .min_frequency = 1 + (bytes[0] >> 3 & 3),
                                  .alphabet_limit = bytes[0] & 32 ? 7 : 1000};
  std::string_view text(reinterpret_cast<const char*>(bytes) + 2, size - 2);
  std::vector<std::string_view> lines;
  for (std::string_view rest = text; !rest.empty();) {
    lines.push_back(rest.substr(0, rest.find('\n')));
    rest.remove_prefix(std::min(rest.size(), lines.back().size() + 1));
  }

  WordCounts words = count_words(lines, splitter);
  promise(std::is_sorted(words.begin(), words.end()));
  std::set<char32_t> characters;
  int64_t too_long = 0;  // words that become [UNK] by their length
  for (const auto& [word, count] : words) {
    promise(!word.empty() && count >= 1 && find_invalid_utf8(word) == std::string::npos);
    int64_t length = 0;
    for (size_t at = 0; at < word.size(); ++length) {
      Utf8Character character = decode_utf8(std::string_view(word).substr(at));
      characters.insert(character.code_point);
      at += character.bytes;
    }
    if (length > 100) too_long += count;
  }
  std::optional<Vocabulary> vocabulary;
  try {
    vocabulary = train_wordpiece(words, options);
  } catch (const Error&) {  // special tokens and characters, in up to two forms each, are more than the size
    promise(options.size < 5 + 2 * static_cast<int64_t>(characters.size()));
    return 0;
  }
  promise(vocabulary->size() <= options.size);
  if (characters.size() > static_cast<size_t>(options.alphabet_limit)) return 0;
  Tokenizer tokenizer(*vocabulary, {.words = splitter, .split_special_tokens = true});
  int64_t unknown = 0;
  for (std::string_view line : lines) {
    std::vector<int32_t> ids = tokenizer.ids(line);
    unknown += std::count(ids.begin(), ids.end(), vocabulary->unk_id());
  }
  promise(unknown == too_long);
  return 0;
}
