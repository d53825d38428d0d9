// Any bytes as vocab.txt: refused, or every token is found again, whole and as the longest piece, and the
// vocabulary is written and read without a change.
#include "bertie/data/tokenizer/vocabulary.h"

#include "bertie/autograd/error.h"
#include "tests/fuzz/fuzzer_files.h"

namespace {

using namespace bertie;

void check_tokens(const Vocabulary& vocabulary) {
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    std::string_view token = vocabulary.token(id);
    if (token.empty()) continue;  // an id that nothing uses
    promise(vocabulary.find(token) == id && vocabulary.id(token) == id);
    ByteTrie::Match whole = vocabulary.longest_piece(token, false);
    promise(whole.value == id && whole.length == static_cast<int32_t>(token.size()));
    if (token.size() > continuation_prefix.size() && token.starts_with(continuation_prefix)) {
      std::string_view rest = token.substr(continuation_prefix.size());
      ByteTrie::Match piece = vocabulary.longest_piece(rest, true);
      promise(piece.value == id && piece.length == static_cast<int32_t>(rest.size()));
    }
  }
  promise(vocabulary.token(vocabulary.pad_id()) == "[PAD]" &&
          vocabulary.token(vocabulary.unk_id()) == "[UNK]");
  promise(vocabulary.token(vocabulary.cls_id()) == "[CLS]" &&
          vocabulary.token(vocabulary.sep_id()) == "[SEP]");
  promise(vocabulary.token(vocabulary.mask_id()) == "[MASK]");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string& path = input_file(bytes, size);
  std::optional<Vocabulary> vocabulary;
  try {
    vocabulary = Vocabulary::read(path);
  } catch (const Error& error) {
    promise(std::string(error.what()).find(path) != std::string::npos);
    return 0;
  }
  check_tokens(*vocabulary);
  vocabulary->write(output_file());
  promise(Vocabulary::read(output_file()).tokens() == vocabulary->tokens());
  return 0;
}
