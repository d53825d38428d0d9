#include "bertie/data/files/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "bertie/data/files/atomic_file.h"
#include "bertie/data/files/json_object.h"
#include "bertie/data/files/mapped_file.h"

namespace bertie {
namespace {

static_assert(std::endian::native == std::endian::little,
              "the format is little-endian, and so is all code here");

constexpr const char* metadata_key = "__metadata__";
constexpr uint64_t max_header_bytes = 100'000'000;     // the bound of the reference implementation
constexpr int64_t max_array_bytes = int64_t{1} << 56;  // no more than Shape allows

// The element types of the format whose elements are whole bytes.
struct Format {
  const char* name;
  int64_t bytes;
  std::optional<DType> type = std::nullopt;  // none: it can't be read
};
constexpr Format formats[] = {{"F32", 4, DType::f32},
                              {"F64", 8, DType::f64},
                              {"F16", 2, DType::f16},
                              {"BF16", 2, DType::bf16},
                              {"I32", 4, DType::i32},
                              {"I64", 8, DType::i64},
                              {"I8", 1, DType::i8},
                              {"BOOL", 1, DType::boolean},
                              {"I16", 2},
                              {"U8", 1},
                              {"U16", 2},
                              {"U32", 4},
                              {"U64", 8},
                              {"F8_E4M3", 1},
                              {"F8_E5M2", 1},
                              {"F8_E8M0", 1},
                              {"C64", 8}};

const char* format_name(DType type) {
  return std::find_if(std::begin(formats), std::end(formats),
                      [&](const Format& format) { return format.type == type; })
      ->name;
}

// One tensor as the header describes it; [begin, end) within the data.
struct Entry {
  std::string name;
  const Format* format;
  Shape shape;
  uint64_t begin, end;
};

// Reads one header. All its errors name the file.
class HeaderReader {
 public:
  explicit HeaderReader(const std::string& path) : path_(path) {}

  // The tensors in the order of their data, checked against its size.
  std::vector<Entry> read(std::string_view header, uint64_t data_bytes) {
    require(header.starts_with('{'), "the header must be a JSON object");
    nlohmann::json json = parse_json_object("safetensors", path_ + ": the header", header, 3);
    std::vector<Entry> entries;
    for (auto& [name, value] : json.items()) {
      if (name == metadata_key) {
        read_metadata(value);
      } else {
        entries.push_back(read_entry(name, value));
      }
    }
    std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
      return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
    });
    check_layout(entries, data_bytes);
    return entries;
  }

  std::map<std::string, std::string> take_metadata() { return std::move(metadata_); }

 private:
  template <class... Arguments>
  void require(bool rule, fmt::format_string<Arguments...> format, Arguments&&... arguments) const {
    if (rule) return;
    throw Error(fmt::format("[safetensors] {}: {}", shown(path_),
                            fmt::format(fmt::runtime(format), detail::argument(arguments)...)));
  }

  void read_metadata(const nlohmann::json& value) {
    require(value.is_object(), "{} must be an object", metadata_key);
    for (auto& [key, text] : value.items()) {
      require(text.is_string(), "{} must map to strings only, '{}' doesn't", metadata_key, key);
      metadata_[key] = text.get<std::string>();
    }
  }

  Entry read_entry(const std::string& name, const nlohmann::json& value) const {
    require(value.is_object(), "tensor '{}' must be described by an object", name);
    for (const char* key : {"dtype", "shape", "data_offsets"}) {
      require(value.contains(key), "tensor '{}' has no {}", name, key);
    }
    Entry entry{name, &read_dtype(name, value["dtype"]), {}, 0, 0};
    int64_t bytes = read_shape(name, value["shape"], entry.format->bytes, entry.shape);
    const nlohmann::json& offsets = value["data_offsets"];
    require(offsets.is_array() && offsets.size() == 2 && offsets[0].is_number_unsigned() &&
                offsets[1].is_number_unsigned(),
            "tensor '{}': data_offsets must be two integers ≥ 0", name);
    entry.begin = offsets[0].get<uint64_t>();
    entry.end = offsets[1].get<uint64_t>();
    require(entry.begin <= entry.end && entry.end - entry.begin == static_cast<uint64_t>(bytes),
            "tensor '{}': {} of shape {} takes {} bytes, but data_offsets are [{}, {}]", name,
            entry.format->name, entry.shape, bytes, entry.begin, entry.end);
    return entry;
  }

  const Format& read_dtype(const std::string& name, const nlohmann::json& value) const {
    require(value.is_string(), "tensor '{}': dtype must be a string", name);
    std::string text = value.get<std::string>(), known;
    for (const Format& format : formats) {
      if (text == format.name) return format;
      known += std::string(known.empty() ? "" : ", ") + format.name;
    }
    fail("safetensors", "{}: tensor '{}': dtype must be one of {}, got '{}'", path_, name, known, text);
  }

  // Returns the bytes of all elements.
  int64_t read_shape(const std::string& name, const nlohmann::json& value, int64_t element,
                     Shape& shape) const {
    require(value.is_array(), "tensor '{}': shape must be an array", name);
    require(value.size() <= Shape::max_rank, "tensor '{}': shape must have at most {} axes, got {}", name,
            Shape::max_rank, value.size());
    // Extents of 0 are left out of the product, so that no part of it is too large either.
    int64_t nonzero_bytes = element;
    bool empty = false;
    for (const nlohmann::json& extent : value) {
      require(extent.is_number_unsigned() && extent.get<uint64_t>() <= INT64_MAX,
              "tensor '{}': extents must be integers from 0 to 2^63 - 1", name);
      if (extent == 0) empty = true;
      int64_t factor = std::max<int64_t>(1, extent.get<int64_t>());
      require(
          !__builtin_mul_overflow(nonzero_bytes, factor, &nonzero_bytes) && nonzero_bytes < max_array_bytes,
          "tensor '{}': its shape has too many elements", name);
      shape.push_back(extent.get<int64_t>());
    }
    return empty ? 0 : nonzero_bytes;
  }

  void check_layout(const std::vector<Entry>& entries, uint64_t data_bytes) const {
    uint64_t filled = 0;
    const Entry* last = nullptr;
    for (const Entry& entry : entries) {
      require(entry.end <= data_bytes, "tensor '{}' ends at byte {} of the data, but the file has only {}",
              entry.name, entry.end, data_bytes);
      require(entry.begin >= filled, "tensors '{}' and '{}' overlap", last ? last->name : "", entry.name);
      require(entry.begin == filled, "bytes {} to {} of the data, before tensor '{}', belong to no tensor",
              filled, entry.begin, entry.name);
      filled = entry.end;
      last = &entry;
    }
    require(filled == data_bytes, "the tensors end at byte {} of the data, but the file has {}", filled,
            data_bytes);
  }

  const std::string& path_;
  std::map<std::string, std::string> metadata_;
};

Array wrap(const Entry& entry, DType type, const char* data, const MappedFile& file,
           const std::string& path) {
  if (type == DType::boolean) {
    // Any other byte would be undefined behavior in a bool.
    bool valid =
        std::all_of(data, data + entry.shape.size(), [](char byte) { return byte == 0 || byte == 1; });
    BERTIE_CHECK(valid, "safetensors", "{}: tensor '{}': a BOOL must be 0 or 1", path, entry.name);
  }
  bool aligned = reinterpret_cast<uintptr_t>(data) % static_cast<size_t>(element_size(type)) == 0;
  if (aligned && entry.end > entry.begin) {
    size_t bytes = entry.end - entry.begin;
    return Array::wrap(static_cast<const void*>(data), entry.shape, type, owner_of(file, {data, bytes}));
  }
  Array copy = Array::empty(entry.shape, type);
  if (copy.bytes() > 0) std::memcpy(copy.mutable_bytes(), data, static_cast<size_t>(copy.bytes()));
  return copy;
}

}  // namespace

const Array* Safetensors::find(const std::string& name) const {
  for (const NamedArray& tensor : tensors) {
    if (tensor.name == name) return &tensor.array;
  }
  return nullptr;
}

Safetensors read_safetensors(const std::string& path) {
  MappedFile file = map_file(path);
  uint64_t header_bytes = 0;
  BERTIE_CHECK(file.bytes.size() >= sizeof header_bytes, "safetensors",
               "{}: a file must begin with the 8 bytes of its header's length, this one has {}", path,
               file.bytes.size());
  std::memcpy(&header_bytes, file.bytes.data(), sizeof header_bytes);
  std::string_view rest = file.bytes.substr(sizeof header_bytes);
  BERTIE_CHECK(header_bytes <= rest.size(), "safetensors",
               "{}: the header must fit into the file: it claims {} bytes, {} are left (cut short, or no "
               "safetensors file?)",
               path, header_bytes, rest.size());
  BERTIE_CHECK(header_bytes <= max_header_bytes, "safetensors",
               "{}: the header must have at most {} bytes, it claims {}", path, max_header_bytes,
               header_bytes);

  std::string_view data = rest.substr(header_bytes);
  HeaderReader reader(path);
  Safetensors result{path, {}, {}};
  for (const Entry& entry : reader.read(rest.substr(0, header_bytes), data.size())) {
    if (std::optional<DType> type = entry.format->type)
      result.tensors.push_back({entry.name, wrap(entry, *type, data.data() + entry.begin, file, path)});
    else
      result.unsupported.push_back(entry.name);
  }
  result.metadata = reader.take_metadata();
  return result;
}

Safetensors read_safetensors_shards(const std::string& index_path) {
  std::string text = read_file(index_path), folder = index_path.substr(0, index_path.rfind('/') + 1);
  nlohmann::json index = parse_json_object("safetensors", index_path + ": the index", text);
  auto map = index.find("weight_map");
  BERTIE_CHECK(map != index.end() && map->is_object(), "safetensors",
               "{}: the index must have an object weight_map", index_path);
  std::map<std::string, std::vector<std::string>> names_in;  // of each file
  for (auto& [name, file] : map->items()) {
    BERTIE_CHECK(file.is_string(), "safetensors", "{}: weight_map must map '{}' to a file's name", index_path,
                 name);
    names_in[file.get<std::string>()].push_back(name);
  }
  Safetensors result{index_path, {}, {}};
  std::map<std::string, std::string> file_of;
  for (const auto& [file, names] : names_in) {
    BERTIE_CHECK(
        file.ends_with(".safetensors") && file.find_first_of(std::string("/\\\0", 3)) == std::string::npos,
        "safetensors", "{}: '{}' must be the name of a .safetensors file in the same folder", index_path,
        file);
    auto add_name = [&, &file = file](const std::string& name) {
      auto [place, is_new] = file_of.emplace(name, file);
      BERTIE_CHECK(is_new, "safetensors", "{}: the files {} and {} both have the tensor '{}'", index_path,
                   place->second, file, name);
    };
    Safetensors shard = read_safetensors(folder + file);
    for (NamedArray& tensor : shard.tensors) {
      add_name(tensor.name);
      result.tensors.push_back(std::move(tensor));
    }
    for (std::string& name : shard.unsupported) {
      add_name(name);
      result.unsupported.push_back(std::move(name));
    }
    for (const std::string& name : names) {
      auto found = file_of.find(name);
      BERTIE_CHECK(found != file_of.end() && found->second == file, "safetensors",
                   "{}: the tensor '{}' must be in {}, but isn't", index_path, name, file);
    }
  }
  return result;
}

void write_safetensors(const std::string& path, const std::vector<NamedArray>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<const NamedArray*> order;
  for (const NamedArray& tensor : tensors) {
    BERTIE_CHECK(static_cast<bool>(tensor.array), "safetensors", "{}: tensor '{}' must have a value", path,
                 tensor.name);
    order.push_back(&tensor);
  }
  std::stable_sort(order.begin(), order.end(), [](const NamedArray* a, const NamedArray* b) {
    return element_size(a->array.dtype()) > element_size(b->array.dtype());
  });

  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  // Not header[name], which compares the name with all before it.
  auto& entries = header.get_ref<nlohmann::ordered_json::object_t&>();
  std::set<std::string> names = {metadata_key};
  if (!metadata.empty()) entries.emplace_back(metadata_key, metadata);
  int64_t end = 0;
  for (const NamedArray* tensor : order) {
    BERTIE_CHECK(names.insert(tensor->name).second, "safetensors",
                 "{}: the name '{}' is reserved or given twice", path, tensor->name);
    const Shape& shape = tensor->array.shape();
    int64_t begin = end;
    BERTIE_CHECK(!__builtin_add_overflow(end, tensor->array.bytes(), &end), "safetensors",
                 "{}: all tensors must have fewer than 2^63 bytes", path);
    nlohmann::ordered_json entry{{"dtype", format_name(tensor->array.dtype())},
                                 {"shape", std::vector<int64_t>(shape.begin(), shape.end())},
                                 {"data_offsets", {begin, end}}};
    entries.emplace_back(tensor->name, std::move(entry));
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::type_error&) {
    fail("safetensors", "{}: names and metadata must be UTF-8", path);
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');

  uint64_t header_bytes = text.size();
  BERTIE_CHECK(header_bytes <= max_header_bytes, "safetensors",
               "{}: names and metadata must fit into a header of {} bytes, they take {}", path,
               max_header_bytes, header_bytes);
  AtomicFile file(path);
  file.write({reinterpret_cast<const char*>(&header_bytes), sizeof header_bytes});
  file.write(text);
  for (const NamedArray* tensor : order) {
    file.write(
        {static_cast<const char*>(tensor->array.bytes_begin()), static_cast<size_t>(tensor->array.bytes())});
  }
  file.commit();
}

}  // namespace bertie
