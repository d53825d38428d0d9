#include "bertie/data/files/safetensors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "bertie/data/files/mapped_file.h"
#include "tests/message_of.h"
#include "tests/resident_memory.h"
#include "tests/temporary_folder.h"

namespace bertie {
namespace {

const std::string reference_file = BERTIE_SOURCE_DIR "/tests/data/files/reference/dtypes.safetensors";

// A file of the given header and data; the length that it claims is the header's own unless given.
std::string file_bytes(const std::string& header, const std::string& data, int64_t length = -1) {
  uint64_t claimed = length < 0 ? header.size() : static_cast<uint64_t>(length);
  return std::string(reinterpret_cast<const char*>(&claimed), 8) + header + data;
}

std::string tensor(const std::string& name, const std::string& dtype, const std::string& shape, int64_t begin,
                   int64_t end) {
  return fmt::format(R"("{}":{{"dtype":"{}","shape":{},"data_offsets":[{},{}]}})", name, dtype, shape, begin,
                     end);
}

class SafetensorsTest : public testing::Test {
 protected:
  // A new file, which the system doesn't flush to the disk.
  void write(const std::string& bytes) {
    std::filesystem::remove(path_);
    std::ofstream(path_, std::ios::binary) << bytes;
  }
  Safetensors read(const std::string& bytes) {
    write(bytes);
    return read_safetensors(path_);
  }
  // The message without "[safetensors] path: ", which every one must begin with.
  std::string refusal(const std::string& bytes) {
    std::string message = message_of([&] { read(bytes); });
    std::string start = "[safetensors] " + path_ + ": ";
    EXPECT_EQ(message.substr(0, start.size()), start);
    return message.substr(std::min(start.size(), message.size()));
  }
  std::string refusal(const std::string& header, const std::string& data) {
    return refusal(file_bytes(header, data));
  }

  TemporaryFolder folder_;
  std::string path_ = folder_ / "model.safetensors";
};

TEST_F(SafetensorsTest, ReadsWhatTheReferenceImplementationWrote) {
  Safetensors file = read_safetensors(reference_file);
  EXPECT_EQ(file.metadata, (std::map<std::string, std::string>{{"format", "pt"}}));
  ASSERT_EQ(file.tensors.size(), 10u);
  auto get = [&](const std::string& name) -> const Array& {
    const Array* array = file.find(name);
    if (array == nullptr) throw std::runtime_error("no tensor " + name);
    return *array;
  };
  EXPECT_EQ(get("f64").shape(), Shape());
  EXPECT_EQ(get("f64").to_vector<double>(), std::vector<double>{-0.1});
  EXPECT_EQ(get("i64").shape(), (Shape{2, 1}));
  EXPECT_EQ(get("i64").to_vector<int64_t>(), (std::vector<int64_t>{-(int64_t{1} << 62), 7}));
  EXPECT_EQ(get("f32").shape(), (Shape{2, 3}));
  EXPECT_EQ(get("f32").to_vector<float>(), (std::vector<float>{0.5f, -1.25f, 3e-30f, 1, 2, INFINITY}));
  EXPECT_EQ(get("i32").to_vector<int32_t>(), (std::vector<int32_t>{INT32_MIN, 0, INT32_MAX}));
  EXPECT_EQ(get("i8").shape(), (Shape{3, 1, 1}));
  EXPECT_EQ(get("i8").to_vector<int8_t>(), (std::vector<int8_t>{-128, 127, 0}));
  EXPECT_EQ(get("bool").to_vector<bool>(), (std::vector<bool>{true, false, true}));
  EXPECT_EQ(get("empty").shape(), (Shape{0, 4}));
  EXPECT_EQ(get("größe \"✓\"\n").to_vector<float>(), std::vector<float>{42});
  EXPECT_EQ(get("f16").dtype(), DType::f16);
  EXPECT_EQ(get("f16").item(0), 0.333251953125);
  EXPECT_EQ(get("f16").item(1), -65504);
  EXPECT_EQ(get("bf16").dtype(), DType::bf16);
  EXPECT_EQ(get("bf16").item(0), 1.0078125);
  EXPECT_EQ(get("bf16").cast(DType::f32).item(1), std::ldexp(-226.0, 120));  // -3e38 in 8 bits
  EXPECT_EQ(file.find("f65"), nullptr);
}

TEST_F(SafetensorsTest, WritesTheBytesOfTheReferenceImplementation) {
  Safetensors file = read_safetensors(reference_file);
  write_safetensors(path_, file.tensors, file.metadata);
  EXPECT_EQ(read_file(path_), read_file(reference_file));
  EXPECT_EQ(folder_.entries(), 1u);
}

TEST_F(SafetensorsTest, RoundTrip) {
  Array matrix = Array::from(std::vector<float>{1, 2, 3, 4, 5, 6}, {3, 2});
  std::vector<NamedArray> tensors = {{"z", Array::from(std::vector<int8_t>{5})},
                                     {"y", matrix},
                                     {"a", matrix.rows(1, 3)},
                                     {"nothing", Array::empty({2, 0}, DType::f64)},
                                     {"", Array::full({}, 2.5, DType::f64)}};
  write_safetensors(path_, tensors, {});
  Safetensors file = read_safetensors(path_);
  EXPECT_TRUE(file.metadata.empty());
  std::vector<std::string> names;
  for (const NamedArray& stored : file.tensors) names.push_back(stored.name);
  // Large elements first, otherwise as given.
  EXPECT_EQ(names, (std::vector<std::string>{"nothing", "", "y", "a", "z"}));
  EXPECT_EQ(file.find("a")->to_vector<float>(), (std::vector<float>{3, 4, 5, 6}));
  EXPECT_EQ(file.find("")->item(), 2.5);
  EXPECT_EQ(file.find("z")->to_vector<int8_t>(), std::vector<int8_t>{5});
  EXPECT_EQ(file.find("nothing")->shape(), (Shape{2, 0}));

  std::string first = read_file(path_);
  EXPECT_EQ(static_cast<unsigned char>(first[0]) % 8, 0);  // the header is padded
  write_safetensors(path_, tensors, {});
  EXPECT_EQ(read_file(path_), first);
}

TEST_F(SafetensorsTest, ArraysAreViewsOfTheFileAndReadOnly) {
  write_safetensors(path_,
                    {{"a", Array::full({1000}, 7, DType::f32)}, {"b", Array::full({10}, 8, DType::f32)}});
  Array a, b;
  {
    Safetensors file = read_safetensors(path_);
    a = *file.find("a");
    b = *file.find("b");
  }
  // One mapping: the arrays lie behind one another as in the file.
  EXPECT_EQ(a.data<float>() + 1000, b.data<float>());
  EXPECT_THROW(a.mutable_data<float>(), Error);
  write_safetensors(path_, {{"a", Array::zeros({1000}, DType::f32)}});
  EXPECT_EQ(a.item(999), 7);  // the replaced file is still mapped
  EXPECT_EQ(b.item(9), 8);
}

TEST_F(SafetensorsTest, MisalignedDataIsCopied) {
  std::string header = "{" + tensor("c", "I8", "[1]", 0, 1) + "," + tensor("x", "F64", "[1]", 1, 9) + "}";
  double value = -0.3;
  std::string data = "\x05" + std::string(reinterpret_cast<char*>(&value), 8);
  Safetensors file = read(file_bytes(header, data));
  EXPECT_EQ(file.find("x")->to_vector<double>(), std::vector<double>{value});
  EXPECT_EQ(reinterpret_cast<uintptr_t>(file.find("x")->data<double>()) % alignof(double), 0u);
  EXPECT_EQ(file.find("c")->item(), 5);
}

TEST_F(SafetensorsTest, TruncatedAtEveryByte) {
  std::string whole = read_file(reference_file);
  for (size_t bytes = 0; bytes < whole.size(); bytes++) {
    ASSERT_NE(refusal(whole.substr(0, bytes)), "") << bytes;
  }
  EXPECT_EQ(refusal(""), "a file must begin with the 8 bytes of its header's length, this one has 0");
  EXPECT_EQ(refusal(whole + "x"), "the tensors end at byte 78 of the data, but the file has 79");
}

// Every bit of the header in turn: read or refused, never out of bounds (which the sanitizers would see).
TEST_F(SafetensorsTest, FlippedBits) {
  std::string whole = read_file(reference_file);
  size_t header_end = 8 + 0x278, refused = 0;
  for (size_t byte = 0; byte < header_end; byte += 3) {
    std::string broken = whole;
    broken[byte] ^= static_cast<char>(1 << (byte % 8));
    write(broken);
    refused += message_of([&] { read_safetensors(path_); }) != "no error";
  }
  EXPECT_GT(refused, header_end / 3 / 2);
}

TEST_F(SafetensorsTest, LyingHeaderLength) {
  for (int64_t length : {INT64_MAX, INT64_MIN, int64_t{-2}, int64_t{3}, int64_t{1} << 32}) {
    uint64_t claimed = static_cast<uint64_t>(length);
    std::string bytes(reinterpret_cast<const char*>(&claimed), 8);
    EXPECT_EQ(
        refusal(bytes + "{}"),
        fmt::format("the header must fit into the file: it claims {} bytes, 2 are left (cut short, or no "
                    "safetensors file?)",
                    claimed));
  }
  EXPECT_EQ(refusal(file_bytes("{}", "", 1)), "the header must be valid JSON, its byte 2 breaks it");
  EXPECT_EQ(refusal(file_bytes("{}", "", 0)), "the header must be a JSON object");
  EXPECT_TRUE(read(file_bytes("{}   ", "")).tensors.empty());
}

TEST_F(SafetensorsTest, WritesNoHeaderThatNobodyReads) {
  std::map<std::string, std::string> metadata{{"a", std::string(100'000'000, 'x')}};
  EXPECT_NE(message_of([&] {
              write_safetensors(path_, {}, metadata);
            }).find("names and metadata must fit into a header of 100000000 bytes, they take 1000000"),
            std::string::npos);
  // Arrays that claim to be there.
  char byte = 0;
  Array claimed = Array::wrap(&byte, {(int64_t{1} << 56) - 1}, DType::f64, std::make_shared<int>());
  std::vector<NamedArray> tensors;
  for (int i = 0; i < 17; ++i) tensors.push_back({std::to_string(i), claimed});
  EXPECT_EQ(message_of([&] { write_safetensors(path_, tensors); }),
            "[safetensors] " + path_ + ": all tensors must have fewer than 2^63 bytes");
  EXPECT_EQ(folder_.entries(), 0u);
}

// Reading, and writing, took a time that grew with the square of the number of tensors: this test would take
// many minutes.
TEST_F(SafetensorsTest, AHundredThousandTensors) {
  std::vector<NamedArray> tensors;
  Array empty = Array::zeros({0}, DType::f32);
  for (int i = 0; i < 100'000; ++i) tensors.push_back({fmt::format("tensor {:06}", i), empty});
  write_safetensors(path_, tensors);
  Safetensors file = read_safetensors(path_);
  ASSERT_EQ(file.tensors.size(), tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) ASSERT_EQ(file.tensors[i].name, tensors[i].name);
}

TEST_F(SafetensorsTest, BadJson) {
  for (const char* header :
       {"{", "{]", "{\"a\"}", "{\"a\":1,}", "{} {}", "{\"\xff\":1}", "{\"a\":01}", "{\"a\":1e999}"}) {
    std::string message = refusal(header, "");
    EXPECT_TRUE(message.find("valid JSON") != std::string::npos ||
                message.find("out of range") != std::string::npos)
        << header << ": " << message;
  }
  // The JSON library takes a NUL for the end.
  EXPECT_EQ(refusal(std::string("{}\0garbage", 10), ""),
            "the header must be valid JSON, its byte 3 breaks it");
  EXPECT_EQ(refusal(std::string("{}\0", 3), ""), "the header must be valid JSON, its byte 3 breaks it");
  EXPECT_EQ(refusal("[1]", ""), "the header must be a JSON object");
  EXPECT_EQ(refusal(" {}", ""), "the header must be a JSON object");
  EXPECT_EQ(refusal("{\"a\":" + std::string(100000, '['), ""),
            "the header must be nested at most 3 levels deep");
  EXPECT_EQ(refusal(R"({"x":{"dtype":"I8","shape":[[1]],"data_offsets":[0,1]}})", "1"),
            "the header must be nested at most 3 levels deep");
  std::string x = tensor("x", "F32", "[1]", 0, 4);
  EXPECT_EQ(refusal("{" + x + "," + x + "}", "1234"), "the header has the key 'x' twice");
  EXPECT_EQ(refusal(R"({"x":{"dtype":"I8","dtype":"I8","shape":[],"data_offsets":[0,1]}})", "1"),
            "the header has the key 'dtype' twice");
  EXPECT_EQ(refusal(R"({"__metadata__":{"a":1}})", ""), "__metadata__ must map to strings only, 'a' doesn't");
  EXPECT_EQ(refusal(R"({"__metadata__":"a"})", ""), "__metadata__ must be an object");
  EXPECT_EQ(refusal(R"({"x":[]})", ""), "tensor 'x' must be described by an object");
  EXPECT_EQ(refusal(R"({"x":{"dtype":"I8","shape":[1]}})", "1"), "tensor 'x' has no data_offsets");
  for (const char* offsets : {"[0]", "[0,1,2]", "[-1,0]", "[0,1.0]", "[\"0\",1]", "{}", "null", "[0,1e20]"}) {
    EXPECT_EQ(refusal(fmt::format(R"({{"x":{{"dtype":"I8","shape":[1],"data_offsets":{}}}}})", offsets), "1"),
              "tensor 'x': data_offsets must be two integers ≥ 0");
  }
}

TEST_F(SafetensorsTest, LyingTypesAndShapes) {
  auto one = [&](const std::string& dtype, const std::string& shape) {
    return refusal("{" + tensor("x", dtype, shape, 0, 4) + "}", std::string(4, '\0'));
  };
  EXPECT_EQ(one("F64", "[1]"), "tensor 'x': F64 of shape [1] takes 8 bytes, but data_offsets are [0, 4]");
  EXPECT_EQ(one("F16", "[1]"), "tensor 'x': F16 of shape [1] takes 2 bytes, but data_offsets are [0, 4]");
  EXPECT_EQ(one("U16", "[1]"), "tensor 'x': U16 of shape [1] takes 2 bytes, but data_offsets are [0, 4]");
  EXPECT_EQ(
      one("f32", "[1]"),
      "tensor 'x': dtype must be one of F32, F64, F16, BF16, I32, I64, I8, BOOL, I16, U8, U16, U32, U64, "
      "F8_E4M3, F8_E5M2, F8_E8M0, C64, got 'f32'");
  EXPECT_EQ(one("F32", "[-1]"), "tensor 'x': extents must be integers from 0 to 2^63 - 1");
  EXPECT_EQ(one("F32", "[1.0]"), "tensor 'x': extents must be integers from 0 to 2^63 - 1");
  EXPECT_EQ(one("F32", "[9223372036854775808]"), "tensor 'x': extents must be integers from 0 to 2^63 - 1");
  EXPECT_EQ(one("F32", "[4294967296,4294967296,1]"), "tensor 'x': its shape has too many elements");
  EXPECT_EQ(one("F32", "[0,4294967296,4294967296]"), "tensor 'x': its shape has too many elements");
  EXPECT_EQ(one("I8", "[9223372036854775807,2]"), "tensor 'x': its shape has too many elements");
  EXPECT_EQ(one("F32", "[1,1,1,1,1,1,1]"), "tensor 'x': shape must have at most 6 axes, got 7");
  EXPECT_EQ(one("F32", "1"), "tensor 'x': shape must be an array");
  EXPECT_EQ(refusal("{" + tensor("x", "BOOL", "[4]", 0, 4) + "}", std::string("\0\1\2\0", 4)),
            "tensor 'x': a BOOL must be 0 or 1");
}

// A buffer that nobody asks for is no reason to refuse the rest.
TEST_F(SafetensorsTest, TensorsOfOtherTypesAreOnlyNamed) {
  std::string header = "{" + tensor("x", "F32", "[1]", 0, 4) + "," + tensor("u", "U8", "[3]", 4, 7) + "," +
                       tensor("f8", "F8_E4M3", "[1]", 7, 8) + "," + tensor("c", "C64", "[0]", 8, 8) + "," +
                       tensor("y", "F32", "[1]", 8, 12) + "}";
  Safetensors file = read(file_bytes(header, std::string(12, '\0')));
  EXPECT_EQ(file.unsupported, (std::vector<std::string>{"u", "f8", "c"}));
  ASSERT_EQ(file.tensors.size(), 2u);
  EXPECT_EQ(file.find("u"), nullptr);
  EXPECT_EQ(file.find("y")->item(), 0);
  EXPECT_EQ(refusal(header, std::string(13, '\0')),
            "the tensors end at byte 12 of the data, but the file has 13");
  std::ofstream(folder_ / "index.json")
      << R"({"weight_map": {"x": "model.safetensors", "u": "model.safetensors"}})";
  write(file_bytes(header, std::string(12, '\0')));
  EXPECT_EQ(read_safetensors_shards(folder_ / "index.json").unsupported, file.unsupported);
}

// Two files and what an index says of them.
TEST_F(SafetensorsTest, ShardsAreReadAsTheIndexSays) {
  auto one = [](float value) { return Array::full({1}, value, DType::f32); };
  write_safetensors(folder_ / "1.safetensors", {{"b", one(1)}, {"a", one(2)}});
  write_safetensors(folder_ / "2.safetensors", {{"c", one(3)}});
  write_safetensors(folder_ / "3.safetensors", {{"c", one(4)}});
  std::string index = folder_ / "index.json";
  auto read_index = [&](const std::string& map) {
    std::ofstream(index) << R"({"weight_map": {)" << map << "}}";
    return read_safetensors_shards(index);
  };
  auto index_refusal = [&](const std::string& map) {
    std::string message = message_of([&] { read_index(map); }), start = "[safetensors] " + index + ": ";
    EXPECT_EQ(message.substr(0, start.size()), start);
    return message.substr(std::min(start.size(), message.size()));
  };
  const std::string a = R"("a": "1.safetensors")", c = R"("c": "2.safetensors")";
  Safetensors whole = read_index(c + ", " + a);
  std::vector<std::pair<std::string, double>> found;
  for (const NamedArray& stored : whole.tensors) found.emplace_back(stored.name, stored.array.item());
  EXPECT_EQ(found, (std::vector<std::pair<std::string, double>>{{"b", 1}, {"a", 2}, {"c", 3}}));

  EXPECT_EQ(index_refusal(R"("a": "2.safetensors")"), "the tensor 'a' must be in 2.safetensors, but isn't");
  EXPECT_EQ(index_refusal(a + R"(, "b": "2.safetensors")"),
            "the tensor 'b' must be in 2.safetensors, but isn't");
  EXPECT_EQ(index_refusal(c + R"(, "x": "3.safetensors")"),
            "the files 2.safetensors and 3.safetensors both have the tensor 'c'");
  EXPECT_EQ(index_refusal(a + ", " + a), "the index has the key 'a' twice");
  EXPECT_EQ(index_refusal(R"("a": 1)"), "weight_map must map 'a' to a file's name");
  for (const char* file : {"below/1.safetensors", "../1.safetensors", "/1.safetensors", "1.bin", ""})
    EXPECT_EQ(index_refusal(fmt::format(R"("a": "{}")", file)),
              fmt::format("'{}' must be the name of a .safetensors file in the same folder", file));
}

TEST_F(SafetensorsTest, LyingOffsets) {
  std::string data(16, '\0');
  auto two = [&](int64_t x, int64_t y) {
    return refusal(
        "{" + tensor("x", "F64", "[1]", x, x + 8) + "," + tensor("y", "F64", "[1]", y, y + 8) + "}", data);
  };
  EXPECT_EQ(two(0, 4), "tensors 'x' and 'y' overlap");
  EXPECT_EQ(two(8, 8), "bytes 0 to 8 of the data, before tensor 'x', belong to no tensor");
  EXPECT_EQ(two(0, 0), "tensors 'x' and 'y' overlap");
  EXPECT_EQ(two(0, 9), "tensor 'y' ends at byte 17 of the data, but the file has only 16");
  EXPECT_EQ(two(0, 1'000'000'000'000),
            "tensor 'y' ends at byte 1000000000008 of the data, but the file has only 16");
  EXPECT_EQ(refusal("{" + tensor("x", "I8", "[14]", 0, 14) + "}", data),
            "the tensors end at byte 14 of the data, but the file has 16");
  EXPECT_EQ(
      refusal("{" + tensor("x", "I8", "[0]", 3, 3) + "," + tensor("y", "I8", "[16]", 0, 16) + "}", data),
      "tensors 'y' and 'x' overlap");
  EXPECT_EQ(refusal("{" + tensor("x", "I8", "[4]", 8, 4) + "}", data),
            "tensor 'x': I8 of shape [4] takes 4 bytes, but data_offsets are [8, 4]");
  EXPECT_EQ(refusal(R"({"x":{"dtype":"I8","shape":[4],"data_offsets":[18446744073709551615,3]}})", data),
            "tensor 'x': I8 of shape [4] takes 4 bytes, but data_offsets are [18446744073709551615, 3]");
}

// As where a model has made something else of it, and of the others not yet.
TEST_F(SafetensorsTest, ATensorThatGoesLeavesTheMemory) {
  constexpr int64_t bytes = int64_t{16} << 20;
  std::string size = fmt::format("[{}]", bytes);
  write(file_bytes(
      "{" + tensor("x", "I8", size, 0, bytes) + "," + tensor("y", "I8", size, bytes, 2 * bytes) + "}",
      std::string(2 * bytes, 'a')));
  Safetensors file = read_safetensors(path_);
  auto is_right = [](const Array& array) {
    const auto* begin = array.data<int8_t>();
    return std::count(begin, begin + bytes, 'a') == bytes;
  };
  ASSERT_TRUE(is_right(file.tensors[0].array) && is_right(file.tensors[1].array));
  int64_t both = resident_memory();
  file.tensors.erase(file.tensors.begin());
  EXPECT_NEAR(both - resident_memory(), bytes, bytes / 4);
  EXPECT_TRUE(is_right(file.tensors[0].array));
}

TEST_F(SafetensorsTest, WritingRefuses) {
  Array one = Array::zeros({1}, DType::f32);
  auto message = [&](const std::vector<NamedArray>& tensors) {
    return message_of([&] { write_safetensors(path_, tensors); });
  };
  EXPECT_EQ(message({{"a", one}, {"a", one}}),
            "[safetensors] " + path_ + ": the name 'a' is reserved or given twice");
  EXPECT_EQ(message({{"__metadata__", one}}),
            "[safetensors] " + path_ + ": the name '__metadata__' is reserved or given twice");
  EXPECT_EQ(message({{"a", Array()}}), "[safetensors] " + path_ + ": tensor 'a' must have a value");
  EXPECT_EQ(message({{"\xff", one}}), "[safetensors] " + path_ + ": names and metadata must be UTF-8");
  EXPECT_EQ(folder_.entries(), 0u);
}

}  // namespace
}  // namespace bertie
