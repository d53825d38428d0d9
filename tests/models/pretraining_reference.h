// What PyTorch has made of PretrainingRun: tests/models/reference/make_pretraining_reference.py.
#pragma once
#include "bertie/data/files/safetensors.h"

namespace bertie {

inline std::string pretraining_reference() {
  return std::string(BERTIE_SOURCE_DIR) + "/tests/models/reference/pretraining";
}

inline const Array& array_of(const Safetensors& file, const std::string& name) {
  const Array* found = file.find(name);
  if (!found) throw Error(file.path + " has no " + name);
  return *found;
}

// A head's loss ("mlm" or "nsp") at each step, of the whole batch at once.
inline std::vector<double> losses_of_pytorch(const std::string& head, DType type, bool muon = false) {
  Safetensors file = read_safetensors(pretraining_reference() + "/losses.safetensors");
  return array_of(file, fmt::format("{}{}.{}", muon ? "muon." : "", head, name(type)))
      .cast(DType::f64)
      .to_vector<double>();
}

}  // namespace bertie
