// Event files: checksums against published ones, a whole file against one that TensorBoard reads as said in
// tests/apps/check_events.py, which made the reference beside it.
#include "apps/run/tensorboard.h"

#include <gtest/gtest.h>

#include <numeric>

#include "bertie/data/files/mapped_file.h"
#include "tests/temporary_folder.h"

namespace bertie {
namespace {

// RFC 3720, B.4, and the check value of the CRC catalog.
TEST(Crc32c, OfPublishedVectors) {
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  std::string ascending(32, '\0');
  std::iota(ascending.begin(), ascending.end(), '\0');
  EXPECT_EQ(crc32c(ascending), 0x46dd794eu);
  std::string descending(ascending.rbegin(), ascending.rend());
  EXPECT_EQ(crc32c(descending), 0x113fdb5cu);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(""), 0u);
}

// What check_events.py expects.
void write_run(const std::string& folder) {
  EventFile first(folder, 0, 1700000000.25);
  first.add({{"kind", "evaluation"}, {"step", 0}, {"held_out", {{"loss", 9.5}, {"scored", 5000}}}},
            1700000001);
  for (int step : {1, 2, 3})
    first.add({{"kind", "training"}, {"step", step}, {"loss", 9.0 - step}, {"gradient_norm", nullptr}},
              1700000001 + step);
  EventFile second(folder, 2, 1700000100);  // resumed after step 2
  for (int step : {3, 300})
    second.add({{"kind", "training"}, {"step", step}, {"loss", 0.125 * step}}, 1700000100 + step);
}

// The bytes of the files in a folder, in the order of their names.
std::string bytes_in(const std::string& folder) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) names.insert(entry.path());
  std::string bytes;
  for (const std::string& name : names) bytes += read_file(name);
  return bytes;
}

TEST(EventFile, IsAsTensorBoardReadIt) {
  TemporaryFolder folder;
  write_run(folder / "tensorboard");
  const char* keep = std::getenv("BERTIE_EVENTS");  // check_events.py reads them
  if (keep) write_run(keep);
  EXPECT_EQ(bytes_in(folder / "tensorboard"),
            read_file(BERTIE_SOURCE_DIR "/tests/apps/reference/events.bin"));
}

TEST(EventFile, HasTheNamesThatTensorBoardLooksFor) {
  TemporaryFolder folder;
  EventFile file(folder / "tensorboard", 0, 1700000000.75);
  EXPECT_EQ(file.path().find((folder / "tensorboard") + "/events.out.tfevents.1700000000."), 0u);
}

}  // namespace
}  // namespace bertie
