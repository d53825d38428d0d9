// A byte of options, a byte for the largest length and one more option, the tokens of a vocabulary, a line
// each (special tokens are there anyway), an empty line, and any bytes as a text or, at a tab, as two: ids
// with and without offsets agree, offsets lie within the text and move forward, what is cut off is the end,
// and what is decoded is UTF-8.
#include "bertie/data/tokenizer/tokenizer.h"

#include <algorithm>
#include <optional>
#include <set>
#include <span>

#include "bertie/autograd/error.h"
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
    if (known.insert(token).second) tokens.push_back(token);
  }
  return Vocabulary(std::move(tokens));
}

int64_t code_points(std::string_view text) {
  int64_t count = 0;
  for (; !text.empty(); ++count) text.remove_prefix(decode_utf8(text).bytes);
  return count;
}

void check_offsets(std::span<const TokenOffsets> all, std::string_view text) {
  int64_t characters = code_points(text);
  TokenOffsets last;
  for (TokenOffsets offsets : all) {
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

// A whole text, without special tokens.
void check_text(const Tokenizer& tokenizer, std::string_view text) {
  Encoding encoding{.ids = {7},
                    .token_type_ids = {3},
                    .offsets = {{1, 2}, {3, 4}},
                    .cut_off = 1,
                    .replaced = 5};  // all replaced
  tokenizer.encode({text}, {.add_special_tokens = false}, encoding);
  promise(encoding.offsets.size() == encoding.ids.size() && encoding.cut_off == 0);
  check_offsets(encoding.offsets, text);
  std::vector<int32_t> ids = {-9};
  promise(tokenizer.append_ids(text, ids) == encoding.replaced);
  promise(ids.front() == -9 &&
          std::equal(ids.begin() + 1, ids.end(), encoding.ids.begin(), encoding.ids.end()));
  promise(tokenizer.ids(text) == encoding.ids);
  int64_t replaced = 0;
  std::string valid = replace_invalid_utf8(text, replaced);
  promise(replaced == encoding.replaced);
  Encoding of_valid;
  tokenizer.encode({valid}, {.add_special_tokens = false}, of_valid);
  promise(of_valid.ids == encoding.ids && of_valid.offsets == encoding.offsets && of_valid.replaced == 0);
  check_decoding(tokenizer, encoding.ids);
}

// One or two texts with special tokens and cut to a length: what is kept of each text is its beginning.
void check_form(const Tokenizer& tokenizer, const TextInput& input, const EncodeOptions& form) {
  Encoding encoding;
  int64_t special_count = !form.add_special_tokens ? 0 : input.second ? 3 : 2;
  bool has_room = form.max_length.value_or(special_count) >= special_count;
  try {
    tokenizer.encode(input, form, encoding);
  } catch (const Error&) {
    promise(!has_room);
    return;
  }
  promise(has_room);
  auto length = static_cast<int64_t>(encoding.ids.size());
  promise(encoding.offsets.size() == encoding.ids.size() &&
          encoding.token_type_ids.size() == encoding.ids.size());
  promise(!form.max_length || length <= *form.max_length);
  promise(encoding.cut_off >= 0 && (encoding.cut_off == 0 || length == form.max_length));

  auto types_begin = encoding.token_type_ids.begin(), types_end = encoding.token_type_ids.end();
  promise(std::is_sorted(types_begin, types_end));
  int64_t firsts = std::count(types_begin, types_end, 0);
  promise(firsts + std::count(types_begin, types_end, 1) == length && (input.second || firsts == length));
  int64_t at = 0, cut_off = 0, kept[2] = {};
  bool was_cut[2] = {};
  auto special = [&](int32_t id) {
    if (!form.add_special_tokens) return;
    promise(encoding.ids[at] == id && encoding.offsets[at] == TokenOffsets());
    ++at;
  };
  auto text_until = [&](int index, std::string_view text, int64_t end) {
    std::vector<int32_t> ids = tokenizer.ids(text);
    kept[index] = end - at;
    cut_off += static_cast<int64_t>(ids.size()) - kept[index];
    was_cut[index] = static_cast<int64_t>(ids.size()) > kept[index];
    promise(kept[index] >= 0 && kept[index] <= static_cast<int64_t>(ids.size()));
    promise(std::equal(ids.begin(), ids.begin() + kept[index], encoding.ids.begin() + at));
    check_offsets(std::span(encoding.offsets).subspan(at, kept[index]), text);
    at = end;
  };
  int64_t sep = form.add_special_tokens ? 1 : 0;
  special(tokenizer.vocabulary().cls_id());
  text_until(0, input.first, firsts - sep);
  special(tokenizer.vocabulary().sep_id());
  if (input.second) {
    text_until(1, *input.second, length - sep);
    special(tokenizer.vocabulary().sep_id());
    promise(!was_cut[0] || kept[0] + 1 >= kept[1]);  // the longer one is cut first
    promise(!was_cut[1] || kept[1] + 1 >= kept[0]);
  }
  promise(at == length && cut_off == encoding.cut_off);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  if (size < 2) return 0;
  std::string_view text(reinterpret_cast<const char*>(bytes) + 2, size - 2);
  TokenizerOptions options;
  options.words.do_lower_case = bytes[0] & 1;
  if (bytes[0] & 2) options.words.strip_accents = (bytes[0] & 4) != 0;
  options.words.tokenize_chinese_chars = bytes[0] & 8;
  options.split_special_tokens = bytes[0] & 16;
  options.clean_up_tokenization_spaces = bytes[1] & 32;
  EncodeOptions form{.add_special_tokens = (bytes[0] & 32) != 0};
  if (bytes[0] & 64) form.max_length = bytes[1] % 32;
  std::optional<Tokenizer> tokenizer;
  try {
    tokenizer.emplace(take_vocabulary(text), options);
  } catch (const Error&) {  // a token that no vocabulary holds
    return 0;
  }
  check_text(*tokenizer, text);
  bool is_pair = bytes[0] & 128 && std::count(text.begin(), text.end(), '\t') <= 1;
  check_form(*tokenizer, is_pair ? split_pair(text) : TextInput{text}, form);
  return 0;
}
