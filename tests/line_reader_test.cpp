#include "data/line_reader.h"

#include <gtest/gtest.h>

#include "data/atomic_file.h"
#include "tests/message_of.h"
#include "tests/temporary_folder.h"

namespace bertie {
namespace {

std::vector<std::string> lines_of(const std::string& contents) {
  TemporaryFolder folder;
  write_file_atomically(folder / "text", contents);
  LineReader reader(folder / "text");
  std::vector<std::string> lines;
  for (std::string line; reader.next(line);) lines.push_back(line);
  return lines;
}

TEST(LineReader, OnlyLineFeedsEndLines) {
  using Lines = std::vector<std::string>;
  EXPECT_EQ(lines_of(""), Lines{});
  EXPECT_EQ(lines_of("\n"), Lines{""});
  EXPECT_EQ(lines_of("a\n\nb"), (Lines{"a", "", "b"}));
  EXPECT_EQ(lines_of("a\r\nb\vc\fd\xe2\x80\xa8"
                     "e\n"),
            (Lines{"a\r",
                   "b\vc\fd\xe2\x80\xa8"
                   "e"}));
  EXPECT_EQ(lines_of(std::string("a\0b\nc", 5)), (Lines{std::string("a\0b", 3), "c"}));
  EXPECT_EQ(lines_of(std::string(100'000, 'x') + "\ny"), (Lines{std::string(100'000, 'x'), "y"}));
}

TEST(LineReader, ErrorsNameFileAndReason) {
  TemporaryFolder folder;
  EXPECT_NE(message_of([&] { LineReader(folder / "none"); }).find("none': No such file"), std::string::npos);
  LineReader reader(folder.path());
  std::string line;
  EXPECT_NE(message_of([&] { reader.next(line); }).find("Is a directory"), std::string::npos);
}

}  // namespace
}  // namespace bertie
