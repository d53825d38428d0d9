// Any bytes as config.json: refused, or a config that is written and read without a change.
#include "bertie/models/bert_config.h"

#include "bertie/autograd/error.h"
#include "tests/fuzz/fuzzer_files.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace bertie;
  const std::string& path = input_file(bytes, size);
  BertConfig config;
  try {
    config = read_bert_config(path);
  } catch (const Error& error) {
    promise(std::string(error.what()).find(path) != std::string::npos);
    return 0;
  }
  write_bert_config(output_file(), config, "BertForMaskedLM");
  std::string first = output_bytes();
  write_bert_config(output_file(), read_bert_config(output_file()), "BertForMaskedLM");
  promise(output_bytes() == first);
  return 0;
}
