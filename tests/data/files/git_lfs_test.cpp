#include <gtest/gtest.h>

#include <fstream>

#include "bertie/data/files/mapped_file.h"
#include "bertie/data/files/safetensors.h"
#include "tests/message_of.h"
#include "tests/temporary_folder.h"

namespace bertie {
namespace {

// What a clone without git's extension for large files has in the weights' place.
TEST(GitLfs, APointerIsCalledThat) {
  TemporaryFolder folder;
  std::string path = folder / "model.safetensors",
              expected = "[read] '" + path +
                         "' is a Git LFS pointer in place of the file: `git lfs pull` fetches that";
  std::ofstream(path)
      << "version https://git-lfs.github.com/spec/v1\noid sha256:53aa51172d142c89d9012cce15ae4d6c\n"
         "size 90868376\n";
  EXPECT_EQ(message_of([&] { read_safetensors(path); }), expected);
  EXPECT_EQ(message_of([&] { map_file(path); }), expected);
  EXPECT_EQ(message_of([&] { read_file(path); }), expected);
  std::ofstream(path) << "version 1 of a text";
  EXPECT_EQ(read_file(path), "version 1 of a text");
}

}  // namespace
}  // namespace bertie
