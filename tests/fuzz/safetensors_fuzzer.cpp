// Any bytes as a safetensors file: refused, or every element of every array can be read, and the arrays are
// written and read without a change. Random bytes hardly ever get beyond the header, so inputs are changed
// region by region, and some are made from scratch.
#include "bertie/data/files/safetensors.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "tests/fuzz/fuzzer_files.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* bytes, size_t size, size_t max_size);

namespace {

using namespace bertie;

void touch_elements(const Array& array) {
  const auto* bytes = static_cast<const uint8_t*>(array.bytes_begin());
  volatile uint8_t all = 0;
  for (int64_t i = 0; i < array.bytes(); ++i) all = all | bytes[i];
  promise(array.dtype() != DType::boolean || all <= 1);
  Array values = array.cast(DType::f32);
  for (int64_t i = 0; i < array.size(); ++i) {
    auto expected = static_cast<float>(array.item(i));
    float value = values.data<float>()[i];
    promise(value == expected || (std::isnan(value) && std::isnan(expected)));
  }
}

bool same(const Array& a, const Array& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         std::equal(static_cast<const char*>(a.bytes_begin()),
                    static_cast<const char*>(a.bytes_begin()) + a.bytes(),
                    static_cast<const char*>(b.bytes_begin()));
}

struct Regions {
  std::string length, header, data;  // the length is what the file claims of its header

  void set_length() {
    uint64_t bytes = header.size();
    length.assign(reinterpret_cast<const char*>(&bytes), sizeof bytes);
  }
};

Regions split(std::string_view file) {
  Regions regions{std::string(file.substr(0, 8)), "", ""};
  if (file.size() < 8) return regions;
  uint64_t header_bytes;
  std::memcpy(&header_bytes, file.data(), sizeof header_bytes);
  file.remove_prefix(8);
  regions.header = file.substr(0, header_bytes);
  regions.data = file.substr(regions.header.size());
  return regions;
}

void mutate(std::string& region, size_t max_growth) {
  size_t size = region.size();
  region.resize(size + max_growth);
  region.resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(region.data()), size, region.size()));
}

// A valid file of up to four tensors, but for a number that is sometimes wrong.
Regions make_file(std::minstd_rand& random) {
  constexpr std::pair<const char*, int64_t> types[] = {{"F64", 8}, {"I64", 8},  {"F32", 4},  {"I32", 4},
                                                       {"F16", 2}, {"BF16", 2}, {"BOOL", 1}, {"I8", 1},
                                                       {"U8", 1},  {"C64", 8}};
  constexpr const char* odd_numbers[] = {
      "-1", "1e3",   "0.5",  "4294967296", "9223372036854775807", "18446744073709551615",
      "7",  "\"1\"", "null", "[]"};
  auto below = [&](size_t bound) { return random() % bound; };
  auto number = [&](int64_t value) {
    return below(64) == 0 ? odd_numbers[below(std::size(odd_numbers))] : std::to_string(value);
  };
  std::string tensors;
  int64_t end = 0;
  for (size_t tensor = 0, count = below(5); tensor < count; ++tensor) {
    auto [type, bytes] = types[below(std::size(types))];
    std::string shape;
    for (size_t axis = 0, rank = below(5); axis < rank; ++axis) {
      auto extent = static_cast<int64_t>(below(4));
      bytes *= extent;
      shape += (axis ? "," : "") + number(extent);
    }
    int64_t begin = end;
    end += bytes;
    std::string entry = "\"t" + std::to_string(below(16)) + "\":{\"dtype\":\"" + type + "\",\"shape\":[" +
                        shape + "],\"data_offsets\":[" + number(begin) + "," + number(end) + "]}";
    bool in_front = below(2) == 0;  // the header needn't be in the order of the data
    tensors = tensors.empty() ? entry : in_front ? entry + "," + tensors : tensors + "," + entry;
  }
  if (below(4) == 0)
    tensors += std::string(tensors.empty() ? "" : ",") + "\"__metadata__\":{\"format\":\"pt\"}";
  Regions regions{"", "{" + tensors + "}" + std::string(below(8), ' '), ""};
  uint8_t largest = below(2) ? 1 : 255;  // so that the bytes of a BOOL are often right
  for (int64_t i = 0; i < end; ++i) regions.data += static_cast<char>(random() & largest);
  regions.set_length();
  return regions;
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* bytes, size_t size, size_t max_size, unsigned seed) {
  std::minstd_rand random(seed);
  Regions regions = split({reinterpret_cast<const char*>(bytes), size});
  switch (random() % 8) {
    case 0:
      return LLVMFuzzerMutate(bytes, size, max_size);
    case 1:
      mutate(regions.length, 0);
      break;
    case 2:
    case 3:
      mutate(regions.data, 16);
      break;
    case 4:
      regions = make_file(random);
      break;
    default:
      mutate(regions.header, 64);
      regions.set_length();
  }
  std::string file = regions.length + regions.header + regions.data;
  size_t result = std::min(file.size(), max_size);
  std::memcpy(bytes, file.data(), result);
  return result;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string& path = input_file(bytes, size);
  Safetensors file;
  try {
    file = read_safetensors(path);
  } catch (const Error& error) {
    promise(std::string(error.what()).find(path) != std::string::npos);
    return 0;
  }
  auto rest = static_cast<int64_t>(split({reinterpret_cast<const char*>(bytes), size}).data.size());
  for (const auto& [name, array] : file.tensors) {
    rest -= array.bytes();
    promise(file.find(name) != nullptr && same(*file.find(name), array));
    touch_elements(array);
  }
  promise(file.unsupported.empty() ? rest == 0 : rest >= 0);
  write_safetensors(output_file(), file.tensors, file.metadata);
  std::string first = output_bytes();
  Safetensors again = read_safetensors(output_file());
  promise(again.tensors.size() == file.tensors.size() && again.metadata == file.metadata);
  for (const auto& [name, array] : file.tensors)
    promise(again.find(name) != nullptr && same(*again.find(name), array));
  // Empty tensors lie at one place, so that their order in the file may change.
  bool none_empty = std::none_of(file.tensors.begin(), file.tensors.end(),
                                 [](const NamedArray& tensor) { return tensor.array.size() == 0; });
  write_safetensors(output_file(), again.tensors, again.metadata);
  promise(!none_empty || output_bytes() == first);
  return 0;
}
