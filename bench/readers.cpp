// How the time of each reader grows with its file: at 1, 2 and 4 times the size, the best of three. Ends with
// 1 where four times the file takes more than eight times as long.
#include <fmt/core.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <functional>

#include "bertie/data/batches/corpus_reader.h"
#include "bertie/data/batches/corpus_words.h"
#include "bertie/data/batches/tokenized_lines.h"
#include "bertie/data/files/line_blocks.h"
#include "bertie/data/files/safetensors.h"
#include "bertie/data/tokenizer/tokenizer_config.h"
#include "bertie/data/tokenizer/wordpiece_trainer.h"
#include "bertie/models/bert_config.h"

using namespace bertie;
namespace fs = std::filesystem;

namespace {

constexpr const char* config_start =
    R"({"vocab_size": 9, "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1,
        "intermediate_size": 4, "max_position_embeddings": 4)";

void write(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

// One after the other: part(0), part(1), …
template <class Part>
std::string joined(int64_t count, const char* between, Part part) {
  std::string text;
  for (int64_t i = 0; i < count; ++i) text += (i > 0 ? between : "") + part(i);
  return text;
}

std::string repeated(int64_t count, const std::string& text) {
  return joined(count, "", [&](int64_t) { return text; });
}

std::string vocabulary_of(int64_t count) {
  return "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n" +
         joined(count, "\n", [](int64_t i) { return fmt::format("##token{}", i); });
}

std::string safetensors_header(int64_t tensors, const std::string& last) {
  std::string header =
      "{" +
      joined(tensors, ",",
             [](int64_t i) {
               return fmt::format(R"("name.{}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})", i);
             }) +
      last + "}";
  uint64_t bytes = header.size();
  return std::string(reinterpret_cast<const char*>(&bytes), sizeof bytes) + header;
}

// Takes what is there; a refusal is a result, too.
template <class Read>
void try_to(Read read) {
  try {
    read();
  } catch (const Error&) {
  }
}

struct Reader {
  const char* name;
  int64_t size;                                                // 1 time
  std::function<void(const fs::path& folder, int64_t)> write;  // so much of it
  std::function<void(const fs::path& folder)> read;
};

void read_lines(const fs::path& folder) {
  LineBlocks blocks(folder / "text");
  while (!blocks.next().empty()) {
  }
}

void tokenize(const fs::path& folder) {
  write(folder / "vocab.txt", vocabulary_of(10));
  Tokenizer tokenizer(Vocabulary::read(folder / "vocab.txt"));
  Corpus corpus = read_corpus({folder / "text"});
  LineTokenizer lines(tokenizer, 128);
  for (CorpusReader reader(corpus); reader.next();) lines.tokenize(reader.lines());
}

void write_text(const fs::path& folder, const std::string& text) { write(folder / "text", text); }

std::vector<Reader> readers() {
  auto safetensors = [](const fs::path& f) { try_to([&] { read_safetensors(f / "x.safetensors"); }); };
  auto config = [](const fs::path& f) { try_to([&] { read_bert_config(f / "config.json"); }); };
  auto tokenizer = [](const fs::path& f) { try_to([&] { load_tokenizer(f); }); };
  auto corpus = [](const fs::path& f) { try_to([&] { read_corpus({f / "text"}); }); };
  return {
      {"safetensors: header", 50'000,
       [](const fs::path& f, int64_t n) { write(f / "x.safetensors", safetensors_header(n, "")); },
       safetensors},
      {"safetensors: last name twice", 50'000,
       [](const fs::path& f, int64_t n) {
         write(f / "x.safetensors", safetensors_header(n, R"(,"name.0":0)"));
       },
       safetensors},
      {"safetensors: one name, refused", 10'000'000,
       [](const fs::path& f, int64_t n) {
         write(f / "x.safetensors", safetensors_header(0, "\"" + std::string(n, '\x7f') + "\":0"));
       },
       safetensors},
      {"safetensors: bools", 50'000'000,
       [](const fs::path& f, int64_t n) {
         std::string header =
             fmt::format(R"({{"x":{{"dtype":"BOOL","shape":[{0}],"data_offsets":[0,{0}]}}}})", n);
         uint64_t bytes = header.size();
         write(f / "x.safetensors", std::string(reinterpret_cast<const char*>(&bytes), sizeof bytes) +
                                        header + std::string(n, '\0'));
       },
       safetensors},
      {"safetensors: index", 50'000,
       [](const fs::path& f, int64_t n) {
         write(f / "x.safetensors", safetensors_header(n, ""));
         write(f / "index.json", R"({"weight_map":{)" + joined(n, ",", [](int64_t i) {
                                   return fmt::format(R"("name.{}":"x.safetensors")", i);
                                 }) + "}}");
       },
       [](const fs::path& f) { read_safetensors_shards(f / "index.json"); }},
      {"config.json: unknown keys", 200'000,
       [](const fs::path& f, int64_t n) {
         write(f / "config.json", config_start + joined(n, "", [](int64_t i) {
                                    return fmt::format(R"(,"key {}": {{"a": [1, 2.5]}})", i);
                                  }) + "}");
       },
       config},
      {"config.json: labels", 200'000,
       [](const fs::path& f, int64_t n) {
         write(f / "config.json",
               std::string(config_start) + R"(,"id2label": {)" +
                   joined(n, ",", [](int64_t i) { return fmt::format(R"("{0}": "label {0}")", i); }) + "}}");
       },
       config},
      {"config.json: a long number", 10'000'000,
       [](const fs::path& f, int64_t n) {
         write(f / "config.json", std::string(config_start) + R"(,"number": 0.)" + std::string(n, '7') + "}");
       },
       config},
      {"config.json: a deep one, refused", 10'000'000,
       [](const fs::path& f, int64_t n) {
         write(f / "config.json", std::string(config_start) + R"(,"deep": )" + std::string(n, '[') + "}");
       },
       config},
      {"tokenizer_config.json, vocab.txt", 100'000,
       [](const fs::path& f, int64_t n) {
         fs::remove(f / "tokenizer.json");
         write(f / "vocab.txt", vocabulary_of(n));
         write(f / "tokenizer_config.json", R"({"do_lower_case": true)" + joined(n, "", [](int64_t i) {
                                              return fmt::format(R"(,"key {}": [])", i);
                                            }) + "}");
       },
       tokenizer},
      {"tokenizer.json", 100'000,
       [](const fs::path& f, int64_t n) {
         fs::remove(f / "tokenizer_config.json");
         std::string tokens =
             R"({"model": {"type": "WordPiece", "vocab": {"[PAD]":0,"[UNK]":1,"[CLS]":2,"[SEP]":3,
                                  "[MASK]":4)";
         write(f / "tokenizer.json", tokens + joined(n, "", [](int64_t i) {
                                       return fmt::format(R"(,"token {}":{})", i, i + 5);
                                     }) + "}}}");
       },
       tokenizer},
      {"vocab.txt: last token twice", 100'000,
       [](const fs::path& f, int64_t n) {
         fs::remove(f / "tokenizer.json");
         write(f / "vocab.txt", vocabulary_of(n) + "\n##token0");
       },
       tokenizer},
      {"vocab.txt: one token", 1'000'000,
       [](const fs::path& f, int64_t n) { write(f / "vocab.txt", vocabulary_of(0) + std::string(n, 'x')); },
       tokenizer},
      {"corpus: lines", 500'000,
       [](const fs::path& f, int64_t n) { write_text(f, repeated(n, "a few words\n")); }, corpus},
      {"corpus: documents", 1'000'000,
       [](const fs::path& f, int64_t n) { write_text(f, repeated(n, "a\n\n")); }, corpus},
      {"corpus: one line", 10'000'000,
       [](const fs::path& f, int64_t n) { write_text(f, std::string(n, 'x')); }, corpus},
      {"corpus: blank", 10'000'000, [](const fs::path& f, int64_t n) { write_text(f, std::string(n, ' ')); },
       corpus},
      {"corpus: no UTF-8", 2'000'000,
       [](const fs::path& f, int64_t n) { write_text(f, std::string(n, '\xff')); }, corpus},
      {"lines: short", 5'000'000, [](const fs::path& f, int64_t n) { write_text(f, repeated(n, "ab\n")); },
       read_lines},
      {"lines: a long one, then short ones", 20'000'000,
       [](const fs::path& f, int64_t n) {
         write_text(f, std::string(n, 'x') + "\n" + repeated(n / 3, "ab\n"));
       },
       read_lines},
      {"tokens: short words", 1'000'000,
       [](const fs::path& f, int64_t n) { write_text(f, repeated(n, "a ")); }, tokenize},
      {"tokens: one word", 5'000'000,
       [](const fs::path& f, int64_t n) { write_text(f, std::string(n, 'a')); }, tokenize},
      {"tokens: [MASK]s", 500'000, [](const fs::path& f, int64_t n) { write_text(f, repeated(n, "[MASK]")); },
       tokenize},
      {"tokens: brackets", 2'000'000,
       [](const fs::path& f, int64_t n) { write_text(f, repeated(n, "[MAS")); }, tokenize},
      {"tokens: accents in a row", 500'000,
       [](const fs::path& f, int64_t n) { write_text(f, "a" + repeated(n / 2, "\u0301\u0323")); }, tokenize},
      {"words: different ones", 50'000,
       [](const fs::path& f, int64_t n) {
         write_text(f, joined(n, " ", [](int64_t i) { return fmt::format("w{}", i); }));
       },
       [](const fs::path& f) {
         Corpus text = read_corpus({f / "text"});
         train_wordpiece(count_words(text, {}, {}).take(), {.size = 300});
       }},
      {"words: one long one", 200'000,
       [](const fs::path& f, int64_t n) { write_text(f, repeated(n / 8, "abcabdac")); },
       [](const fs::path& f) {
         Corpus text = read_corpus({f / "text"});
         train_wordpiece(count_words(text, {}, {}).take(), {.size = 100});
       }},
  };
}

double seconds(const std::function<void()>& action) {
  std::clock_t start = std::clock();  // the processor's time, in which other programs don't count
  action();
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

}  // namespace

int main() {
  fs::path folder = fs::temp_directory_path() / fmt::format("bertie-readers-{}", ::getpid());
  fs::create_directory(folder);
  bool linear = true;
  fmt::print("{:<36}{:>10}{:>10}{:>10}{:>8}\n", "seconds at … times the size", "1", "2", "4", "4/1");
  for (const Reader& reader : readers()) {
    double times[3];
    for (int i = 0; i < 3; ++i) {
      reader.write(folder, reader.size << i);
      times[i] = 1e9;
      for (int run = 0; run < 3; ++run) times[i] = std::min(times[i], seconds([&] { reader.read(folder); }));
    }
    double growth = times[2] / times[0];
    bool too_much = growth > 8 && times[2] > 0.05;  // less is the noise of starting
    linear = linear && !too_much;
    fmt::print("{:<36}{:>10.4f}{:>10.4f}{:>10.4f}{:>8.1f}{}\n", reader.name, times[0], times[1], times[2],
               growth, too_much ? "  <-- not linear" : "");
    std::fflush(stdout);
  }
  fs::remove_all(folder);
  return linear ? 0 : 1;
}
