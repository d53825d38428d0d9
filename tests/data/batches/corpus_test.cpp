#include "bertie/data/batches/corpus.h"

#include <gtest/gtest.h>

#include "bertie/data/files/atomic_file.h"
#include "tests/message_of.h"
#include "tests/standard_input_of.h"
#include "tests/temporary_folder.h"

namespace bertie {
namespace {

using Lines = std::vector<std::string_view>;
using Offsets = std::vector<int64_t>;

Corpus corpus_of(const std::string& text) {
  Corpus corpus;
  add_text(corpus, "text", text);
  return corpus;
}

// "0\n1\n…": lines that are their own number.
std::string numbered_lines(int count) {
  std::string text;
  for (int i = 0; i < count; i++) text += fmt::format("{}\n", i);
  return text;
}

TEST(Corpus, LinesAndDocuments) {
  Corpus corpus = corpus_of("\n\none\ntwo\r\n \t\r\n\nthree\n\nfour\rstill four\xc2\xa0\v");
  EXPECT_EQ(corpus.lines, (Lines{"one", "two\r", "three", "four\rstill four\xc2\xa0\v"}));
  EXPECT_EQ(corpus.document_offsets, (Offsets{0, 2, 3, 4}));
  EXPECT_EQ(corpus.documents(), 3);
  EXPECT_EQ(corpus.replaced, 0);
  EXPECT_EQ(corpus_of("no line end").lines, Lines{"no line end"});
  for (std::string blank : {" ", "\t", "\r", "\v", "\f", " \t\r\v\f"}) {
    EXPECT_EQ(corpus_of("one\n" + blank + "\ntwo").document_offsets, (Offsets{0, 1, 2})) << blank.size();
    EXPECT_EQ(corpus_of(blank + "\none").lines, Lines{"one"});
  }
}

TEST(Corpus, FilesFollowOneAnother) {
  TemporaryFolder folder;
  write_file_atomically(folder / "a", "a1\na2");
  write_file_atomically(folder / "b", "b1\n\nb2\n\n");
  Corpus corpus = read_corpus({folder / "a", folder / "b"});
  EXPECT_EQ(corpus.lines, (Lines{"a1", "a2", "b1", "b2"}));
  EXPECT_EQ(corpus.document_offsets, (Offsets{0, 2, 3, 4}));
  EXPECT_EQ(corpus.sources, (std::vector<std::string>{folder / "a", folder / "b"}));

  Corpus copy = corpus;  // lines stay valid in copies and moves
  corpus = {};
  EXPECT_EQ(copy.lines, (Lines{"a1", "a2", "b1", "b2"}));
}

TEST(Corpus, ADashIsStandardInput) {
  TemporaryFolder folder;
  write_file_atomically(folder / "a", "a1");
  StandardInputOf input("s1\ns2\n\ns3", 3);
  Corpus corpus = read_corpus({folder / "a", "-"});
  EXPECT_EQ(corpus.lines, (Lines{"a1", "s2", "s3"}));
  EXPECT_EQ(corpus.sources, (std::vector<std::string>{folder / "a", "-"}));
}

TEST(Corpus, InvalidUtf8IsReplacedAndCounted) {
  Corpus corpus = corpus_of(
      "gr\xc3\xbc\xc3\x9f"
      "e\n\nna\xefve caf\xe9\n\xff\xff\n");
  EXPECT_EQ(corpus.lines, (Lines{"grüße", "na\uFFFDve caf\uFFFD", "\uFFFD\uFFFD"}));
  EXPECT_EQ(corpus.replaced, 4);
  EXPECT_EQ(corpus.first_replaced_source, "text");
  EXPECT_EQ(corpus.first_replaced_line, 3);
  add_text(corpus, "more", "\xff");
  EXPECT_EQ(corpus.replaced, 5);
  EXPECT_EQ(corpus.first_replaced_source, "text");
  EXPECT_EQ(corpus.first_replaced_line, 3);
  Corpus second = corpus_of("valid");
  add_text(second, "more", "also\n\n\xff");
  EXPECT_EQ(second.first_replaced_source, "more");
  EXPECT_EQ(second.first_replaced_line, 3);
}

TEST(Corpus, RefusesWhatIsNoText) {
  TemporaryFolder folder;
  auto refusal = [&](const std::string& contents) {
    write_file_atomically(folder / "f", contents);
    return message_of([&] { read_corpus({folder / "f"}); });
  };
  EXPECT_EQ(refusal(""), "[corpus] '" + (folder / "f") + "' has no text, it is empty");
  EXPECT_EQ(refusal(" \n\t\n\r\n"), "[corpus] '" + (folder / "f") + "' has no text, it is blank");
  EXPECT_EQ(refusal(std::string("text\0", 5)),
            "[corpus] '" + (folder / "f") + "' must be text, but its byte 4 is NUL (a binary file?)");
  EXPECT_EQ(refusal(std::string(65535, 'x') + '\0'),
            "[corpus] '" + (folder / "f") + "' must be text, but its byte 65535 is NUL (a binary file?)");
  EXPECT_EQ(refusal(std::string(65536, 'x') + '\0'), "no error");
  Corpus corpus = corpus_of("text");
  EXPECT_EQ(message_of([&] { add_text(corpus, "second", "\n\n"); }),
            "[corpus] 'second' has no text, it is blank");
  EXPECT_EQ(message_of([&] { read_corpus({folder / "none"}); }),
            "[read] can't read '" + (folder / "none") + "': No such file or directory");
  EXPECT_EQ(message_of([&] { read_corpus({folder.path()}); }),
            "[read] can't read '" + folder.path() + "': Is a directory");
}

TEST(Corpus, SplitByLines) {
  Corpus corpus = corpus_of(numbered_lines(45));
  CorpusSplit split = split_corpus(corpus);
  EXPECT_EQ(split.held_out, (Lines{"19", "39"}));
  EXPECT_EQ(split.training.size(), 43u);
  EXPECT_EQ(split.training[19], "20");

  // 19 documents don't suffice.
  std::string text;
  for (int i = 0; i < 19; i++) text += fmt::format("{}a\n{}b\n\n", i, i);
  Corpus documents = corpus_of(text);
  EXPECT_EQ(split_corpus(documents).held_out, Lines{"9b"});
  add_text(documents, "one more", "19a\n19b\n");
  EXPECT_EQ(split_corpus(documents).held_out, (Lines{"19a", "19b"}));
}

// Every line is in one part, and the held-out ones are where the rule says, for every small number of lines.
TEST(Corpus, SplitsAnyNumberOfLines) {
  for (int count = 2; count <= 61; count++) {
    Corpus corpus = corpus_of(numbered_lines(count));
    Lines training, held_out;
    for (int i = 0; i < count; i++) {
      bool held = count < 20 ? i == count - 1 : i == 19 || i == 39 || i == 59;
      (held ? held_out : training).push_back(corpus.lines[i]);
    }
    CorpusSplit split = split_corpus(corpus);
    EXPECT_EQ(split.held_out, held_out) << count;
    EXPECT_EQ(split.training, training) << count;
  }
}

TEST(Corpus, SplitByDocuments) {
  std::string text;
  for (int i = 0; i < 40; i++) text += fmt::format("{}a\n{}b\n\n", i, i);
  Corpus corpus = corpus_of(text);
  CorpusSplit split = split_corpus(corpus);
  EXPECT_EQ(split.held_out, (Lines{"19a", "19b", "39a", "39b"}));
  EXPECT_EQ(split.training.size(), 76u);
}

TEST(Corpus, SplitOfVeryFewLines) {
  Corpus three = corpus_of(numbered_lines(3)), one = corpus_of("one\n");
  EXPECT_EQ(split_corpus(three).held_out, Lines{"2"});
  EXPECT_EQ(split_corpus(three).training, (Lines{"0", "1"}));
  EXPECT_EQ(message_of([&] { split_corpus(one); }),
            "[corpus] a corpus must have at least 2 lines, one to train on and one to hold out, got 1");
  EXPECT_THROW(split_corpus(Corpus()), Error);
}

}  // namespace
}  // namespace bertie
