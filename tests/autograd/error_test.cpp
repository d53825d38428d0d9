#include "bertie/autograd/error.h"

#include <gtest/gtest.h>

#include "tests/message_of.h"

namespace bertie {
namespace {

TEST(Shown, EscapesWhatATerminalWouldActOn) {
  EXPECT_EQ(shown("naïve 日本 🙂 ~"), "naïve 日本 🙂 ~");
  EXPECT_EQ(shown(std::string_view("a\0\t\n\r\x1b[31m\x7f", 11)), R"(a\x00\x09\x0a\x0d\x1b[31m\x7f)");
  EXPECT_EQ(shown("\u0080\u009b\u00a0"), "\\xc2\\x80\\xc2\\x9b\u00a0");  // control characters above ASCII
}

// Table 3-7 of the Unicode Standard: the limits of well-formed UTF-8.
TEST(Shown, EscapesWhatIsNoUtf8) {
  for (const char* valid : {"\xc2\xa0", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
                            "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"})
    EXPECT_EQ(shown(valid), valid);
  for (const char* invalid :
       {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xe0\xa0"}) {
    std::string expected;
    for (const char* byte = invalid; *byte; ++byte)
      expected += fmt::format("\\x{:02x}", static_cast<unsigned char>(*byte));
    EXPECT_EQ(shown(invalid), expected);
  }
  // What follows a first byte and doesn't belong to it is shown for itself.
  EXPECT_EQ(shown("\xc3(!"), R"(\xc3(!)");
  EXPECT_EQ(shown("\xe2\x82(!"), R"(\xe2\x82(!)");
  EXPECT_EQ(shown("\xf0\x9f\x99"
                  "\xc3\xa9"),
            R"(\xf0\x9f\x99)"
            "é");
}

TEST(Shown, CutsLongTexts) {
  auto repeated = [](const std::string& character, size_t count) {
    std::string text;
    for (size_t i = 0; i < count; ++i) text += character;
    return text;
  };
  for (const std::string character : {"x", "é", "日", "🙂"}) {
    EXPECT_EQ(shown(repeated(character, 200)), repeated(character, 200));
    for (size_t count : {201, 300, 100'000})
      EXPECT_EQ(shown("a" + repeated(character, count - 2) + "z"),
                "a" + repeated(character, 99) + " … " + repeated(character, 99) + "z");
  }
  EXPECT_EQ(shown(std::string(100'000, '\x01')), repeated("\\x01", 100) + " … " + repeated("\\x01", 100));
}

TEST(Fail, ShowsTexts) {
  std::string text = "a\nb";
  EXPECT_EQ(message_of([&] { fail("op", "{} {} {} {}", text, text.c_str(), std::string_view(text), 3); }),
            R"([op] a\x0ab a\x0ab a\x0ab 3)");
}

TEST(Listing, NamesTheFirstTen) {
  Listing list("\n  ");
  EXPECT_TRUE(list.empty());
  EXPECT_EQ(list.str(), "");
  std::string expected;
  for (int i = 1; i <= 10; ++i) {
    list.add(std::to_string(i));
    expected += "\n  " + std::to_string(i);
  }
  EXPECT_EQ(list.str(), expected);
  for (int i = 0; i < 7; ++i) list.add("more");
  EXPECT_EQ(message_of([&] { fail("op", "a list:{}", list); }), "[op] a list:" + expected + "\n  and 7 more");
}

}  // namespace
}  // namespace bertie
