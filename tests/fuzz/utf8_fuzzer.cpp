// Any bytes as UTF-8, with utf8proc as the judge of what is valid.
#include "bertie/data/tokenizer/utf8.h"

#include <utf8proc.h>

#include "tests/fuzz/fuzzer_files.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace bertie;
  std::string_view text(reinterpret_cast<const char*>(bytes), size);
  size_t first_invalid = std::string_view::npos;
  int64_t invalid = 0;
  for (size_t at = 0; at < size;) {
    Utf8Character character = decode_utf8(text.substr(at));
    promise(character.bytes >= 1 && at + character.bytes <= size);
    utf8proc_int32_t code_point;
    utf8proc_ssize_t length =
        utf8proc_iterate(bytes + at, static_cast<utf8proc_ssize_t>(size - at), &code_point);
    promise(character.valid == (length > 0));
    if (character.valid) {
      promise(character.bytes == length && character.code_point == static_cast<char32_t>(code_point));
      std::string written;
      append_utf8(character.code_point, written);
      promise(written == text.substr(at, character.bytes));
    } else {
      promise(character.code_point == 0xFFFD);
      if (invalid++ == 0) first_invalid = at;
    }
    at += character.bytes;
  }
  promise(find_invalid_utf8(text) == first_invalid);

  int64_t replaced = 0;
  std::string valid = replace_invalid_utf8(text, replaced);
  promise(replaced == invalid && find_invalid_utf8(valid) == std::string::npos);
  promise(invalid > 0 || valid == text);
  return 0;
}
