// Any bytes as a directory's tokenizer.json: refused, or a vocabulary whose every token is found at its id.
#include <filesystem>
#include <fstream>

#include "bertie/autograd/error.h"
#include "bertie/data/tokenizer/tokenizer_config.h"
#include "tests/fuzz/fuzzer_files.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace bertie;
  static const std::string folder = std::filesystem::path(output_file()).parent_path();
  std::ofstream(folder + "/tokenizer.json", std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes), static_cast<std::streamsize>(size));
  try {
    const Vocabulary vocabulary = load_tokenizer(folder).tokenizer.vocabulary();
    for (int32_t id = 0; id < vocabulary.size(); ++id) {
      std::string_view token = vocabulary.token(id);
      promise(token.empty() || vocabulary.find(token) == id);
    }
  } catch (const Error& error) {
    std::string message = error.what();  // the vocabulary's own names the token instead of the file
    promise(message.find(folder) != std::string::npos || message.starts_with("[vocabulary] ") ||
            message.starts_with("[added_tokens] "));
  }
  return 0;
}
