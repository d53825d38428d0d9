#include "bertie/data/files/atomic_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "bertie/data/files/mapped_file.h"
#include "tests/message_of.h"
#include "tests/temporary_folder.h"

namespace bertie {
namespace {

namespace fs = std::filesystem;

class AtomicFileTest : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return folder_ / name; }

  TemporaryFolder folder_;
};

TEST_F(AtomicFileTest, AppearsOnlyWithCommit) {
  AtomicFile file(path("a"));
  file.write("one ");
  file.write(std::string(100000, 'x'));  // more than the buffer
  file.write(" two");
  EXPECT_FALSE(fs::exists(path("a")));
  file.commit();
  EXPECT_EQ(read_file(path("a")), "one " + std::string(100000, 'x') + " two");
  EXPECT_EQ(folder_.entries(), 1u);
  EXPECT_THROW(file.write("more"), Error);
  EXPECT_THROW(file.commit(), Error);
}

TEST_F(AtomicFileTest, WhatWasWrittenCanBeReplaced) {
  AtomicFile file(path("a"));
  file.write("???? and ");
  file.overwrite(0, "head");
  EXPECT_THROW(file.overwrite(6, "long"), Error);
  file.write("tail");
  file.commit();
  EXPECT_EQ(read_file(path("a")), "head and tail");
  AtomicFile other(path("b"));
  other.write("four");
  EXPECT_EQ(
      message_of([&] { other.overwrite(INT64_MAX, "xy"); }),
      "[write] '" + path("b") + "' has 4 bytes, so 2 from byte 9223372036854775807 on can't be replaced");
}

TEST_F(AtomicFileTest, WithoutCommitTheOldFileStays) {
  write_file_atomically(path("a"), "old");
  {
    AtomicFile file(path("a"));
    file.write("new");
  }
  EXPECT_EQ(read_file(path("a")), "old");
  EXPECT_EQ(folder_.entries(), 1u);
  write_file_atomically(path("a"), "");
  EXPECT_EQ(read_file(path("a")), "");
  EXPECT_EQ(folder_.entries(), 1u);
}

TEST_F(AtomicFileTest, TwoWritersDoNotMix) {
  AtomicFile a(path("a")), b(path("a"));
  a.write("first");
  b.write("second");
  b.commit();
  a.commit();
  EXPECT_EQ(read_file(path("a")), "first");
  EXPECT_EQ(folder_.entries(), 1u);
}

// Of a program that is killed nothing is left, whatever it had written.
TEST_F(AtomicFileTest, NothingHasANameBeforeCommit) {
  int nameless = ::open(folder_.path().c_str(), O_TMPFILE | O_WRONLY, 0600);
  if (nameless < 0) GTEST_SKIP() << "the file system has no nameless files";
  ::close(nameless);
  AtomicFile file(path("a"));
  file.write(std::string(100000, 'x'));
  EXPECT_EQ(folder_.entries(), 0u);
}

TEST_F(AtomicFileTest, WhatAKilledProgramLeftGoes) {
  write_file_atomically(path("a"), "old");
  for (const char* name : {"a.tmp-12-0", "a.tmp-1-x", "a.tmp-12", "a.tmp--1", "b.tmp-12-0", "a.tmp-1-2-3"})
    write_file_atomically(path(name), "");
  write_file_atomically(path("a.tmp-34-5"), "somebody's");
  int other = ::open(path("a.tmp-34-5").c_str(), O_RDONLY);  // who is about to replace `a`, too
  ASSERT_EQ(::flock(other, LOCK_EX | LOCK_NB), 0);
  { AtomicFile file(path("a")); }
  EXPECT_FALSE(fs::exists(path("a.tmp-12-0")));
  EXPECT_EQ(folder_.entries(), 7u);
  ::close(other);
  write_file_atomically(path("a"), "new");
  EXPECT_FALSE(fs::exists(path("a.tmp-34-5")));
  EXPECT_EQ(folder_.entries(), 6u);
}

TEST_F(AtomicFileTest, ErrorsNameFileAndReason) {
  std::string missing = path("no/such");
  EXPECT_EQ(message_of([&] { write_file_atomically(missing, "x"); }),
            "[write] can't write '" + missing + "': No such file or directory");
  EXPECT_EQ(message_of([&] { write_file_atomically(folder_.path(), "x"); }),
            "[write] can't write '" + folder_.path() + "': Is a directory");
  EXPECT_EQ(message_of([&] { write_file_atomically("", "x"); }),
            "[write] can't write '': No such file or directory");
  // A pipe of its own: /dev/null would be gone from the machine where this fails.
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(message_of([&] { write_file_atomically(path("pipe"), "x"); }),
            "[write] can replace only regular files, and '" + path("pipe") + "' is none");
  fs::remove(path("pipe"));
  write_file_atomically(path("file"), "");
  EXPECT_NE(message_of([&] { write_file_atomically(path("file/below"), "x"); }).find("Not a directory"),
            std::string::npos);
  EXPECT_EQ(folder_.entries(), 1u);
}

TEST_F(AtomicFileTest, FolderWithoutPermission) {
  fs::create_directory(path("locked"));
  fs::permissions(path("locked"), fs::perms::owner_read | fs::perms::owner_exec);
  bool root = ::geteuid() == 0;  // who may write anywhere, so the test becomes nobody for a moment
  if (root) {
    ASSERT_EQ(::chown(path("locked").c_str(), 65534, 65534), 0);
    ASSERT_EQ(::chmod(folder_.path().c_str(), 0755), 0);
    ASSERT_EQ(::seteuid(65534), 0);
  }
  std::string message = message_of([&] { write_file_atomically(path("locked/a"), "x"); });
  if (root) {
    ASSERT_EQ(::seteuid(0), 0);
  }
  EXPECT_EQ(message, "[write] can't write '" + path("locked/a") + "': Permission denied");
  EXPECT_TRUE(fs::is_empty(path("locked")));
}

// A limit on the size of files stands in for a full disk: write() fails halfway.
TEST_F(AtomicFileTest, DiskFullLeavesNothing) {
  rlimit old_limit;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  rlimit limit = old_limit;
  limit.rlim_cur = 150000;
  auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  std::string large = message_of([&] { write_file_atomically(path("large"), std::string(200000, 'x')); });
  std::string many = message_of([&] {
    AtomicFile file(path("many"));
    for (int i = 0; i < 2000; i++) file.write(std::string(100, 'x'));
    file.commit();
  });
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old_limit), 0);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(large, "[write] can't write '" + path("large") + "': File too large");
  EXPECT_EQ(many, "[write] can't write '" + path("many") + "': File too large");
  EXPECT_EQ(folder_.entries(), 0u);
}

}  // namespace
}  // namespace bertie
