// Any bytes as the manifest and the files of a store of tokens, one after the other with "\n-\n" between
// them: refused, or every sequence and document lies within, and every id is one of the vocabulary.
#include <filesystem>
#include <fstream>

#include "bertie/data/batches/token_store.h"
#include "tests/fuzz/fuzzer_files.h"

using namespace bertie;

namespace {

const std::string& folder() {
  static const std::string made = [] {
    std::string path = output_file() + "-cache";
    std::filesystem::create_directories(path + "/f");
    return path;
  }();
  return made;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  static const Vocabulary vocabulary({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b"});
  std::string_view rest(reinterpret_cast<const char*>(bytes), size), between = "\n-\n";
  for (const char* name : {"manifest.json", "training.ids", "training.offsets", "training.documents",
                           "held_out.ids", "held_out.offsets", "held_out.documents"}) {
    std::string_view part = rest.substr(0, rest.find(between));
    rest.remove_prefix(std::min(rest.size(), part.size() + between.size()));
    std::ofstream(folder() + "/f/" + name, std::ios::binary) << part;
  }
  known_sources(folder(), Documents::lines);
  TokenStore store;
  try {
    store = open_token_store(folder(), "f", vocabulary);
  } catch (const Error& error) {
    promise(std::string(error.what()).find(folder()) != std::string::npos);
    return 0;
  }
  for (const TokenizedLines& lines : {store.training, store.held_out}) {
    size_t ids = 0;
    for (int64_t i = 0; i < lines.size(); ++i) {
      promise(!lines[i].empty());
      for (int32_t id : lines[i]) promise(id >= 0 && id < vocabulary.size());
      ids += lines[i].size();
    }
    promise(ids == lines.ids.size());
    int64_t sequences = 0;
    for (int64_t d = 0; d < lines.documents(); ++d)
      sequences += lines.document_offsets[d + 1] - lines.document_offsets[d];
    promise(sequences == lines.size());
  }
  return 0;
}
