#include "bertie/data/files/embedding_file.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "bertie/data/files/mapped_file.h"
#include "tests/message_of.h"
#include "tests/temporary_folder.h"

namespace bertie {
namespace {

TEST(EmbeddingFile, SafetensorsComeBack) {
  TemporaryFolder folder;
  std::string path = folder / "rows.safetensors";
  std::vector<float> rows{1, 2, 3, 4, 5, 6};
  EmbeddingFile file(path, 3);
  file.add(rows.data(), 1);
  file.add(rows.data() + 3, 1);
  EXPECT_FALSE(std::filesystem::exists(path));
  file.commit({{"offsets", Array::from(std::vector<int32_t>{0, 2})},
               {"norms", Array::from(std::vector<float>{7, 8, 9})}});
  Safetensors read = read_safetensors(path);
  ASSERT_EQ(read.tensors.size(), 3u);
  EXPECT_EQ(read.find("norms")->to_vector<float>(), (std::vector<float>{7, 8, 9}));
  EXPECT_EQ(read.find("embeddings")->shape(), Shape({2, 3}));
  EXPECT_EQ(read.find("embeddings")->to_vector<float>(), rows);
  EXPECT_EQ(read.find("offsets")->to_vector<int32_t>(), (std::vector<int32_t>{0, 2}));
}

// NumPy's format 1.0 by its definition: magic, version, length of the header, which ends the 64-byte-aligned
// preamble with a line feed.
TEST(EmbeddingFile, NpyIsWhatNumPyExpects) {
  TemporaryFolder folder;
  std::string path = folder / "rows.npy";
  std::vector<float> rows{1, 2, 3, 4, 5, 6};
  EmbeddingFile file(path, 2);
  file.add(rows.data(), 2);
  file.add(rows.data() + 4, 1);
  EXPECT_EQ(file.rows(), 3);
  file.commit();
  std::string bytes = read_file(path);
  ASSERT_EQ(bytes.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
  size_t begin = 10 + static_cast<uint8_t>(bytes[8]) + 256 * static_cast<uint8_t>(bytes[9]);
  EXPECT_EQ(begin % 64, 0u);
  EXPECT_EQ(bytes[begin - 1], '\n');
  EXPECT_NE(bytes.find("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }"), std::string::npos);
  ASSERT_EQ(bytes.size(), begin + 6 * sizeof(float));
  EXPECT_EQ(bytes.substr(begin), std::string(reinterpret_cast<const char*>(rows.data()), 6 * sizeof(float)));
}

TEST(EmbeddingFile, RefusesWhatItCannotWrite) {
  TemporaryFolder folder;
  EXPECT_NE(message_of([&] { EmbeddingFile(folder / "rows.txt", 2); }).find(".npy or a .safetensors"),
            std::string::npos);
  EXPECT_NE(message_of([&] { EmbeddingFile(folder / "rows.npy", 0); }).find("at least one"),
            std::string::npos);
  EmbeddingFile wide(folder / "wide.npy", int64_t{1} << 40);
  float number = 1;
  for (int64_t count : {int64_t{1} << 24, int64_t{1} << 40, int64_t{-1}})
    EXPECT_NE(message_of([&] { wide.add(&number, count); }).find("[shape] "), std::string::npos);
  EmbeddingFile npy(folder / "rows.npy", 1);
  EXPECT_NE(message_of([&] {
              npy.commit({{"ids", Array::zeros({1}, DType::i32)}});
            }).find("one array"),
            std::string::npos);
  EmbeddingFile other(folder / "rows.safetensors", 1);
  EXPECT_NE(message_of([&] {
              other.commit({{"ids", Array::zeros({1}, DType::i64)}});
            }).find("i32 or f32"),
            std::string::npos);
}

}  // namespace
}  // namespace bertie
