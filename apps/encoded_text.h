// What programs share that run a model over texts: the texts of --text or --input, as tokens, in batches of
// like length.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "bertie/data/batches/batching.h"
#include "bertie/data/files/line_blocks.h"
#include "bertie/data/tokenizer/tokenizer.h"
#include "bertie/models/bert.h"

namespace CLI {
class App;
}

namespace bertie {

// Exactly one of the two must be given; only \n ends a line of the input file.
struct TextOptions {
  std::string text, input;
  bool pairs = false;  // a tab separates two segments
};
void add_text_options(CLI::App& app, TextOptions& options);

// Some lines and how they form batches. Line i is number first_line + i of the input.
struct EncodedLines {
  int64_t first_line = 1;
  std::vector<Encoding> lines;
  BatchPlan batches;  // every line with tokens once, ordered by length

  BertInput input(int64_t batch) const;
};

// The one token that a word is. Throws, as an error of `option`, where it is none or several.
int32_t single_token(const Tokenizer& tokenizer, const char* option, const std::string& word);

class EncodedText {
 public:
  // Texts get `prompt` in front and are cut to options.max_length tokens. The tokenizer must outlive this.
  // Throws where the input file can't be read.
  EncodedText(const TextOptions& text, const Tokenizer& tokenizer, const EncodeOptions& options,
              std::string prompt = {});

  // The next lines; false at the end. Says once, on standard error, what was cut off and what was invalid
  // UTF-8.
  bool next(EncodedLines& block);

 private:
  bool next_line(std::string_view& line);

  TextOptions text_;
  const Tokenizer& tokenizer_;
  EncodeOptions options_;
  std::string prompt_;
  std::unique_ptr<LineBlocks> reader_;  // none: the one line is `text`
  std::span<const std::string_view> read_;
  size_t used_ = 0;  // of these lines
  int64_t lines_ = 0;
  std::string failure_;  // of the line behind those that were given last
  bool told_cut_ = false, told_replaced_ = false;
};

}  // namespace bertie
