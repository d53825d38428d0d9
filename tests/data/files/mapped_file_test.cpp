#include "bertie/data/files/mapped_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "bertie/data/files/atomic_file.h"
#include "bertie/data/files/line_blocks.h"
#include "tests/message_of.h"
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
