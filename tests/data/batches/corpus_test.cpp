#include "bertie/data/batches/corpus.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "bertie/autograd/threads.h"
#include "bertie/data/batches/corpus_words.h"
#include "bertie/data/files/atomic_file.h"
#include "tests/corpus_lines.h"
#include "tests/message_of.h"
#include "tests/standard_input_of.h"
#include "tests/temporary_folder.h"

namespace bertie {
namespace {

using Lines = std::vector<std::string_view>;
using Offsets = std::vector<int64_t>;

Corpus corpus_of(const std::string& text, Documents documents = Documents::blank_lines) {
  return text_corpus("text", text, documents);
}

// "0\n1\n…": lines that are their own number.
std::string numbered_lines(int count) {
  std::string text;
  for (int i = 0; i < count; i++) text += fmt::format("{}\n", i);
  return text;
}

std::vector<std::string> names_of(const Corpus& corpus, const std::string& folder) {
  std::vector<std::string> names;
  for (const CorpusSource& source : corpus.sources) {
    EXPECT_TRUE(source.name.starts_with(folder + "/")) << source.name;
    names.push_back(source.name.substr(folder.size() + 1));
  }
  return names;
}

TEST(Corpus, LinesAndDocuments) {
  Corpus corpus = corpus_of("\n\none\ntwo\r\n \t\r\n\nthree\n\nfour\rstill four\xc2\xa0\v");
  CorpusLines read(corpus);
  EXPECT_EQ(read.lines, (Lines{"one", "two\r", "three", "four\rstill four\xc2\xa0\v"}));
  EXPECT_EQ(read.document_offsets, (Offsets{0, 2, 3, 4}));
  EXPECT_EQ(corpus.lines, 4);
  EXPECT_EQ(corpus.documents, 3);
  EXPECT_EQ(corpus.replaced, 0);
  EXPECT_EQ(CorpusLines(corpus_of("no line end")).lines, Lines{"no line end"});
  for (std::string blank : {" ", "\t", "\r", "\v", "\f", " \t\r\v\f"}) {
    EXPECT_EQ(CorpusLines(corpus_of("one\n" + blank + "\ntwo")).document_offsets, (Offsets{0, 1, 2}))
        << blank.size();
    EXPECT_EQ(CorpusLines(corpus_of(blank + "\none")).lines, Lines{"one"});
  }
}

TEST(Corpus, WhatEndsADocument) {
  TemporaryFolder folder;
  write_file_atomically(folder / "a", "a1\n\na2\na3\n");
  write_file_atomically(folder / "b", "\nb1\n\n\nb2");
  auto offsets = [&](Documents documents) {
    Corpus corpus = read_corpus({folder / "a", folder / "b"}, {.documents = documents});
    CorpusLines read(corpus);
    EXPECT_EQ(read.lines, (Lines{"a1", "a2", "a3", "b1", "b2"}));
    EXPECT_EQ(corpus.documents, static_cast<int64_t>(read.document_offsets.size()) - 1);
    return read.document_offsets;
  };
  EXPECT_EQ(offsets(Documents::blank_lines), (Offsets{0, 1, 3, 4, 5}));
  EXPECT_EQ(offsets(Documents::lines), (Offsets{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(offsets(Documents::files), (Offsets{0, 3, 5}));
  EXPECT_EQ(name_of(Documents::blank_lines), "blank-lines");
  EXPECT_EQ(name_of(Documents::lines), "lines");
  EXPECT_EQ(name_of(Documents::files), "files");
}

TEST(Corpus, FilesFollowOneAnother) {
  TemporaryFolder folder;
  write_file_atomically(folder / "a", "a1\na2");
  write_file_atomically(folder / "b", "b1\n\nb2\n\n");
  Corpus corpus = read_corpus({folder / "b", folder / "a"});
  CorpusLines read(corpus);
  EXPECT_EQ(read.lines, (Lines{"b1", "b2", "a1", "a2"}));
  EXPECT_EQ(read.document_offsets, (Offsets{0, 1, 2, 4}));
  EXPECT_EQ(names_of(corpus, folder.path()), (std::vector<std::string>{"b", "a"}));
}

TEST(Corpus, AFolderStandsForItsFiles) {
  TemporaryFolder folder;
  std::filesystem::create_directories(folder / "t/b/c");
  std::filesystem::create_directories(folder / "t/.hidden");
  for (const char* name : {"t/z.txt", "t/b/2.txt", "t/b/c/1", "t/b/10.txt", "t/a"})
    write_file_atomically(folder / name, std::string(name) + "\n");
  write_file_atomically(folder / "t/b/empty", "\n");
  write_file_atomically(folder / "t/.hidden/x", "hidden");
  write_file_atomically(folder / "t/.x", "hidden");
  std::filesystem::create_directory_symlink(folder / "t", folder / "t/b/back");
  std::filesystem::create_symlink(folder / "t/a", folder / "t/link");
  ASSERT_EQ(::mkfifo((folder / "t/pipe").c_str(), 0600), 0);
  Corpus corpus = read_corpus({folder / "t"});
  EXPECT_EQ(names_of(corpus, folder / "t"),
            (std::vector<std::string>{"a", "b/10.txt", "b/2.txt", "b/c/1", "b/empty", "link", "z.txt"}));
  EXPECT_EQ(CorpusLines(corpus).lines,
            (Lines{"t/a", "t/b/10.txt", "t/b/2.txt", "t/b/c/1", "t/a", "t/z.txt"}));
  EXPECT_EQ(corpus.documents, 6);

  std::filesystem::create_directories(folder / "none/.hidden");
  EXPECT_EQ(message_of([&] { read_corpus({folder / "none"}); }),
            "[corpus] the folder '" + (folder / "none") + "' has no files");
  std::filesystem::create_directories(folder / "blank");
  write_file_atomically(folder / "blank/x", " \n");
  write_file_atomically(folder / "blank/y", " \n");
  EXPECT_EQ(message_of([&] {
              read_corpus({folder / "t", folder / "blank"});
            }),
            "[corpus] '" + (folder / "blank") + "' has no text, it is blank");
  write_file_atomically(folder / "blank/z", std::string("a\0b", 3));
  EXPECT_EQ(message_of([&] { read_corpus({folder / "blank"}); }),
            "[corpus] '" + (folder / "blank/z") + "' must be text, but its byte 1 is NUL (a binary file?)");
}

TEST(Corpus, PatternsStandForWhatFits) {
  TemporaryFolder folder;
  std::filesystem::create_directories(folder / "d.txt");
  for (const char* name : {"b.txt", "a.txt", "c.text", "d.txt/inner", "[x]*.txt"})
    write_file_atomically(folder / name, std::string(name) + "\n");
  auto names = [&](const std::string& pattern) {
    return names_of(read_corpus({folder / pattern}), folder.path());
  };
  EXPECT_EQ(names("?.txt"), (std::vector<std::string>{"a.txt", "b.txt", "d.txt/inner"}));
  EXPECT_EQ(names("[bc].*"), (std::vector<std::string>{"b.txt", "c.text"}));
  EXPECT_EQ(names("[x]*.txt"), std::vector<std::string>{"[x]*.txt"});  // there is a file of this name
  EXPECT_EQ(message_of([&] { names("*.md"); }),
            "[corpus] no file fits the pattern '" + (folder / "*.md") + "'");
}

TEST(Corpus, ADashIsStandardInput) {
  TemporaryFolder folder;
  write_file_atomically(folder / "a", "a1");
  StandardInputOf input("s1\ns2\n\ns3", 3);
  Corpus corpus = read_corpus({folder / "a", "-"}, {.pipe_folder = folder.path()});
  EXPECT_EQ(folder.entries(), 1u);  // what it is stored in has no name
  for (int again = 0; again < 2; again++) EXPECT_EQ(CorpusLines(corpus).lines, (Lines{"a1", "s2", "s3"}));
  EXPECT_EQ(corpus.sources[1].name, "-");
  EXPECT_EQ(message_of([&] { read_corpus({"-"}, {.pipe_folder = folder / "a"}); }).substr(0, 20),
            "[write] can't write ");
}

TEST(Corpus, APipeIsReadOnce) {
  TemporaryFolder folder;
  std::string path = folder / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  std::string text = numbered_lines(300'000);
  std::thread writer([&] { std::ofstream(path) << text; });
  Corpus corpus = read_corpus({path}, {.pipe_folder = folder / "made"});
  writer.join();
  EXPECT_EQ(corpus.lines, 300'000);
  Corpus expected = corpus_of(text);
  EXPECT_EQ(corpus.sources[0].hash, expected.sources[0].hash);
  EXPECT_TRUE(CorpusLines(corpus).lines == CorpusLines(expected).lines);
}

TEST(Corpus, CompressedFiles) {
  TemporaryFolder folder;
  write_file_atomically(folder / "a", "a1\n\na2\n");
  write_file_atomically(folder / "b", "b1\n");
  ASSERT_EQ(
      std::system(("cd '" + folder.path() + "' && gzip a && cat a.gz > b.gz && gzip -c b >> b.gz").c_str()),
      0);
  Corpus corpus = read_corpus({folder / "b.gz"});
  EXPECT_EQ(CorpusLines(corpus).lines, (Lines{"a1", "a2", "b1"}));
  EXPECT_EQ(corpus.documents, 2);  // the end of a member ends no document
  std::filesystem::resize_file(folder / "b.gz", std::filesystem::file_size(folder / "b.gz") - 5);
  EXPECT_EQ(message_of([&] { read_corpus({folder / "b.gz"}); }),
            "[read] '" + (folder / "b.gz") + "' breaks off: its compressed text isn't complete");
}

TEST(Corpus, JsonLines) {
  TemporaryFolder folder;
  write_file_atomically(folder / "a.jsonl",
                        "{\"id\": 1, \"text\": \"one\\ntwo\\n\\n \\nthree\\u00e9\"}\n"
                        "\n"
                        "{\"text\": \"\"}\r\n"
                        "{\"text\": \"four\\n\", \"meta\": {\"text\": \"no\"}}\n"
                        "{\"text\": \"na\xef\"}");
  Corpus corpus = read_corpus({folder / "a.jsonl"});
  CorpusLines read(corpus);
  EXPECT_EQ(read.lines, (Lines{"one", "two", "threeé", "four", "na\uFFFD"}));
  EXPECT_EQ(read.document_offsets, (Offsets{0, 3, 4, 5}));
  EXPECT_EQ(corpus.replaced, 1);
  EXPECT_EQ(corpus.sources[0].first_replaced_line, 5);
  for (Documents documents : {Documents::lines, Documents::files})  // which are told by the objects alone
    EXPECT_EQ(CorpusLines(read_corpus({folder / "a.jsonl"}, {.documents = documents})).document_offsets,
              (Offsets{0, 3, 4, 5}));
  ASSERT_EQ(std::system(("gzip '" + (folder / "a.jsonl") + "'").c_str()), 0);
  EXPECT_EQ(CorpusLines(read_corpus({folder / "a.jsonl.gz"})).lines, read.lines);
}

TEST(Corpus, JsonLinesSayWhereTheyAreWrong) {
  TemporaryFolder folder;
  std::string path = folder / "a.jsonl", good = "{\"text\": \"a\"}\n";
  auto refusal = [&](const std::string& contents) {
    write_file_atomically(path, contents);
    return message_of([&] { read_corpus({path}); });
  };
  EXPECT_EQ(refusal(good + "\n{\"txt\": \"a\"}\n"),
            "[corpus] line 3 of '" + path + "' must have a text under the key 'text', it has no such key");
  EXPECT_EQ(refusal("{\"text\": 1}\n" + good),
            "[corpus] line 1 of '" + path +
                "' must have a text under the key 'text', it has something "
                "else there");
  EXPECT_EQ(refusal(good + "{\"text\": \"a\"\n").substr(0, 40 + path.size()),
            ("[corpus] line 2 of '" + path + "' must be valid JSON, its byte ").substr(0, 40 + path.size()));
  EXPECT_NE(refusal(good + "[1]\n").find("line 2 of '" + path + "'"), std::string::npos);
  EXPECT_NE(refusal(good + std::string(1000, '[')).find("line 2 of '" + path + "'"), std::string::npos);
  std::string many, two_wrong;
  for (int i = 0; i < 5000; i++) many += good;
  EXPECT_NE(refusal(many + "x\n" + many + "y\n").find("line 5001 of"), std::string::npos);  // the first one
  EXPECT_EQ(
      refusal(good + "{\"text\": \"" + std::string(17 << 20, 'a') + "\"}\n"),
      "[corpus] line 2 of '" + path + "' is longer than the 16 MiB that a document of JSON lines may have");
}

TEST(Corpus, InvalidUtf8IsReplacedAndCounted) {
  std::string text =
      "gr\xc3\xbc\xc3\x9f"
      "e\n\nna\xefve caf\xe9\n\xff\xff\n";
  Corpus corpus = corpus_of(text);
  EXPECT_EQ(CorpusLines(corpus).lines, (Lines{"grüße", "na\uFFFDve caf\uFFFD", "\uFFFD\uFFFD"}));
  EXPECT_EQ(corpus.replaced, 4);
  EXPECT_EQ(corpus.sources[0].replaced, 4);
  EXPECT_EQ(corpus.sources[0].first_replaced_line, 3);
  TemporaryFolder folder;
  write_file_atomically(folder / "valid", "valid");
  write_file_atomically(folder / "one", "also\n\n\xff");
  write_file_atomically(folder / "four", text);
  Corpus files = read_corpus({folder / "valid", folder / "one", folder / "four"});
  EXPECT_EQ(files.replaced, 5);
  EXPECT_EQ(files.sources[0].replaced, 0);
  EXPECT_EQ(files.sources[1].replaced, 1);
  EXPECT_EQ(files.sources[1].first_replaced_line, 3);
}

TEST(Corpus, RefusesWhatIsNoText) {
  TemporaryFolder folder;
  auto refusal = [&](const std::string& contents) {
    write_file_atomically(folder / "f", contents);
    return message_of([&] { read_corpus({folder / "f"}); });
  };
  EXPECT_EQ(refusal(""), "[corpus] '" + (folder / "f") + "' has no text, it is empty");
  EXPECT_EQ(refusal(" \n\t\n\r\n"), "[corpus] '" + (folder / "f") + "' has no text, it is blank");
  auto binary = [&](int byte) {
    return fmt::format("[corpus] '{}' must be text, but its byte {} is NUL (a binary file?)", folder / "f",
                       byte);
  };
  EXPECT_EQ(refusal(std::string("text\0", 5)), binary(4));
  EXPECT_EQ(refusal(std::string("te\n\nt\0", 6)), binary(5));
  EXPECT_EQ(refusal(std::string(65535, 'x') + '\0'), binary(65535));
  EXPECT_EQ(refusal(std::string(65536, 'x') + '\0'), "no error");
  EXPECT_EQ(refusal(std::string(32768, '\n') + std::string(32768, 'x') + '\0'), "no error");
  EXPECT_EQ(message_of([&] { corpus_of("\n\n"); }), "[corpus] 'text' has no text, it is blank");
  EXPECT_EQ(message_of([&] { corpus_of(""); }), "[corpus] 'text' has no text, it is empty");
  EXPECT_EQ(message_of([&] { read_corpus({folder / "none"}); }),
            "[read] can't read '" + (folder / "none") + "': No such file or directory");
}

// Any line is whole up to 16 MiB; a longer one is cut between words or characters, so that its words are the
// same.
TEST(Corpus, LongLines) {
  std::string ten(10'000'000, 'x'), words;
  while (words.size() < (40u << 20)) words += "some words that go on and on ";
  std::string ideographs;
  while (ideographs.size() < (20u << 20)) ideographs += "字";
  Corpus corpus = corpus_of(ten + "\n" + words + "\n" + ideographs + "\nlast\n", Documents::lines);
  CorpusLines read(corpus);
  ASSERT_EQ(read.lines.size(), 7u);
  EXPECT_TRUE(read.lines[0] == ten);
  EXPECT_EQ(read.document_offsets, (Offsets{0, 1, 4, 6, 7}));
  EXPECT_EQ(corpus.replaced, 0);
  std::string joined;
  for (int i = 1; i < 4; i++) {
    EXPECT_LE(read.lines[i].size(), size_t{16} << 20);
    EXPECT_EQ(read.lines[i].back(), ' ');
    joined += read.lines[i];
  }
  EXPECT_TRUE(joined == words);
  EXPECT_TRUE(std::string(read.lines[4]) + std::string(read.lines[5]) == ideographs);
  EXPECT_EQ(read.lines[6], "last");
  std::vector<std::string_view> whole = {words, ideographs};
  WordCounts counts = count_words(corpus_of(words + "\n" + ideographs), {}, {}).take();
  EXPECT_EQ(counts, count_words(whole, {}));
}

TEST(Corpus, UnchangedFilesAreNotReadAgain) {
  TemporaryFolder folder;
  std::string path = folder / "a";
  write_file_atomically(path, "a1\na2\n");
  Corpus first = read_corpus({path});
  CorpusSource known = first.sources[0];
  EXPECT_EQ(known.path, path);
  EXPECT_EQ(known.bytes, 6);
  known.lines = 77;  // as reading it again wouldn't find
  auto lines = [&] { return read_corpus({path}, {.known = {{path, known}}}).lines; };
  EXPECT_EQ(lines(), 77);
  known.modified_ns += 1;
  EXPECT_EQ(lines(), 2);
  known.modified_ns -= 1;
  known.bytes += 1;
  EXPECT_EQ(lines(), 2);
}

TEST(Corpus, AChangeWhileItIsReadIsNoticed) {
  TemporaryFolder folder;
  write_file_atomically(folder / "a", "a1\na2\n");
  Corpus corpus = read_corpus({folder / "a"});
  for (const char* other : {"a1\na3\n", "a1\n\na2\n", "a1\n", "a1\na2\na3"}) {
    write_file_atomically(folder / "a", other);
    EXPECT_EQ(message_of([&] { CorpusLines lines(corpus); }),
              "[corpus] '" + (folder / "a") + "' changed while it was read");
  }
}

TEST(Corpus, TellsHowFarItIs) {
  TemporaryFolder folder;
  write_file_atomically(folder / "a", numbered_lines(2'000'000));
  write_file_atomically(folder / "b", "b");
  auto total = static_cast<int64_t>(std::filesystem::file_size(folder / "a")) + 1;
  std::vector<int64_t> told;
  CorpusProgress progress = [&](int64_t done, int64_t all) {
    EXPECT_EQ(all, total);
    told.push_back(done);
  };
  Corpus corpus = read_corpus({folder / "a", folder / "b"}, {.progress = progress});
  auto check = [&] {
    EXPECT_GT(told.size(), 3u);
    EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
    EXPECT_EQ(told.back(), total);
    told.clear();
  };
  check();
  for (CorpusReader reader(corpus, progress); reader.next();) {
  }
  check();
}

TEST(Corpus, SameOnAnyNumberOfThreads) {
  std::string text;
  for (int i = 0; i < 100'000; i++) text += fmt::format("{}\xff line\n{}", i, i % 7 ? "" : "\n");
  int before = thread_count();
  set_thread_count(1);
  Corpus one = corpus_of(text);
  CorpusLines one_lines(one);
  set_thread_count(3);
  Corpus three = corpus_of(text);
  CorpusLines three_lines(three);
  set_thread_count(before);
  EXPECT_EQ(one.sources[0].hash, three.sources[0].hash);
  EXPECT_EQ(one.replaced, 100'000);
  EXPECT_EQ(three.replaced, 100'000);
  EXPECT_EQ(one.sources[0].first_replaced_line, 1);
  EXPECT_EQ(three.sources[0].first_replaced_line, 1);
  EXPECT_TRUE(one_lines.lines == three_lines.lines);
  EXPECT_EQ(one_lines.document_offsets, three_lines.document_offsets);
}

// What is held out of a text.
Lines held_out_of(const CorpusLines& read, const Corpus& corpus) {
  return read.part(HeldOutRule(corpus), true);
}

TEST(HeldOutRule, ByLines) {
  Corpus corpus = corpus_of(numbered_lines(45));
  CorpusLines read(corpus);
  EXPECT_EQ(held_out_of(read, corpus), (Lines{"19", "39"}));
  Lines training = read.part(HeldOutRule(corpus), false);
  EXPECT_EQ(training.size(), 43u);
  EXPECT_EQ(training[19], "20");

  // 19 documents don't suffice.
  std::string text;
  for (int i = 0; i < 19; i++) text += fmt::format("{}a\n{}b\n\n", i, i);
  Corpus few = corpus_of(text), enough = corpus_of(text + "19a\n19b\n");
  EXPECT_EQ(held_out_of(CorpusLines(few), few), Lines{"9b"});
  EXPECT_EQ(held_out_of(CorpusLines(enough), enough), (Lines{"19a", "19b"}));
  EXPECT_TRUE(read.part(HeldOutRule(), true).empty());
}

// Every line is in one part, and the held-out ones are where the rule says, for every small number of lines.
TEST(HeldOutRule, AnyNumberOfLines) {
  for (int count = 2; count <= 61; count++) {
    Corpus corpus = corpus_of(numbered_lines(count));
    CorpusLines read(corpus);
    Lines training, held_out;
    for (int i = 0; i < count; i++) {
      bool held = count < 20 ? i == count - 1 : i == 19 || i == 39 || i == 59;
      (held ? held_out : training).push_back(read.lines[i]);
    }
    EXPECT_EQ(read.part(HeldOutRule(corpus), true), held_out) << count;
    EXPECT_EQ(read.part(HeldOutRule(corpus), false), training) << count;
  }
}

TEST(HeldOutRule, ByDocuments) {
  std::string text;
  for (int i = 0; i < 40; i++) text += fmt::format("{}a\n{}b\n\n", i, i);
  Corpus corpus = corpus_of(text);
  CorpusLines read(corpus);
  EXPECT_EQ(held_out_of(read, corpus), (Lines{"19a", "19b", "39a", "39b"}));
  EXPECT_EQ(read.part(HeldOutRule(corpus), false).size(), 76u);
}

TEST(HeldOutRule, VeryFewLines) {
  Corpus three = corpus_of(numbered_lines(3)), one = corpus_of("one\n");
  EXPECT_EQ(held_out_of(CorpusLines(three), three), Lines{"2"});
  EXPECT_EQ(message_of([&] { HeldOutRule rule(one); }),
            "[corpus] a corpus must have at least 2 lines, one to train on and one to hold out, got 1");
}

TEST(CorpusWords, OnlyThoseToTrainOn) {
  std::string text;
  for (int i = 0; i < 40; i++) text += fmt::format("all w{}\n", i % 10);
  Corpus corpus = corpus_of(text);
  EXPECT_EQ(count_words(corpus, {}, {}).take()[0], (WordCounts::value_type{"all", 40}));
  WordCounts counts = count_words(corpus, HeldOutRule(corpus), {}).take();
  EXPECT_EQ(counts[0], (WordCounts::value_type{"all", 38}));
  EXPECT_EQ(counts[10], (WordCounts::value_type{"w9", 2}));
}

}  // namespace
}  // namespace bertie
