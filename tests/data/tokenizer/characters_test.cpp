#include "bertie/data/tokenizer/characters.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "bertie/data/tokenizer/word_splitter.h"

namespace bertie {
namespace {

// FNV-1a of all words, each followed by a line break.
struct ChecksumSink {
  uint64_t value = 0xCBF29CE484222325;
  bool empty = true;
  void add(const char* bytes, int32_t length, int64_t) {
    for (int32_t i = 0; i < length; i++) add_byte(bytes[i]);
    empty = false;
  }
  void end_word() {
    if (!empty) add_byte('\n');
    empty = true;
  }
  void add_byte(char byte) { value = (value ^ static_cast<uint8_t>(byte)) * 0x100000001B3; }
};

// What tests/data/tokenizer/reference/make_character_reference.py writes down of `tokenizers`.
TEST(Characters, EveryCodePointIsTakenAsByTokenizers) {
  std::ifstream file(BERTIE_SOURCE_DIR "/tests/data/tokenizer/reference/characters.json");
  std::vector<std::string> expected = nlohmann::json::parse(file);
  constexpr char32_t block = 1024;
  ASSERT_EQ(expected.size(), 0x110000 / block);
  const WordSplitterOptions options[] = {
      {true, std::nullopt, true}, {false, false, false}, {false, true, true}};
  for (char32_t first = 0; first < 0x110000; first += block) {
    ChecksumSink sink;
    for (char32_t c = first; c < first + block; c++) {
      if (c >= 0xD800 && c < 0xE000) continue;
      std::string character;
      append_utf8(c, character);
      for (const std::string& text : {"a" + character + "B", "a\u302e" + character + "\U0001d165b"})
        for (const WordSplitterOptions& each : options) WordSplitter<ChecksumSink>(each, sink).split(text);
    }
    EXPECT_EQ(fmt::format("{:016x}", sink.value), expected[first / block]) << fmt::format(
        "U+{:04X} … U+{:04X}", static_cast<uint32_t>(first), static_cast<uint32_t>(first + block - 1));
  }
}

// Of each category one or two, and what has a case or is passed over without being of the categories that do
// and are (DerivedCoreProperties.txt). tests/models/metrics_reference_test.cpp compares all code points with
// Python's.
TEST(Characters, LettersNumbersAndCase) {
  for (char32_t c : std::u32string_view(U"Aa\u01C5\u02B0\u4E2D9\u0663\u2167\u00B2"))
    EXPECT_TRUE(is_letter_or_number(c)) << static_cast<uint32_t>(c);
  for (char32_t c : std::u32string_view(U"_ -\u0301\u0903\u20DD\u20AC\u24D0\u200B\u0378"))
    EXPECT_FALSE(is_letter_or_number(c)) << static_cast<uint32_t>(c);
  for (char32_t c : std::u32string_view(U"Aa\u01C5\u00AA\u2167\u24D0\U0001F130"))
    EXPECT_TRUE(is_cased(c)) << static_cast<uint32_t>(c);
  for (char32_t c : std::u32string_view(U"1_\u4E2D\u05D0\u0301"))
    EXPECT_FALSE(is_cased(c)) << static_cast<uint32_t>(c);
  for (char32_t c : std::u32string_view(U"'.:\u00B7\u2019\uFF1A\u0301\u20DD\u00AD\u02B0^"))
    EXPECT_TRUE(is_case_ignorable(c)) << static_cast<uint32_t>(c);
  for (char32_t c : std::u32string_view(U"Aa1 ,;-\u4E2D"))
    EXPECT_FALSE(is_case_ignorable(c)) << static_cast<uint32_t>(c);
}

// Unicode's property White_Space (PropList.txt), all of it.
TEST(Characters, WhiteSpaceIsUnicodes) {
  std::vector<char32_t> found,
      expected{0x09,   0x0A,   0x0B,   0x0C,   0x0D,   0x20,   0x85,   0xA0,   0x1680,
               0x2000, 0x2001, 0x2002, 0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008,
               0x2009, 0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000};
  for (char32_t c = 0; c < 0x110000; c++)
    if (is_white_space(c)) found.push_back(c);
  EXPECT_EQ(found, expected);
}

}  // namespace
}  // namespace bertie
