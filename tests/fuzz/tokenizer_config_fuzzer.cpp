// Any bytes as tokenizer_config.json: refused, or a config that is written and read without a change.
#include "bertie/data/tokenizer/tokenizer_config.h"

#include "bertie/autograd/error.h"
#include "tests/fuzz/fuzzer_files.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace bertie;
  const std::string& path = input_file(bytes, size);
  TokenizerConfig config;
  try {
    config = read_tokenizer_config(path);
  } catch (const Error& error) {
    promise(std::string(error.what()).find(path) != std::string::npos);
    return 0;
  }
  write_tokenizer_config(output_file(), config);
  std::string first = output_bytes();
  write_tokenizer_config(output_file(), read_tokenizer_config(output_file()));
  promise(output_bytes() == first);
  return 0;
}
