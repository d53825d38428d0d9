#include "bertie/data/files/mapped_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "bertie/autograd/array.h"
#include "bertie/data/files/atomic_file.h"
#include "bertie/data/files/line_blocks.h"
#include "tests/message_of.h"
#include "tests/resident_memory.h"
#include "tests/temporary_folder.h"

namespace bertie {
namespace {

class MappedFileTest : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return folder_ / name; }
  std::string make_pipe() const {
    EXPECT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
    return path("pipe");
  }
  TemporaryFolder folder_;
};

TEST_F(MappedFileTest, OutlivesItsName) {
  std::string contents(10000, 'm');
  write_file_atomically(path("a"), contents);
  MappedFile mapped = map_file(path("a"));
  write_file_atomically(path("a"), "other");
  std::filesystem::remove(path("a"));
  EXPECT_EQ(mapped.bytes, contents);
}

// Bytes of a file as arrays, neither of which begins or ends with a page.
class PartsOfAFile : public MappedFileTest {
 protected:
  static constexpr int64_t part_bytes = (int64_t{16} << 20) + 200;
  static constexpr int64_t slack = int64_t{5} << 20;  // where one page is touched, the system maps 2 MiB
  PartsOfAFile() {
    for (size_t i = 0; i < contents_.size(); ++i) contents_[i] = static_cast<char>(i * 7 + i / 251);
    std::ofstream(path("parts"), std::ios::binary) << contents_;
    file_ = map_file(path("parts"));
  }
  // Read, so that it is in memory.
  Array part(int64_t i) const {
    std::string_view bytes = file_.bytes.substr(i * part_bytes, part_bytes);
    Array array = Array::wrap(bytes.data(), {part_bytes}, DType::i8, owner_of(file_, bytes));
    expect_part(array, i);
    return array;
  }
  void expect_part(const Array& array, int64_t i) const {
    std::string_view found(static_cast<const char*>(array.bytes_begin()), part_bytes);
    EXPECT_TRUE(found == std::string_view(contents_).substr(i * part_bytes, part_bytes)) << i;
  }

  std::string contents_ = std::string(3 * part_bytes, '\0');
  MappedFile file_;
};

// And no more than that.
TEST_F(PartsOfAFile, WhatNobodyWantsGoesFromMemory) {
  Array first = part(0), second = part(1), third = part(2);
  int64_t all = resident_memory();
  second = {};
  EXPECT_NEAR(all - resident_memory(), part_bytes, slack);
  expect_part(first, 0);  // of each the pages at the ends were the second's, too
  expect_part(third, 2);
  EXPECT_NEAR(all - resident_memory(), part_bytes, slack);
  third = {};
  EXPECT_NEAR(all - resident_memory(), 2 * part_bytes, slack);
  expect_part(first, 0);
}

TEST_F(PartsOfAFile, WhatIsWantedElsewhereIsReadAnew) {
  Array one = part(1), same = part(1);
  int64_t all = resident_memory();
  one = {};
  EXPECT_NEAR(all - resident_memory(), part_bytes, slack);
  expect_part(same, 1);
  EXPECT_NEAR(all - resident_memory(), 0, slack);
}

TEST_F(PartsOfAFile, ViewsKeepThem) {
  Array one = part(1), rows = one.rows(5, part_bytes);
  int64_t all = resident_memory();
  one = {};
  EXPECT_NEAR(all - resident_memory(), 0, slack);
  EXPECT_EQ(rows.data<int8_t>()[0], static_cast<int8_t>(contents_[part_bytes + 5]));
}

TEST_F(PartsOfAFile, TheyOutliveTheFile) {
  Array one = part(1);
  file_ = {};
  std::filesystem::remove(path("parts"));
  expect_part(one, 1);
}

// Less than a page, and nothing.
TEST_F(PartsOfAFile, SmallOnesLeaveThePageToOthers) {
  for (int64_t size : {0, 1, 100, 4095}) {
    std::string_view bytes = file_.bytes.substr(50, size);
    Array::wrap(static_cast<const void*>(bytes.data()), {size}, DType::i8, owner_of(file_, bytes));
  }
  part(0);
}

using Read = void (*)(const std::string& path);
constexpr Read map = [](const std::string& path) { map_file(path); };
constexpr Read read = [](const std::string& path) { read_file(path); };
constexpr Read text = [](const std::string& path) { read_text(path); };
constexpr Read lines = [](const std::string& path) { LineBlocks blocks(path); };

TEST_F(MappedFileTest, NamesFileAndReason) {
  std::string missing = path("missing");
  for (Read any : {map, read, text, lines}) {
    EXPECT_EQ(message_of([&] { any(missing); }),
              "[read] can't read '" + missing + "': No such file or directory");
    EXPECT_EQ(message_of([&] { any(folder_.path()); }),
              "[read] can't read '" + folder_.path() + "': Is a directory");
  }
  write_file_atomically(path("empty"), "");
  EXPECT_EQ(map_file(path("empty")).bytes, "");
  EXPECT_FALSE(read_file("/proc/self/status").empty());  // whose size the system gives as 0
}

// Nobody ever writes to the pipe, and the zeros never end.
TEST_F(MappedFileTest, RefusesWhatHasNoEnd) {
  std::string pipe = make_pipe();
  for (Read any : {map, read})
    EXPECT_EQ(message_of([&] { any(pipe); }), "[read] '" + pipe + "' must be a regular file, it is a pipe");
  for (Read any : {map, read})
    EXPECT_EQ(message_of([&] { any("/dev/zero"); }),
              "[read] '/dev/zero' must be a regular file, it is a device");
  for (Read any : {text, lines})
    EXPECT_EQ(message_of([&] { any("/dev/zero"); }),
              "[read] '/dev/zero' must be a regular file or a pipe, it is a device");
}

TEST_F(MappedFileTest, ATextMayComeThroughAPipe) {
  std::string pipe = make_pipe(), contents(300'000, 'x');
  std::thread writer([&] {
    std::ofstream out(pipe);
    for (int i = 0; i < 3; ++i) {
      out << contents << std::flush;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  });
  EXPECT_EQ(read_text(pipe), contents + contents + contents);
  writer.join();
}

TEST_F(MappedFileTest, LargerThanMemory) {
  std::ofstream(path("large")) << "x";
  if (::truncate(path("large").c_str(), off_t{1} << 43) != 0)
    GTEST_SKIP() << "this file system has no files of 8 TiB";
  for (Read any : {read, text})
    EXPECT_EQ(message_of([&] {
                any(path("large"));
              }).find("[read] '" + path("large") + "' must fit into memory: 8796.1 GB are wanted"),
              0u);
}

}  // namespace
}  // namespace bertie
