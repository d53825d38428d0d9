#include "bertie/data/tasks/text_lines.h"

#include <gtest/gtest.h>

#include "bertie/data/files/input_file.h"
#include "tests/message_of.h"

namespace bertie {
namespace {

std::vector<std::string> lines_of(std::string_view text) {
  TextLines lines("lines", std::make_unique<InputFile>("a.txt", text));
  std::vector<std::string> result;
  while (lines.next()) result.emplace_back(lines.line());
  return result;
}

TEST(TextLines, AreAllLinesOfTheFile) {
  using Lines = std::vector<std::string>;
  EXPECT_EQ(lines_of(""), Lines{});
  EXPECT_EQ(lines_of("a\n\nb"), (Lines{"a", "", "b"}));
  EXPECT_EQ(lines_of("\xef\xbb\xbf"
                     "a\r\n"),
            Lines{"a\r"});
  EXPECT_EQ(lines_of("a\n\xef\xbb\xbf"), (Lines{"a", "\xef\xbb\xbf"}));  // only the file's begin
}

TEST(TextLines, KnowTheirPlace) {
  TextLines lines("lines", std::make_unique<InputFile>("a.txt", "a\nb\n"));
  ASSERT_TRUE(lines.has_next() && lines.next() && lines.next());
  EXPECT_EQ(lines.place().str(), "a.txt, line 2");
  EXPECT_FALSE(lines.next());
  EXPECT_EQ(FilePlace().str(), "the data");
}

TEST(TextLines, NameTheLineThatIsNotUtf8) {
  EXPECT_EQ(message_of([] { lines_of("a\nb\xff\n"); }),
            "[lines] a.txt, line 2: a text must be UTF-8, byte 2 of this line isn't");
}

TEST(TextLines, WhiteSpaceAroundATextIsLeftOut) {
  EXPECT_EQ(stripped(" \t a b\r\n"), "a b");
  EXPECT_EQ(stripped(" \t"), "");
  EXPECT_TRUE(is_blank(" \t\r\n\v\f") && is_blank("") && !is_blank(" a"));
  EXPECT_EQ(without_return("a\r\r"), "a\r");
}

}  // namespace
}  // namespace bertie
