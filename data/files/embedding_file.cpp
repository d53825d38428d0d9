#include "bertie/data/files/embedding_file.h"

#include <cstring>
#include <nlohmann/json.hpp>

#include "bertie/autograd/error.h"

namespace bertie {
namespace {

// Room for what is written at the end; both formats allow spaces behind it.
constexpr size_t header_bytes = 1024;

bool is_safetensors(const std::string& path) {
  bool safetensors = path.ends_with(".safetensors");
  BERTIE_CHECK(safetensors || path.ends_with(".npy"), "write",
               "embeddings go to a .npy or a .safetensors file, not to '{}'", path);
  return safetensors;
}

std::string npy_header(int64_t rows, int64_t width) {
  std::string header("\x93NUMPY\x01\x00", 8);
  uint16_t rest = header_bytes - 10;  // little-endian, as the machines are that this runs on
  header.append(reinterpret_cast<const char*>(&rest), sizeof rest);
  header += fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows, width);
  header.resize(header_bytes - 1, ' ');
  return header + '\n';
}

}  // namespace

EmbeddingFile::EmbeddingFile(const std::string& path, int64_t width)
    : safetensors_(is_safetensors(path)), width_(width), file_(path) {
  BERTIE_CHECK(width >= 1, "write", "an embedding has at least one element, got {}", width);
  file_.write(std::string(header_bytes, ' '));
}

void EmbeddingFile::add(const float* rows, int64_t count) {
  int64_t size = Shape({count, width_}).size();
  file_.write({reinterpret_cast<const char*>(rows), static_cast<size_t>(size) * sizeof(float)});
  rows_ += count;
}

void EmbeddingFile::commit(const std::vector<NamedArray>& more) {
  if (safetensors_) {
    int64_t end = rows_ * width_ * static_cast<int64_t>(sizeof(float));
    nlohmann::ordered_json header{
        {"embeddings", {{"dtype", "F32"}, {"shape", {rows_, width_}}, {"data_offsets", {0, end}}}}};
    for (const auto& [name, array] : more) {
      BERTIE_CHECK(array.dtype() == DType::i32 || array.dtype() == DType::f32, "write",
                   "'{}' must be i32 or f32", name);
      const Shape& shape = array.shape();
      header[name] = {{"dtype", array.dtype() == DType::i32 ? "I32" : "F32"},
                      {"shape", std::vector<int64_t>(shape.begin(), shape.end())},
                      {"data_offsets", {end, end + array.bytes()}}};
      end += array.bytes();
      file_.write({static_cast<const char*>(array.bytes_begin()), static_cast<size_t>(array.bytes())});
    }
    uint64_t rest = header_bytes - sizeof rest;
    std::string text(reinterpret_cast<const char*>(&rest), sizeof rest);
    text += header.dump();
    BERTIE_CHECK(text.size() <= header_bytes, "write", "the names of {} arrays need more than {} bytes",
                 more.size(), header_bytes);
    text.resize(header_bytes, ' ');
    file_.overwrite(0, text);
  } else {
    BERTIE_CHECK(more.empty(), "write", "a .npy file holds one array only");
    file_.overwrite(0, npy_header(rows_, width_));
  }
  file_.commit();
}

}  // namespace bertie
