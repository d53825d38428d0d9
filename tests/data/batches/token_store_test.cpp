#include "bertie/data/batches/token_store.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <thread>

#include "bertie/autograd/random.h"
#include "bertie/autograd/threads.h"
#include "bertie/data/batches/mlm_batches.h"
#include "bertie/data/files/atomic_file.h"
#include "bertie/data/files/mapped_file.h"
#include "tests/corpus_lines.h"
#include "tests/message_of.h"
#include "tests/standard_input_of.h"
#include "tests/temporary_folder.h"

namespace bertie {
namespace {

namespace fs = std::filesystem;

constexpr int64_t max_length = 9;

const Tokenizer& tokenizer() {
  static const Tokenizer instance{
      Vocabulary({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c", "##d", "##e"})};
  return instance;
}

// Documents of one to five lines of up to 19 words; some lines have no token.
std::string random_text(int documents) {
  Random random(7);
  std::string text;
  for (int document = 0; document < documents; document++) {
    for (uint64_t lines = 1 + random.below(5); lines > 0; lines--) {
      if (random.below(9) == 0) text += '\x01';
      for (uint64_t words = random.below(20); words > 0; words--)
        text += std::string(1, "abc?"[random.below(4)]) + (random.below(3) == 0 ? "ded " : " ");
      text += '\n';
    }
    text += '\n';
  }
  return text;
}

template <class T>
std::vector<T> copy(std::span<const T> values) {
  return {values.begin(), values.end()};
}

void expect_same(const TokenizedLines& a, const TokenizedLines& b) {
  EXPECT_TRUE(copy(a.ids) == copy(b.ids));
  EXPECT_TRUE(copy(a.offsets) == copy(b.offsets));
  EXPECT_TRUE(copy(a.document_offsets) == copy(b.document_offsets));
}

// Some of a corpus's lines in memory, document by document, each tokenized alone.
TokenizedLines in_memory(const Corpus& corpus, const HeldOutRule& rule, bool held_out) {
  CorpusLines read(corpus);
  TokenVectors vectors;
  for (int64_t document = 0; document < corpus.documents; document++) {
    for (int64_t line = read.document_offsets[document]; line < read.document_offsets[document + 1]; line++) {
      if (rule.holds_out(line, document) != held_out) continue;
      TokenizedLines alone = tokenize_lines(tokenizer(), std::span(&read.lines[line], 1), max_length);
      for (int64_t i = 0; i < alone.size(); i++) {
        vectors.ids.insert(vectors.ids.end(), alone[i].begin(), alone[i].end());
        vectors.end_sequence();
      }
    }
    vectors.end_document();
  }
  return TokenizedLines(std::move(vectors));
}

class Store : public testing::Test {
 protected:
  TokenStore tokenize(const Corpus& corpus, const TokenStoreOptions& options) {
    notes_.clear();
    tokenized_ = false;
    TokenStoreOptions all = options;
    all.progress = [&](int64_t, int64_t) { tokenized_ = true; };
    all.note = [&](const std::string& note) { notes_ += note; };
    return tokenize_corpus(corpus, tokenizer(), cache_, all);
  }
  TokenStore tokenize(const Corpus& corpus) { return tokenize(corpus, {.max_length = max_length}); }
  TokenStore tokenize_file() { return tokenize(read_corpus({text_})); }
  std::string file(const TokenStore& store, const std::string& name) const {
    return cache_ + "/" + store.fingerprint + "/" + name;
  }
  // What opening the store says after something was done to one of its files.
  std::string refusal(const TokenStore& store, const std::string& name,
                      const std::function<void(std::string&)>& change) {
    std::string path = file(store, name), before = read_file(path), after = before;
    change(after);
    std::ofstream(path, std::ios::binary) << after;
    std::string message =
        message_of([&] { open_token_store(cache_, store.fingerprint, tokenizer().vocabulary()); });
    std::ofstream(path, std::ios::binary) << before;
    return message;
  }
  size_t stores() const {
    return fs::exists(cache_) ? static_cast<size_t>(std::distance(fs::directory_iterator(cache_), {})) : 0;
  }

  TemporaryFolder folder_;
  std::string cache_ = folder_ / "some/cache", text_ = folder_ / "text", notes_;
  bool tokenized_ = false;  // rather than found
};

TEST_F(Store, HoldsWhatMemoryWould) {
  for (int documents : {3, 19, 20, 500}) {
    Corpus corpus = text_corpus("text", random_text(documents));
    TokenStore store = tokenize(corpus);
    HeldOutRule rule(corpus);
    expect_same(store.training, in_memory(corpus, rule, false));
    expect_same(store.held_out, in_memory(corpus, rule, true));
    EXPECT_GT(store.held_out.size(), 0);
    TokenStore whole = tokenize(corpus, {.max_length = max_length, .hold_out = false});
    expect_same(whole.training, in_memory(corpus, HeldOutRule(), false));
    EXPECT_EQ(whole.held_out.size(), 0);
    EXPECT_EQ(whole.held_out.documents(), 0);
    EXPECT_NE(whole.fingerprint, store.fingerprint);
    // All lines together, as before there were documents.
    CorpusLines read(corpus);
    EXPECT_TRUE(copy(whole.training.ids) == copy(tokenize_lines(tokenizer(), read.lines, max_length).ids));
  }
}

TEST_F(Store, ServesBatches) {
  Corpus corpus = text_corpus("text", random_text(300));
  const Vocabulary& vocabulary = tokenizer().vocabulary();
  Masking masking(ordinary_tokens(vocabulary), vocabulary.mask_id(), 1);
  MlmBatches mapped(tokenize(corpus).training, vocabulary, masking, 64, 1);
  MlmBatches memory(in_memory(corpus, HeldOutRule(corpus), false), vocabulary, masking, 64, 1);
  BatchPlan plan = mapped.shuffled_pass(0);
  EXPECT_EQ(plan.order, memory.shuffled_pass(0).order);
  EXPECT_EQ(plan.offsets, memory.shuffled_pass(0).offsets);
  for (int64_t b = 0; b < plan.size(); b += 9)
    EXPECT_EQ(mapped.batch(plan[b], 0).tokens.ids.to_vector<int32_t>(),
              memory.batch(plan[b], 0).tokens.ids.to_vector<int32_t>());
}

TEST_F(Store, IsTheSameOnAnyNumberOfThreads) {
  Corpus corpus = text_corpus("text", random_text(3000));
  int before = thread_count();
  auto bytes_with = [&](int threads) {
    set_thread_count(threads);
    TokenStore store = tokenize(corpus);
    EXPECT_TRUE(tokenized_);
    std::string bytes;
    for (const char* part : {"training", "held_out"})
      for (const char* kind : {".ids", ".offsets", ".documents"})
        bytes += read_file(file(store, std::string(part) + kind));
    fs::remove_all(cache_);
    return bytes;
  };
  std::string one = bytes_with(1);
  EXPECT_TRUE(one == bytes_with(2));
  EXPECT_TRUE(one == bytes_with(5));
  set_thread_count(before);
}

TEST_F(Store, IsUsedAgainWhenNothingChanged) {
  write_file_atomically(text_, random_text(100));
  TokenStore first = tokenize_file();
  EXPECT_TRUE(tokenized_);
  TokenStore second = tokenize_file();
  EXPECT_FALSE(tokenized_);
  EXPECT_EQ(token_store_fingerprint(read_corpus({text_}), tokenizer(), {.max_length = max_length}),
            first.fingerprint);
  EXPECT_EQ(second.fingerprint, first.fingerprint);
  EXPECT_EQ(first.fingerprint.size(), 32u);
  expect_same(first.training, second.training);
  expect_same(first.held_out, second.held_out);
  expect_same(first.training, open_token_store(cache_, first.fingerprint, tokenizer().vocabulary()).training);
  fs::copy(text_, folder_ / "copy");  // the contents count, not the name nor the time
  EXPECT_EQ(tokenize(read_corpus({folder_ / "copy"})).fingerprint, first.fingerprint);
  EXPECT_FALSE(tokenized_);
  EXPECT_EQ(notes_, "");
  EXPECT_EQ(stores(), 1u);
}

TEST_F(Store, IsAnotherOneForAnotherText) {
  std::set<std::string> fingerprints;
  auto add = [&](const Corpus& corpus, TokenStoreOptions options = {.max_length = max_length}) {
    fingerprints.insert(tokenize(corpus, options).fingerprint);
    EXPECT_TRUE(tokenized_);
    EXPECT_EQ(stores(), fingerprints.size());
  };
  add(text_corpus("text", "a\nb\n\nc\n"));
  add(text_corpus("text", "a\nc\n\nb\n"));
  add(text_corpus("text", "a\n\nb\nc\n"));
  add(text_corpus("text", "a\nb\n\nc\n", Documents::files));
  add(text_corpus("text", "a\nb\n\nc\n", Documents::lines));
  add(text_corpus("text", "a\nb\n\nc\n"), {.max_length = 8});
  add(text_corpus("text", "a\nb\n\nc\n"), {.max_length = max_length, .hold_out = false});
  std::vector<std::string> tokens = tokenizer().vocabulary().tokens();
  std::swap(tokens[5], tokens[6]);
  TokenizerOptions cased;
  cased.words.do_lower_case = false;
  for (const Tokenizer& other : {Tokenizer(Vocabulary(tokens)), Tokenizer(tokenizer().vocabulary(), cased)})
    fingerprints.insert(
        tokenize_corpus(text_corpus("text", "a\nb\n\nc\n"), other, cache_, {.max_length = max_length})
            .fingerprint);
  EXPECT_EQ(fingerprints.size(), 9u);
  EXPECT_EQ(stores(), 9u);
}

TEST_F(Store, RemembersFiles) {
  write_file_atomically(text_, "a\n\xff\n\nb\n");
  tokenize_file();
  EXPECT_TRUE(known_sources(cache_, Documents::blank_lines).empty());  // so new that it may change unseen
  fs::remove_all(cache_);
  fs::last_write_time(text_, fs::last_write_time(text_) - std::chrono::seconds(10));
  Corpus corpus = read_corpus({text_});
  tokenize(corpus);
  auto known = known_sources(cache_, Documents::blank_lines);
  ASSERT_EQ(known.size(), 1u);
  const CorpusSource &source = known[text_], &expected = corpus.sources[0];
  EXPECT_EQ(source.hash, expected.hash);
  EXPECT_EQ(source.bytes, 7);
  EXPECT_EQ(source.modified_ns, expected.modified_ns);
  EXPECT_EQ(source.lines, 3);
  EXPECT_EQ(source.documents, 2);
  EXPECT_EQ(source.replaced, 1);
  EXPECT_EQ(source.first_replaced_line, 2);
  EXPECT_TRUE(known_sources(cache_, Documents::lines).empty());
  EXPECT_TRUE(known_sources(folder_ / "none", Documents::lines).empty());
  Corpus again = read_corpus({text_}, {.known = known});
  EXPECT_EQ(tokenize(again).training.size(), 1);  // "a": U+FFFD is no word, and "b" is held out
  EXPECT_FALSE(tokenized_);
  EXPECT_EQ(again.replaced, 1);
}

TEST_F(Store, StandardInputCanBeGoneOnWith) {
  std::string text = random_text(100), fingerprint;
  CorpusSource source;
  {
    StandardInputOf input(text, 0);
    Corpus corpus = read_corpus({"-"}, {.pipe_folder = folder_.path()});
    EXPECT_FALSE(stored_vocabulary(cache_, "none"));
    fingerprint = tokenize(corpus).fingerprint;
    source = corpus.sources[0];
    source.path = "";
  }
  TokenStore store = open_token_store(cache_, fingerprint, tokenizer().vocabulary());
  Corpus corpus = text_corpus("text", text);
  expect_same(store.training, in_memory(corpus, HeldOutRule(corpus), false));
  EXPECT_EQ(tokenize(corpus).fingerprint, fingerprint);  // whose contents are the same
  EXPECT_FALSE(tokenized_);
  EXPECT_TRUE(known_sources(cache_, Documents::blank_lines).empty());

  // Without the text: what is known of it leads to the same store, with its vocabulary.
  std::optional<Vocabulary> vocabulary = stored_vocabulary(cache_, fingerprint);
  ASSERT_TRUE(vocabulary);
  EXPECT_EQ(vocabulary->tokens(), tokenizer().vocabulary().tokens());
  StandardInputOf input("another text", 0);
  Corpus known = read_corpus({"-"}, {.known = {{"-", source}}});
  EXPECT_EQ(known.lines, corpus.lines);
  EXPECT_EQ(known.documents, corpus.documents);
  TokenStore again = tokenize_corpus(known, Tokenizer(*vocabulary), cache_, {.max_length = max_length});
  EXPECT_EQ(again.fingerprint, fingerprint);
  expect_same(again.training, store.training);
  expect_same(again.held_out, store.held_out);
  EXPECT_EQ(message_of([&] { tokenize(known, {.max_length = 8}); }).substr(0, 60),
            "[corpus] of what came through standard input only the tokens");
  fs::remove(file(store, "manifest.json"));
  EXPECT_FALSE(stored_vocabulary(cache_, fingerprint));
}

TEST_F(Store, WhatIsHalfWrittenIsWrittenAnew) {
  write_file_atomically(text_, random_text(100));
  TokenStore first = tokenize_file();
  TokenizedLines before = in_memory(read_corpus({text_}), HeldOutRule(read_corpus({text_})), false);
  fs::remove(file(first, "manifest.json"));
  fs::resize_file(file(first, "training.ids"), 12);
  EXPECT_NE(message_of([&] { open_token_store(cache_, first.fingerprint, tokenizer().vocabulary()); }),
            "no error");
  expect_same(tokenize_file().training, before);
  EXPECT_TRUE(tokenized_);
  EXPECT_EQ(notes_, "");
  expect_same(tokenize_file().training, before);
  EXPECT_FALSE(tokenized_);

  // What is there but damaged is told, too.
  for (const char* name : {"training.ids", "held_out.offsets", "training.documents", "manifest.json"}) {
    fs::resize_file(file(first, name), fs::file_size(file(first, name)) - 2);
    expect_same(tokenize_file().training, before);
    EXPECT_TRUE(tokenized_);
    EXPECT_NE(notes_.find(name), std::string::npos) << notes_;
    EXPECT_NE(notes_.find("tokenized again"), std::string::npos) << notes_;
  }
}

TEST_F(Store, AKilledProgramLeavesNothingInTheWay) {
  write_file_atomically(text_, random_text(3000));
  Corpus corpus = read_corpus({text_});
  pid_t child = ::fork();
  if (child == 0) {
    tokenize_corpus(corpus, tokenizer(), cache_,
                    {.max_length = max_length, .progress = [](int64_t, int64_t) { ::raise(SIGKILL); }});
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status));
  expect_same(tokenize(corpus).training, in_memory(corpus, HeldOutRule(corpus), false));
  EXPECT_EQ(notes_, "");
}

TEST_F(Store, ManyMayWantTheSame) {
  Corpus corpus = text_corpus("text", random_text(2000));
  std::vector<TokenStore> stores(4);
  std::vector<std::thread> threads;
  for (TokenStore& store : stores)
    threads.emplace_back(
        [&] { store = tokenize_corpus(corpus, tokenizer(), cache_, {.max_length = max_length}); });
  for (std::thread& thread : threads) thread.join();
  TokenizedLines expected = in_memory(corpus, HeldOutRule(corpus), false);
  for (const TokenStore& store : stores) expect_same(store.training, expected);
}

TEST_F(Store, AFullDiskIsTold) {
  std::string text = random_text(3000);
  Corpus corpus = text_corpus("text", text);
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit before{}, small{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  small = before;
  small.rlim_cur = 1 << 16;
  ::setrlimit(RLIMIT_FSIZE, &small);
  std::string message = message_of([&] { tokenize(corpus); });
  ::setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_NE(message.find("can't write '" + cache_), std::string::npos) << message;
  EXPECT_NE(message.find("File too large"), std::string::npos) << message;
  EXPECT_EQ(stores(), 0u);
  tokenize(corpus);
  EXPECT_EQ(stores(), 1u);
  write_file_atomically(folder_ / "file", "");
  EXPECT_EQ(message_of([&] { tokenize_corpus(corpus, tokenizer(), folder_ / "file", {}); }).substr(0, 30),
            "[cache] can't make the folder ");
}

TEST_F(Store, RefusesWhatIsDamaged) {
  TokenStore store = tokenize(text_corpus("text", random_text(400)));
  auto put = [](auto value, size_t index) {
    return [=](std::string& bytes) {
      bytes.replace(index * sizeof(value), sizeof(value), reinterpret_cast<const char*>(&value),
                    sizeof(value));
    };
  };
  auto damaged = [&](const std::string& name, const std::string& how) {
    return "[cache] '" + file(store, name) + "' is damaged: " + how;
  };
  std::string of_ids = "its ids must be from 0 to 9", rise = "its numbers must rise from 0 to ";
  int64_t ids = static_cast<int64_t>(store.training.ids.size()), lines = store.training.size(),
          documents = store.training.documents();
  for (int32_t id : {10, -1, INT32_MAX, INT32_MIN})
    for (size_t at : {size_t{0}, static_cast<size_t>(ids - 1)})
      EXPECT_EQ(refusal(store, "training.ids", put(id, at)), damaged("training.ids", of_ids));
  EXPECT_EQ(refusal(store, "training.ids", put(int32_t{9}, 0)), "no error");
  for (int64_t offset : {int64_t{-1}, ids + 1, INT64_MAX, INT64_MIN, int64_t{0}})
    for (size_t at : {size_t{1}, static_cast<size_t>(lines)})
      EXPECT_EQ(refusal(store, "training.offsets", put(offset, at)),
                damaged("training.offsets", rise + std::to_string(ids)));
  EXPECT_EQ(refusal(store, "training.offsets", put(int64_t{1}, 0)),
            damaged("training.offsets", rise + std::to_string(ids)));
  EXPECT_EQ(refusal(store, "training.documents", put(lines + 1, static_cast<size_t>(documents))),
            damaged("training.documents", rise + std::to_string(lines)));
  for (const char* name : {"training.ids", "held_out.ids", "held_out.offsets", "held_out.documents"}) {
    for (int64_t more : {-8, -1, 1, 8}) {
      std::string message =
          refusal(store, name, [&](std::string& bytes) { bytes.resize(bytes.size() + more); });
      EXPECT_EQ(message.find("[cache] '" + file(store, name) + "' must have "), 0u) << message;
    }
  }
}

TEST_F(Store, RefusesAForeignManifest) {
  TokenStore store = tokenize(text_corpus("text", random_text(40)));
  auto with = [&](const std::string& from, const std::string& to) {
    return refusal(store, "manifest.json", [&](std::string& text) {
      size_t at = text.find(from);
      ASSERT_NE(at, std::string::npos) << from;
      text.replace(at, from.size(), to);
    });
  };
  std::string path = "'" + file(store, "manifest.json") + "'";
  EXPECT_EQ(with("\"token_store\": 1", "\"token_store\": 2"),
            "[cache] " + path + " must be of version 1, it is of 2");
  EXPECT_EQ(with(store.fingerprint, "other"),
            "[cache] " + path + " must have the fingerprint " + store.fingerprint + ", it has other");
  EXPECT_EQ(with("\"vocabulary_size\": 10", "\"vocabulary_size\": 11"),
            "[cache] " + path + " must be of a vocabulary of 10, it is of one of 11");
  EXPECT_EQ(with("\"ids\": ", "\"ids\": -"), "[cache] " + path + " must have a count 'ids'");
  EXPECT_EQ(with("\"sequences\": ", "\"sequences\": 1e300, \"x\": "),
            "[cache] " + path + " must have a count 'sequences'");
  EXPECT_EQ(with("\"training\"", "\"x\""), "[cache] " + path + " must have a object 'training'");
  EXPECT_NE(with("{", "["), "no error");
  EXPECT_EQ(message_of([&] { open_token_store(cache_, "none", tokenizer().vocabulary()); }),
            "[read] can't read '" + cache_ + "/none/manifest.json': No such file or directory");
}

}  // namespace
}  // namespace bertie
