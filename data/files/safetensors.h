// Arrays in files: the safetensors format. A file is the length of its header (8 bytes, little-endian), the
// header (JSON: each tensor's name, dtype, shape and data_offsets, and "__metadata__", a map of strings), and
// the data of all tensors without gaps.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "bertie/autograd/array.h"

namespace bertie {

struct NamedArray {
  std::string name;
  Array array;
};

struct Safetensors {
  std::string path;                             // for messages
  std::vector<NamedArray> tensors;              // in the order of their data
  std::map<std::string, std::string> metadata;  // "__metadata__"
  std::vector<std::string> unsupported = {};    // names of tensors of types that DType doesn't have (U8, …)

  const Array* find(const std::string& name) const;  // nullptr: there is none
};

// The arrays are views of the mapped file, which stays mapped as long as one of them lives; they can't be
// written into. (Data that isn't aligned to its element, which other writers may produce, is copied.) Throws
// an Error that names the file, and the tensor where there is one, unless every rule of the format holds: the
// header fits the file and is valid JSON without repeated keys; each dtype is one of the format's (but those
// of 4 and 6 bits); offsets are in range and span exactly shape × element; no two tensors overlap, and they
// fill the file.
Safetensors read_safetensors(const std::string& path);

// The tensors of several files, as an index tells it that transformers writes beside them
// (model.safetensors.index.json: its "weight_map" maps each tensor's name to the name of a file in the same
// folder). Throws what read_safetensors() throws, and where the index isn't such JSON or has a name twice,
// names a file outside its folder or a tensor that isn't in its file, and where two files have the same
// tensor.
Safetensors read_safetensors_shards(const std::string& index_path);

// The same arrays give the same bytes. Arrays are stored in the given order, but those of larger elements
// first, so that all are aligned (the names of a file of one type thus keep their order). The file appears
// whole or not at all. Throws an Error on a name that is repeated, reserved or not UTF-8, an empty Array,
// names and metadata of more than 100 MB, which no reader takes, and what AtomicFile throws.
void write_safetensors(const std::string& path, const std::vector<NamedArray>& tensors,
                       const std::map<std::string, std::string>& metadata = {{"format", "pt"}});

}  // namespace bertie
