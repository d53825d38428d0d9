// How fast texts in memory become ids: the lines of files, without offsets, over and over.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <deque>
#include <iostream>
#include <limits>
#include <nlohmann/json.hpp>

#include "bench/program.h"
#include "bertie/autograd/threads.h"
#include "bertie/data/batches/corpus_reader.h"
#include "bertie/data/batches/tokenized_lines.h"

using namespace bertie;

namespace {

using Json = nlohmann::ordered_json;

class Bench {
 public:
  Bench(const std::string& vocabulary, const std::vector<std::string>& files)
      : tokenizer_(Vocabulary::read(vocabulary)), corpus_(read_corpus(files)) {
    for (CorpusReader reader(corpus_); reader.next();)
      for (std::string_view line : reader.lines()) {
        bytes_ += static_cast<int64_t>(line.size()) + 1;
        lines_.push_back(texts_.emplace_back(line));
      }
  }

  double run() {  // seconds
    auto begin = std::chrono::steady_clock::now();
    TokenizedLines lines = tokenize_lines(tokenizer_, lines_, std::numeric_limits<int64_t>::max());
    std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    tokens_ = static_cast<int64_t>(lines.ids.size());
    seconds_.push_back(seconds.count());
    return seconds_.back();
  }

  Json summary() {
    BERTIE_CHECK(!seconds_.empty(), "tokenize", "the input ended before the first \"go\"");
    auto middle = seconds_.begin() + static_cast<int64_t>(seconds_.size() / 2);
    std::nth_element(seconds_.begin(), middle, seconds_.end());
    return {{"lines", corpus_.lines},
            {"bytes", bytes_},
            {"tokens", tokens_},
            {"seconds", *middle},
            {"megabytes_per_second", 1e-6 * static_cast<double>(bytes_) / *middle}};
  }

 private:
  Tokenizer tokenizer_;
  Corpus corpus_;
  std::deque<std::string> texts_;
  std::vector<std::string_view> lines_;  // all of them, in texts_
  int64_t bytes_ = 0, tokens_ = 0;
  std::vector<double> seconds_;
};

void say(const Json& value) { std::cout << value.dump() << std::endl; }

void serve(Bench& bench) {
  say({{"ready", true}});
  for (std::string line; std::getline(std::cin, line);) {
    BERTIE_CHECK(line == "go", "tokenize", "expected a line \"go\", got \"{}\"", line);
    say({{"seconds", bench.run()}});
  }
  say(bench.summary());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Measures how fast the lines of text files become ids: lower-cased, from memory, without offsets.");
  std::string vocabulary;
  std::vector<std::string> files;
  int threads = 1;
  bool json = false, serves = false;
  app.add_option("--vocab", vocabulary, "vocab.txt")->required();
  app.add_option("files", files, "Text files")->required();
  app.add_flag("--json", json, "Print JSON");
  app.add_flag("--serve", serves, "All lines once for each line \"go\" on standard input; prints JSON");
  return run_benchmark(app, threads, argc, argv, [&] {
    Bench bench(vocabulary, files);
    bench.run();  // warms up
    if (serves) {
      serve(bench);
      return;
    }
    for (int i = 0; i < 11; ++i) bench.run();
    Json summary = bench.summary();
    if (json) {
      say(summary);
    } else {
      fmt::print("{:.1f} MB/s: {} lines, {} bytes, {} tokens in {:.1f} ms, {} threads\n",
                 summary["megabytes_per_second"].get<double>(), summary["lines"].get<int64_t>(),
                 summary["bytes"].get<int64_t>(), summary["tokens"].get<int64_t>(),
                 1e3 * summary["seconds"].get<double>(), threads);
    }
  });
}
