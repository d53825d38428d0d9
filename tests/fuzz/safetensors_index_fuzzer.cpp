// Any bytes as model.safetensors.index.json beside three files, of which two have a tensor in common:
// refused, or every tensor that the index names is there, once.
#include <fstream>
#include <set>

#include "bertie/data/files/safetensors.h"
#include "tests/fuzz/fuzzer_files.h"

namespace {

using namespace bertie;

// The path of the index, whose folder then holds the files that it may name.
std::string make_shards() {
  std::string folder = output_file().substr(0, output_file().rfind('/') + 1);
  Array value = Array::full({2}, 1, DType::f32);
  write_safetensors(folder + "1.safetensors", {{"a", value}, {"b", value}});
  write_safetensors(folder + "2.safetensors", {{"c", value}});
  write_safetensors(folder + "3.safetensors", {{"c", value}, {"d", value}});
  return folder + "model.safetensors.index.json";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  static const std::string path = make_shards();
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes), static_cast<int64_t>(size));
  Safetensors tensors;
  try {
    tensors = read_safetensors_shards(path);
  } catch (const Error& error) {
    std::string folder = path.substr(0, path.rfind('/') + 1);
    promise(std::string(error.what()).find(folder) != std::string::npos);
    return 0;
  }
  std::set<std::string> names;
  for (const NamedArray& tensor : tensors.tensors) {
    promise(names.insert(tensor.name).second);
    promise(tensor.array.shape() == Shape{2} && tensor.array.item(1) == 1);
  }
  promise(names.size() <= 4 && tensors.unsupported.empty());
  return 0;
}
