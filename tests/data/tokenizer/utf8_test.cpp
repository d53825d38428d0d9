#include "bertie/data/tokenizer/utf8.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

namespace bertie {
namespace {

std::string from_hex(const std::string& code) {
  std::string bytes;
  for (size_t i = 0; i < code.size(); i += 3) {
    bytes += static_cast<char>(std::stoi(code.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

TEST(Utf8, InvalidBytesAreReplacedAsPythonDoes) {
  std::ifstream file(BERTIE_SOURCE_DIR "/tests/data/tokenizer/reference/tokenizer.json");
  auto cases = nlohmann::json::parse(file)["utf8"];
  ASSERT_GT(cases.size(), 30u);
  for (const auto& c : cases) {
    std::string bytes = from_hex(c[0]), expected = c[1];
    int64_t replaced = 0, expected_replaced = 0;
    EXPECT_EQ(replace_invalid_utf8(bytes, replaced), expected) << c[0];
    for (size_t at = 0; (at = expected.find("\uFFFD", at)) != std::string::npos; at += 3) ++expected_replaced;
    // A U+FFFD that the bytes themselves hold isn't a replacement.
    EXPECT_EQ(replaced, bytes == "\uFFFD" ? 0 : expected_replaced) << c[0];
  }
}

TEST(Utf8, EveryCodePointSurvivesTheRoundTrip) {
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    char bytes[5] = {0, 0, 0, 0, 'x'};
    int32_t length = encode_utf8(c, bytes);
    Utf8Character read = decode_utf8({bytes, static_cast<size_t>(length)});
    bool surrogate = c >= 0xD800 && c <= 0xDFFF;
    ASSERT_EQ(read.code_point, surrogate ? 0xFFFD : c);
    ASSERT_TRUE(read.valid && read.bytes == length && bytes[4] == 'x') << static_cast<uint32_t>(c);
  }
  std::string text;
  append_utf8(0x110000, text);
  EXPECT_EQ(text, "\uFFFD");
}

TEST(Utf8, FindsTheFirstInvalidByte) {
  EXPECT_EQ(find_invalid_utf8(""), std::string_view::npos);
  EXPECT_EQ(find_invalid_utf8("a é 中 😂"), std::string_view::npos);
  EXPECT_EQ(find_invalid_utf8("aé\xE2\x82z"), 3u);
  for (size_t size = 1; size < 30; ++size)
    for (size_t at = 0; at < size; ++at)
      for (char byte : {'\x80', '\xFF'}) {
        std::string text(size, 'a');
        text[at] = byte;
        EXPECT_EQ(find_invalid_utf8(text), at) << size;
      }
}

}  // namespace
}  // namespace bertie
