#include "bertie/data/files/line_blocks.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <fstream>
#include <thread>

#include "tests/message_of.h"
#include "tests/standard_input_of.h"
#include "tests/temporary_folder.h"

namespace bertie {
namespace {

using Lines = std::vector<std::string>;

Lines lines_of(const std::string& contents) {
  TemporaryFolder folder;
  std::ofstream(folder / "text", std::ios::binary) << contents;
  LineBlocks blocks(folder / "text");
  Lines lines;
  for (auto block = blocks.next(); !block.empty(); block = blocks.next()) {
    EXPECT_EQ(blocks.first_number(), static_cast<int64_t>(lines.size()) + 1);
    lines.insert(lines.end(), block.begin(), block.end());
  }
  EXPECT_TRUE(blocks.next().empty());
  return lines;
}

TEST(LineBlocks, OnlyLineFeedsEndLines) {
  EXPECT_EQ(lines_of(""), Lines{});
  EXPECT_EQ(lines_of("\n"), Lines{""});
  EXPECT_EQ(lines_of("a"), Lines{"a"});
  EXPECT_EQ(lines_of("a\n"), Lines{"a"});
  EXPECT_EQ(lines_of("\n\na b\r\n\u2028c\v\f\n\nd"), (Lines{"", "", "a b\r", "\u2028c\v\f", "", "d"}));
  EXPECT_EQ(lines_of(std::string("a\0b\n", 4)), Lines{std::string("a\0b", 3)});
}

// It goes on where standard input is, and leaves that open.
TEST(LineBlocks, ADashIsStandardInput) {
  StandardInputOf input("a\nb\nc\n", 2);
  {
    LineBlocks blocks("-");
    auto lines = blocks.next();
    EXPECT_EQ(Lines(lines.begin(), lines.end()), (Lines{"b", "c"}));
    EXPECT_TRUE(blocks.next().empty());
  }
  EXPECT_GE(::fcntl(STDIN_FILENO, F_GETFD), 0);
}

TEST(LineBlocks, LinesOfAnyLength) {
  Lines expected;
  std::string contents;
  for (size_t length : {0, 1, 1000, 3'000'000, 5, 1 << 20, (1 << 20) - 1, (1 << 19) + 1, 0, 7'654'321, 2}) {
    expected.push_back(std::string(length, static_cast<char>('a' + expected.size())));
    contents += expected.back() + "\n";
  }
  for (int i = 0; i < 200'000; ++i) {
    expected.push_back(std::to_string(i));
    contents += expected.back() + "\n";
  }
  EXPECT_TRUE(lines_of(contents) == expected);
}

// Parts of at most 10 bytes: behind white space, or between characters, or, in what is no UTF-8, anywhere.
TEST(LineBlocks, LongerLinesComeInParts) {
  TemporaryFolder folder;
  Lines expected = {"one two ",
                    "three four",
                    "0123456789",
                    "5",
                    "",
                    "äöüäö",
                    "üa",
                    "€€€",
                    "€€",
                    "a ",
                    "bcdefghijk",
                    "lm",
                    "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80",
                    "\x80",
                    "end"};
  std::vector<int64_t> numbers = {1, 1, 2, 3, 4, 5, 5, 6, 6, 7, 7, 7, 8, 8, 9};
  std::string contents;
  for (size_t i = 0; i < expected.size(); ++i)
    contents += expected[i] + (i + 1 < numbers.size() && numbers[i + 1] == numbers[i] ? "" : "\n");
  std::ofstream(folder / "text", std::ios::binary) << contents;
  for (size_t block : {2, 7, 10, 64, 1 << 20}) {
    LineBlocks blocks(folder / "text", {block, 10, true});
    Lines lines;
    for (auto next = blocks.next(); !next.empty(); next = blocks.next()) {
      for (size_t i = 0; i < next.size(); ++i)
        EXPECT_EQ(blocks.first_number() + static_cast<int64_t>(i), numbers.at(lines.size() + i));
      lines.insert(lines.end(), next.begin(), next.end());
      bool goes_on = lines.size() < numbers.size() && numbers[lines.size()] == numbers[lines.size() - 1];
      EXPECT_EQ(blocks.last_goes_on(), goes_on) << lines.size();
    }
    EXPECT_EQ(lines, expected) << block;
  }
}

TEST(LineBlocks, RefusesLongerLinesAfterThoseBefore) {
  TemporaryFolder folder;
  std::string path = folder / "text";
  std::ofstream(path) << "0123456789\nb\n0123456789x\nd\n";
  for (size_t block : {2, 7, 1 << 20}) {
    LineBlocks blocks(path, {block, 10});
    Lines lines;
    std::string message = message_of([&] {
      for (auto next = blocks.next(); !next.empty(); next = blocks.next())
        lines.insert(lines.end(), next.begin(), next.end());
    });
    EXPECT_EQ(lines, (Lines{"0123456789", "b"})) << block;
    EXPECT_EQ(message, "[read] line 3 of '" + path + "' must have at most 10 bytes, it has more");
  }
  std::ofstream(path) << std::string(16 << 20, 'a') << "\n" << std::string((16 << 20) + 1, 'b');
  LineBlocks blocks(path);
  EXPECT_EQ(blocks.next()[0].size(), size_t{16} << 20);
  EXPECT_EQ(message_of([&] { blocks.next(); }),
            "[read] line 2 of '" + path + "' must have at most 16777216 bytes, it has more");
}

TEST(LineBlocks, APipesLinesComeAsTheyAreWritten) {
  TemporaryFolder folder;
  std::string path = folder / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  std::atomic<int> stage = 0;
  std::thread writer([&] {
    std::ofstream pipe(path);
    pipe << "one\ntwo\nth" << std::flush;
    while (stage < 1) std::this_thread::yield();
    pipe << "ree\n" << std::flush;
  });
  LineBlocks blocks(path);
  Lines lines;
  auto add_next = [&] {
    for (std::string_view line : blocks.next()) lines.emplace_back(line);
  };
  add_next();
  EXPECT_EQ(lines, (Lines{"one", "two"}));
  stage = 1;
  add_next();
  EXPECT_EQ(lines, (Lines{"one", "two", "three"}));
  writer.join();
  EXPECT_TRUE(blocks.next().empty());
}

// A line feed that comes alone ends the line that came before; more isn't waited for.
TEST(LineBlocks, APipesLineFeedMayComeAlone) {
  TemporaryFolder folder;
  std::string path = folder / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  std::atomic<bool> done = false;
  std::thread writer([&] {
    int pipe = ::open(path.c_str(), O_WRONLY);
    EXPECT_EQ(::write(pipe, "line", 4), 4);
    for (int unread = 1; unread > 0; std::this_thread::yield()) ::ioctl(pipe, FIONREAD, &unread);
    EXPECT_EQ(::write(pipe, "\n", 1), 1);
    while (!done) std::this_thread::yield();  // the pipe stays open
    ::close(pipe);
  });
  LineBlocks blocks(path);
  Lines lines;
  for (std::string_view line : blocks.next()) lines.emplace_back(line);
  EXPECT_EQ(lines, Lines{"line"});
  done = true;
  writer.join();
}

// A handler that runs while a pipe has nothing to read.
TEST(LineBlocks, ASignalIsNoEnd) {
  TemporaryFolder folder;
  std::string path = folder / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  static std::atomic<int> signals;
  signals = 0;
  struct sigaction action {
  }, before{};
  action.sa_handler = [](int) { ++signals; };
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
  std::thread writer([&, reader = ::pthread_self()] {
    std::ofstream pipe(path);
    for (int i = 0; i < 5; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      ::pthread_kill(reader, SIGUSR1);
    }
    while (signals == 0) std::this_thread::yield();
    pipe << "line\n";
  });
  LineBlocks blocks(path);
  Lines lines;
  for (std::string_view line : blocks.next()) lines.emplace_back(line);
  writer.join();
  EXPECT_EQ(lines, Lines{"line"});
  ::sigaction(SIGUSR1, &before, nullptr);
}

TEST(LineBlocks, SaysWhyItCannotRead) {
  TemporaryFolder folder;
  EXPECT_EQ(message_of([&] { LineBlocks blocks(folder / "none"); }),
            "[read] can't read '" + (folder / "none") + "': No such file or directory");
  EXPECT_NE(message_of([&] { LineBlocks blocks(folder.path()); }).find("Is a directory"), std::string::npos);
}

}  // namespace
}  // namespace bertie
