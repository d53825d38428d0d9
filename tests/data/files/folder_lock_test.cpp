#include "bertie/data/files/folder_lock.h"

#include <sys/wait.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "tests/message_of.h"
#include "tests/temporary_folder.h"

namespace bertie {
namespace {

TEST(FolderLock, OneHoldsIt) {
  TemporaryFolder folder;
  auto first = FolderLock::try_lock(folder.path());
  ASSERT_TRUE(first && first->holds());
  EXPECT_FALSE(FolderLock::try_lock(folder.path()));
  FolderLock moved = std::move(*first);
  first.reset();
  EXPECT_FALSE(FolderLock::try_lock(folder.path()));
  { FolderLock gone = std::move(moved); }
  EXPECT_TRUE(FolderLock::try_lock(folder.path()));
  EXPECT_EQ(folder.entries(), 0u);
}

TEST(FolderLock, EndsWithItsProcess) {
  TemporaryFolder folder;
  pid_t child = fork();
  if (child == 0) {
    auto lock = FolderLock::try_lock(folder.path());
    raise(lock ? SIGKILL : SIGTERM);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
  EXPECT_TRUE(FolderLock::try_lock(folder.path()));
}

TEST(FolderLock, WaitsForItAndSeesThatTheFolderIsGone) {
  TemporaryFolder folder;
  for (bool removed : {false, true}) {
    std::string path = folder / "a";
    std::filesystem::create_directory(path);
    auto first = FolderLock::try_lock(path);
    std::optional<FolderLock> second;
    std::thread waiting([&] { second = FolderLock::wait_and_lock(path); });
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    if (removed) {
      std::filesystem::remove(path);
      std::filesystem::create_directory(path);  // another folder of that name
    }
    first.reset();
    waiting.join();
    EXPECT_EQ(second.has_value(), !removed);
  }
}

TEST(FolderLock, WhatIsNoFolder) {
  TemporaryFolder folder;
  EXPECT_FALSE(FolderLock::try_lock(folder / "missing"));
  EXPECT_FALSE(FolderLock::wait_and_lock(folder / "missing"));
  EXPECT_EQ(message_of([] { FolderLock::try_lock("/dev/null"); }),
            "[lock] can't open the folder '/dev/null': Not a directory");
}

}  // namespace
}  // namespace bertie
