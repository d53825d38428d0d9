// A byte of options, the tokens of a vocabulary, a line each (special tokens are there anyway), an empty
// line, and any bytes as text: ids with and without offsets agree, offsets lie within the text and move
// forward, and what is decoded is UTF-8.
#include "data/tokenizer.h"

#include <algorithm>
#include <set>

#include "autograd/error.h"
#include "tests/fuzz/fuzzer_files.h"

namespace {

using namespace bertie;

// Takes the tokens off the front of the text.
Vocabulary take_vocabulary(std::string_view& text) {
  std::vector<std::string> tokens(std::begin(special_tokens), std::end(special_tokens));
  std::set<std::string> known(tokens.begin(), tokens.end());
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.empty()) break;
    int64_t replaced = 0;
    std::string token = replace_invalid_utf8(line, replaced);
    if (!token.ends_with('\r') && known.insert(token).second) tokens.push_back(token);
  }
  return Vocabulary(std::move(tokens));
}

int64_t code_points(std::string_view text) {
  int64_t count = 0;
  for (; !text.empty(); ++count) text.remove_prefix(decode_utf8(text).bytes);
  return count;
}

void check_offsets(const Encoding& encoding, std::string_view text) {
  promise(encoding.offsets.size() == encoding.ids.size());
  int64_t characters = code_points(text);
  TokenOffsets last;
  for (TokenOffsets offsets : encoding.offsets) {
    promise(last.begin <= offsets.begin && offsets.begin < offsets.end && last.end <= offsets.end);
    promise(offsets.end <= characters);
    last = offsets;
  }
}

void check_decoding(const Tokenizer& tokenizer, std::vector<int32_t> ids) {
  for (bool skip : {false, true})
    promise(find_invalid_utf8(tokenizer.decode(ids, skip)) == std::string::npos);
  for (int32_t outside : {-1, tokenizer.vocabulary().size()}) {
    ids.push_back(outside);
    bool refused = false;
    try {
      tokenizer.decode(ids);
    } catch (const Error&) {
      refused = true;
    }
    promise(refused);
    ids.pop_back();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  if (size < 1) return 0;
  std::string_view text(reinterpret_cast<const char*>(bytes) + 1, size - 1);
  Vocabulary vocabulary = take_vocabulary(text);
  TokenizerOptions options;
  options.words.do_lower_case = bytes[0] & 1;
  if (bytes[0] & 2) options.words.strip_accents = (bytes[0] & 4) != 0;
  options.words.tokenize_chinese_chars = bytes[0] & 8;
  options.split_special_tokens = bytes[0] & 16;
  Tokenizer tokenizer(std::move(vocabulary), options);

  Encoding encoding{.ids = {7}, .offsets = {{1, 2}, {3, 4}}, .replaced = 5};  // all of it is to be replaced
  tokenizer.encode(text, encoding);
  check_offsets(encoding, text);
  std::vector<int32_t> ids = {-9};
  promise(tokenizer.append_ids(text, ids) == encoding.replaced);
  promise(ids.front() == -9 &&
          std::equal(ids.begin() + 1, ids.end(), encoding.ids.begin(), encoding.ids.end()));
  promise(tokenizer.ids(text) == encoding.ids);
  int64_t replaced = 0;
  std::string valid = replace_invalid_utf8(text, replaced);
  promise(replaced == encoding.replaced);
  Encoding of_valid;
  tokenizer.encode(valid, of_valid);
  promise(of_valid.ids == encoding.ids && of_valid.offsets == encoding.offsets && of_valid.replaced == 0);

  check_decoding(tokenizer, encoding.ids);
  size_t count = encoding.ids.size();
  tokenizer.add_special_tokens(encoding);
  promise(encoding.ids.size() == count + 2 && encoding.offsets.size() == count + 2);
  promise(encoding.ids.front() == tokenizer.vocabulary().cls_id() &&
          encoding.ids.back() == tokenizer.vocabulary().sep_id());
  return 0;
}
