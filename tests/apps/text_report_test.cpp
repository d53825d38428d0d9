#include "apps/text_report.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/message_of.h"
#include "tests/temporary_folder.h"
#include "tests/token_lines.h"

namespace bertie {
namespace {

constexpr int32_t unk = 1;

template <class Body>
std::string said(const Body& body) {
  testing::internal::CaptureStderr();
  body();
  return testing::internal::GetCapturedStderr();
}

TEST(TextReport, TheShareOfUnknown) {
  EXPECT_EQ(unknown_share(lines_of({}), unk), 0);
  EXPECT_EQ(unknown_share(lines_of({{1, 5, 6}, {1}}), unk), 0.5);
  EXPECT_EQ(said([] { note_unknown("the text", 0.01, "Advice"); }), "");
  EXPECT_EQ(said([] { note_unknown("the text", 0.35, "Advice"); }),
            "Note: 35.0 % of the text is [UNK], unknown to the vocabulary. Advice\n");
}

TEST(TextReport, HeldOutLinesThatAreKnown) {
  TokenizedLines training = lines_of({{5, 6}, {7}, {5, 6}, {8, 9, 10}});
  EXPECT_EQ(said([&] { note_known_lines(training, lines_of({{5}, {6, 5}, {8, 9}, {9, 10}})); }), "");
  EXPECT_EQ(said([&] {
              note_known_lines(training, lines_of({{7}, {5, 6}, {5}, {7}}));
            }),
            "Note: 3 of 4 held-out lines stand in the training text, too, which flatters the scores\n");
}

TEST(TextReport, AFileThatIsGivenTwice) {
  TemporaryFolder folder;
  std::string a = folder / "a.txt", b = folder / "b.txt", other_name = folder / "./a.txt";
  std::ofstream(a) << "one\ntwo\n";
  std::ofstream(b) << "one\ntwo\n";
  EXPECT_EQ(said([&] { note_corpus(read_corpus({a, b})); }), "");
  EXPECT_EQ(said([&] {
              note_corpus(read_corpus({a, b, other_name, a}));
            }),
            "Note: " + other_name + " is given twice, so its text counts twice\n");
}

// A terminal would act on it.
TEST(TextReport, AControlCharacterInAName) {
  TemporaryFolder folder;
  std::string name = folder / "\x1b[31m";
  std::ofstream(name) << "one\xff\n";
  std::string text = said([&] { note_corpus(read_corpus({name, name})); });
  EXPECT_EQ(text.find('\x1b'), std::string::npos) << text;
  EXPECT_NE(text.find("the first in " + (folder / R"(\x1b[31m)") + ", line 1"), std::string::npos) << text;
  EXPECT_NE(text.find(R"(\x1b[31m is given twice)"), std::string::npos) << text;
}

TEST(TextReport, WhyNothingCanBeScored) {
  std::vector<bool> scorable(10, true);
  scorable[0] = scorable[unk] = scorable[7] = false;
  auto why = [&](const TokenizedLines& text) {
    return message_of([&] { check_scorable("held-out", "the held-out text", text, scorable, unk); });
  };
  EXPECT_NO_THROW(check_scorable("held-out", "x", lines_of({{1}, {1, 5}}), scorable, unk));
  EXPECT_EQ(
      why(lines_of({{1, 1}, {7}})),
      "[held-out] nothing of the held-out text can be scored: of its 3 tokens 2 are [UNK], unknown to the "
      "vocabulary, and 1 --unscored or special");
  EXPECT_EQ(why(lines_of({})),
            "[held-out] the held-out text has no tokens: it is white space or control characters alone");
}

}  // namespace
}  // namespace bertie
