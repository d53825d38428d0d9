// A saved model that is small enough for tests, and what tests do to its files.
#pragma once
#include <gtest/gtest.h>

#include <fstream>

#include "bertie/data/files/mapped_file.h"
#include "bertie/models/bert_heads.h"
#include "bertie/models/pretrained.h"
#include "tests/models/small_config.h"
#include "tests/temporary_folder.h"

namespace bertie {

inline Tokenizer small_tokenizer() {
  return Tokenizer(Vocabulary(
      {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "dog", "sat", "ran", "on", "mat"}));
}

inline void replace_in(const std::string& path, const std::string& from, const std::string& to) {
  std::string text = read_file(path);
  size_t at = text.find(from);
  ASSERT_NE(at, std::string::npos) << from;
  std::ofstream(path) << text.replace(at, from.size(), to);
}

class SavedModel : public testing::Test {
 protected:
  void SetUp() override { save_pretrained(model_, small_tokenizer(), path_); }
  TemporaryFolder folder_;
  std::string path_ = folder_.path() + "/model";
  BertForMaskedLM model_{small_config(12), Initializer::normal(0.1, 3)};
};

}  // namespace bertie
