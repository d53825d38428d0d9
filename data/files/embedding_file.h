// Embeddings in a file that other programs read, written as they come: how many there are is known at the
// end.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "bertie/data/files/atomic_file.h"
#include "bertie/data/files/safetensors.h"

namespace bertie {

// Rows of f32. The name decides on the format: .npy is NumPy's (format 1.0: one array [rows, width]),
// .safetensors is safetensors ("embeddings" [rows, width], and what commit() adds). The file appears at
// commit(), or not at all.
class EmbeddingFile {
 public:
  // Throws on another extension, a width below 1, and what AtomicFile throws.
  EmbeddingFile(const std::string& path, int64_t width);

  void add(const float* rows, int64_t count);  // [count, width]
  int64_t rows() const { return rows_; }

  // `more` are further arrays, of elements of 4 bytes so that all stay aligned; .npy has no place for any.
  // Throws where one is of another type.
  void commit(const std::vector<NamedArray>& more = {});

 private:
  bool safetensors_;
  int64_t width_, rows_ = 0;
  AtomicFile file_;
};

}  // namespace bertie
