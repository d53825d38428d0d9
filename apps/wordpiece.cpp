// The tokenizer on its own: trains vocabularies, turns text into ids and ids into text.
#include <algorithm>
#include <charconv>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/console/options.h"
#include "apps/console/program.h"
#include "apps/console/progress.h"
#include "apps/text_report.h"
#include "apps/training_text.h"
#include "bertie/autograd/error.h"
#include "bertie/autograd/threads.h"
#include "bertie/data/files/atomic_file.h"
#include "bertie/data/files/line_blocks.h"
#include "bertie/data/tokenizer/tokenizer_config.h"
#include "bertie/data/tokenizer/wordpiece_trainer.h"

using namespace bertie;

namespace {

using Json = nlohmann::ordered_json;

constexpr size_t lines_per_task = 64;

struct Options {
  std::vector<std::string> corpus;                  // train
  std::string output;                               // train
  WordPieceTrainerOptions trainer;                  // train
  std::string vocabulary, model;                    // encode, decode: one of them
  std::string text, input;                          // encode, decode: one of them; the text may be ids
  bool cased = false;                               // train, encode
  bool no_special_tokens = false;                   // encode, decode
  bool json = false, pairs = false, split = false;  // encode
  std::optional<int64_t> mask;                      // encode
};

Tokenizer of_directory(const std::string& directory) {
  PretrainedTokenizer read = load_tokenizer(directory);
  for (const LoadNote& note : read.notes) message("Note: {}", note.str());
  return std::move(read.tokenizer);
}

Tokenizer tokenizer_of(const Options& o) {
  TokenizerOptions options;
  options.words.do_lower_case = !o.cased;
  Tokenizer tokenizer =
      o.model.empty() ? Tokenizer(Vocabulary::read(o.vocabulary), options) : of_directory(o.model);
  if (!o.split) return tokenizer;
  options = tokenizer.options();
  options.split_special_tokens = true;
  return Tokenizer(tokenizer.vocabulary(), options);
}

// The share of [UNK] among the tokens of the words.
double unknown_share(const WordCounts& words, const Tokenizer& tokenizer) {
  double tokens = 0, unknown = 0;
  std::vector<int32_t> ids;
  for (const auto& [word, count] : words) {
    ids.clear();
    tokenizer.append_ids(word, ids);
    for (int32_t id : ids) unknown += id == tokenizer.vocabulary().unk_id() ? static_cast<double>(count) : 0;
    tokens += static_cast<double>(ids.size()) * static_cast<double>(count);
  }
  return unknown / std::max(tokens, 1.0);
}

void train(const Options& o) {
  { AtomicFile probe(o.output); }  // finds out now whether it can be written
  TokenizerOptions options;
  options.words.do_lower_case = !o.cased;
  std::error_code error;
  std::string folder = std::filesystem::temp_directory_path(error).string();
  Corpus corpus = read_training_text(o.corpus, Documents::blank_lines, error ? "." : folder);
  note_corpus(corpus);
  WordCounts counts = count_training_words(corpus, HeldOutRule(), options.words);
  std::optional<Progress> stage(std::in_place, "Making the vocabulary");
  Vocabulary vocabulary = train_wordpiece(counts, o.trainer);
  vocabulary.write(o.output);
  double share = unknown_share(counts, Tokenizer(vocabulary, options));
  stage.reset();
  message("{}: {} entries from {} lines with {} distinct words; [UNK]: {:.2f} % of the tokens", o.output,
          vocabulary.size(), corpus.lines, counts.size(), 100 * share);
  note_unknown("the text", share, "A larger --alphabet knows more characters");
}

// Writes a line for each line of the input, in its order: line_of(line, output) appends it and returns how
// many invalid UTF-8 sequences it replaced. Runs in parallel; lines before one that fails are written.
template <class LineOf>
void for_each_line(const Options& o, const LineOf& line_of) {
  struct Part {
    std::string output;
    std::optional<size_t> first_replaced;
    std::string failure;
  };
  bool told = false;
  auto place = [&](int64_t number) {
    return o.input.empty() ? std::string("the text") : fmt::format("line {} of '{}'", number, shown(o.input));
  };
  auto write_lines = [&](std::span<const std::string_view> lines, int64_t first_number) {
    std::vector<Part> parts((lines.size() + lines_per_task - 1) / lines_per_task);
    parallel_tasks(static_cast<int64_t>(parts.size()), [&](int64_t p) {
      Part& part = parts[p];
      size_t begin = p * lines_per_task, end = std::min(lines.size(), begin + lines_per_task);
      for (size_t i = begin; i < end && part.failure.empty(); ++i) {
        try {
          if (line_of(lines[i], part.output) > 0 && !part.first_replaced) part.first_replaced = i;
          part.output += '\n';
        } catch (const Error& error) {
          part.failure =
              fmt::format("{}, in {}", error.what(), place(first_number + static_cast<int64_t>(i)));
        }
      }
    });
    for (Part& part : parts) {
      if (part.first_replaced && !told) {
        told = true;
        message("Note: {} has invalid UTF-8, which is read as U+FFFD, here and further on",
                place(first_number + static_cast<int64_t>(*part.first_replaced)));
      }
      if (!part.output.empty()) {
        part.output.pop_back();  // print_result() ends the line
        print_result(part.output);
      }
      if (!part.failure.empty()) throw Error(part.failure);
    }
  };
  if (o.input.empty()) {
    std::string_view text = o.text;
    return write_lines({&text, 1}, 1);
  }
  LineBlocks blocks(o.input);
  for (auto lines = blocks.next(); !lines.empty(); lines = blocks.next())
    write_lines(lines, blocks.first_number());
}

Json to_json(const Encoding& encoding, const std::vector<int32_t>& labels, const Vocabulary& vocabulary,
             bool with_token_types) {
  Json tokens = Json::array(), offsets = Json::array(), mask = Json::array();
  for (int32_t id : encoding.ids) {
    tokens.push_back(vocabulary.token(id));
    mask.push_back(id == vocabulary.mask_id());
  }
  for (auto [begin, end] : encoding.offsets) offsets.push_back({begin, end});
  Json json = {
      {"tokens", tokens}, {"ids", encoding.ids}, {"offsets", offsets}, {"mask", mask}, {"labels", labels}};
  if (with_token_types) json["token_type_ids"] = encoding.token_type_ids;
  return json;
}

void append_ids(const std::vector<int32_t>& ids, std::string& output) {
  char digits[16];
  for (size_t i = 0; i < ids.size(); ++i) {
    if (i > 0) output += ' ';
    output.append(digits, std::to_chars(digits, std::end(digits), ids[i]).ptr);
  }
}

void encode(const Options& o) {
  Tokenizer tokenizer = tokenizer_of(o);
  EncodeOptions options;
  options.add_special_tokens = !o.no_special_tokens;
  for_each_line(o, [&](std::string_view line, std::string& output) {
    Encoding encoding;
    tokenizer.encode(o.pairs ? split_pair(line) : TextInput{line}, options, encoding);
    std::vector<int32_t>& ids = encoding.ids;
    std::vector<int32_t> labels = ids;
    if (o.mask) {
      BERTIE_CHECK(*o.mask < static_cast<int64_t>(ids.size()), "mask",
                   "tokens are counted from 0 and there are {}, so --mask can't be {}", ids.size(), *o.mask);
      ids[*o.mask] = tokenizer.vocabulary().mask_id();
    }
    if (o.json) {
      output += to_json(encoding, labels, tokenizer.vocabulary(), o.pairs).dump();
    } else {
      append_ids(ids, output);
    }
    return encoding.replaced;
  });
}

std::vector<int32_t> parse_ids(std::string_view line, int32_t vocabulary_size) {
  constexpr std::string_view white_space = " \t\n\r\v\f";
  std::vector<int32_t> ids;
  for (size_t at = 0; (at = line.find_first_not_of(white_space, at)) != std::string_view::npos;) {
    std::string_view word = line.substr(at, line.find_first_of(white_space, at) - at);
    int32_t id = -1;
    auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    bool is_id = error == std::errc() && end == word.data() + word.size() && id >= 0 && id < vocabulary_size;
    BERTIE_CHECK(is_id, "decode", "ids are numbers from 0 to {} between spaces, got '{}'",
                 vocabulary_size - 1, word);
    ids.push_back(id);
    at += word.size();
  }
  return ids;
}

void decode(const Options& o) {
  Tokenizer tokenizer = tokenizer_of(o);
  for_each_line(o, [&](std::string_view line, std::string& output) {
    output += tokenizer.decode(parse_ids(line, tokenizer.vocabulary().size()), o.no_special_tokens);
    return 0;
  });
}

void add_source_options(CLI::App& command, Options& o, const char* text_option, const char* text_help,
                        const char* input_help) {
  auto* tokenizer = command.add_option_group("tokenizer", "Which tokenizer");
  tokenizer->add_option("--vocab", o.vocabulary, "vocab.txt")->check(check_file_name);
  tokenizer->add_option("--model", o.model, "Model directory: its vocabulary and tokenizer_config.json")
      ->check(check_folder_name);
  tokenizer->require_option(1);
  auto* source = command.add_option_group("source", "What to read");
  source->add_option(text_option, o.text, text_help);
  source->add_option("--input", o.input, input_help)->check(check_file_name);
  source->require_option(1);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Trains WordPiece vocabularies, turns text into ids and ids into text, as BERT's tokenizer does.\n\n"
      "  wordpiece train --input corpus.txt --size 8192 --output vocab.txt\n"
      "  wordpiece encode --vocab vocab.txt --text \"I love playing [MASK].\"\n"
      "  wordpiece encode --model bert-base-uncased --input corpus.txt --json\n"
      "  wordpiece decode --vocab vocab.txt --ids \"2 14 8 3\"\n",
      "wordpiece"};
  Options o;
  app.require_subcommand(1);
  app.fallthrough();  // --threads may follow the command

  CLI::App* train_command = app.add_subcommand("train", "Trains a vocabulary on text");
  take_brackets(train_command->add_option("--input", o.corpus, text_paths_help))
      ->check(check_file_name)
      ->required();
  train_command->add_option("--size", o.trainer.size, "Entries, special tokens and characters included")
      ->transform(integer_in(1, 10'000'000))
      ->capture_default_str();
  train_command
      ->add_option("--alphabet", o.trainer.alphabet_limit,
                   "Different characters, the most frequent ones; words with others become [UNK]")
      ->transform(integer_in(1, 1'114'112))
      ->capture_default_str();
  train_command->add_option("--output", o.output, "vocab.txt to write, replacing it")
      ->check(check_file_name)
      ->required();
  train_command->add_flag("--cased", o.cased, "Keep upper case and accents");

  CLI::App* encode_command = app.add_subcommand("encode", "Prints a line of ids for each line of text");
  add_source_options(*encode_command, o, "--text", "A text",
                     "Text file, UTF-8, or '-', standard input; only '\\n' ends a line");
  encode_command->add_flag("--cased", o.cased, "Keep upper case and accents (--model says it by itself)")
      ->excludes("--model");
  encode_command->add_flag("--no-special-tokens", o.no_special_tokens, "Add no [CLS] and [SEP]");
  encode_command->add_flag("--split-special-tokens", o.split,
                           "[MASK] and the like in the text are ordinary characters");
  encode_command->add_flag("--pairs", o.pairs, "A tab separates two texts, which make one input");
  encode_command->add_option("--mask", o.mask, "Replace this token, counted from 0, by [MASK]")
      ->transform(integer_in(0, int64_t{1} << 40));
  encode_command->add_flag("--json", o.json, "One JSON object per line: tokens, ids, offsets, mask, labels");

  CLI::App* decode_command = app.add_subcommand("decode", "Prints a line of text for each line of ids");
  add_source_options(*decode_command, o, "--ids", "Ids between spaces",
                     "File with ids between spaces on each line, or '-', standard input");
  decode_command->add_flag("--no-special-tokens", o.no_special_tokens, "Leave out [CLS], [SEP] and the like");

  return run_program(app, argc, argv, [&] {
    if (*train_command) train(o);
    if (*encode_command) encode(o);
    if (*decode_command) decode(o);
  });
}
