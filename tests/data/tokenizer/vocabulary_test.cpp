#include "bertie/data/tokenizer/vocabulary.h"

#include <gtest/gtest.h>

#include <fstream>

#include "bertie/data/files/mapped_file.h"
#include "tests/message_of.h"
#include "tests/temporary_folder.h"

namespace bertie {
namespace {

std::vector<std::string> with_special(std::vector<std::string> tokens) {
  tokens.insert(tokens.begin(), std::begin(special_tokens), std::end(special_tokens));
  return tokens;
}

TEST(Vocabulary, FindsTokensAndIds) {
  Vocabulary vocabulary(with_special({"the", "##ing", "th", "中"}));
  EXPECT_EQ(vocabulary.size(), 9);
  EXPECT_EQ(vocabulary.find("th"), 7);
  EXPECT_EQ(vocabulary.find("t"), std::nullopt);
  EXPECT_EQ(vocabulary.find(""), std::nullopt);
  EXPECT_EQ(vocabulary.find("thee"), std::nullopt);
  EXPECT_EQ(vocabulary.id("中"), 8);
  EXPECT_EQ(vocabulary.token(6), "##ing");
  EXPECT_EQ(vocabulary.pad_id(), 0);
  EXPECT_EQ(vocabulary.unk_id(), 1);
  EXPECT_EQ(vocabulary.cls_id(), 2);
  EXPECT_EQ(vocabulary.sep_id(), 3);
  EXPECT_EQ(vocabulary.mask_id(), 4);
  EXPECT_TRUE(vocabulary.is_special(4));
  EXPECT_FALSE(vocabulary.is_special(5));
  EXPECT_EQ(message_of([&] { vocabulary.id("tee"); }),
            "[vocabulary] the token must be in the vocabulary: 'tee' isn't");
  EXPECT_EQ(message_of([&] { vocabulary.token(9); }), "[vocabulary] ids are 0 to 8: got 9");
  EXPECT_EQ(message_of([&] { vocabulary.token(-1); }), "[vocabulary] ids are 0 to 8: got -1");
}

TEST(Vocabulary, FindsTheLongestPiece) {
  Vocabulary vocabulary(with_special({"a", "ab", "abcd", "##c", "##cde"}));
  auto piece = [&](std::string_view rest, bool continues) {
    ByteTrie::Match match = vocabulary.longest_piece(rest, continues);
    return std::pair(match.value, match.length);
  };
  EXPECT_EQ(piece("abcx", false), std::pair(6, 2));
  EXPECT_EQ(piece("abcdx", false), std::pair(7, 4));
  EXPECT_EQ(piece("cdx", true), std::pair(8, 1));
  EXPECT_EQ(piece("cde", true), std::pair(9, 3));
  EXPECT_EQ(piece("cde", false), std::pair(-1, 0));
  EXPECT_EQ(piece("", true), std::pair(-1, 0));
  EXPECT_EQ(Vocabulary(with_special({"a"})).longest_piece("a", true).value, -1);  // none continues
}

TEST(Vocabulary, ManyTokensStayApart) {
  std::vector<std::string> tokens;
  for (int i = 0; i < 20000; ++i) tokens.push_back((i % 2 ? "##" : "") + std::to_string(i * 7919));
  Vocabulary vocabulary(with_special(tokens));
  for (int i = 0; i < 20000; ++i) ASSERT_EQ(vocabulary.find(tokens[i]), i + 5);
}

TEST(Vocabulary, ComesBackFromItsFile) {
  TemporaryFolder folder;
  Vocabulary vocabulary(with_special({"naïve", "", "##s", " a"}));
  vocabulary.write(folder / "vocab.txt");
  EXPECT_EQ(read_file(folder / "vocab.txt"), "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nnaïve\n\n##s\n a\n");
  EXPECT_EQ(Vocabulary::read(folder / "vocab.txt").tokens(), vocabulary.tokens());
}

// What transformers 5.23 makes of the same file.
TEST(Vocabulary, WhiteSpaceEndsNoToken) {
  TemporaryFolder folder;
  std::ofstream(folder / "vocab.txt", std::ios::binary)
      << "[PAD]\r\n[UNK]\r\n[CLS] \n[SEP]\n[MASK]\t\n\u2028\na \u3000\u0085\n\nb\u00a0\n c\n\n \n\n";
  Vocabulary vocabulary = Vocabulary::read(folder / "vocab.txt");
  EXPECT_EQ(vocabulary.tokens(), with_special({"", "a", "", "b", " c"}));
  EXPECT_EQ(vocabulary.find(""), std::nullopt);
  EXPECT_EQ(vocabulary.token(5), "");
}

TEST(Vocabulary, TheLastOfEqualLinesCounts) {
  TemporaryFolder folder;
  std::ofstream(folder / "vocab.txt") << "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n[MASK]\na \n";
  Vocabulary vocabulary = Vocabulary::read(folder / "vocab.txt");
  EXPECT_EQ(vocabulary.tokens(),
            (std::vector<std::string>{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "", "", "b", "[MASK]", "a"}));
  EXPECT_EQ(vocabulary.mask_id(), 7);
  EXPECT_EQ(vocabulary.find("a"), 8);
  EXPECT_EQ(message_of([&] {
              Vocabulary(with_special({"a", "b", "a"}));
            }),
            "[vocabulary] a token must have one id: 'a' is token 5 and again token 7");
}

TEST(Vocabulary, AddsTokensBehindTheOthers) {
  TemporaryFolder folder;
  Vocabulary vocabulary(with_special({"a", "##b"}));
  EXPECT_EQ(vocabulary.added_tokens().size(), 5u);
  EXPECT_EQ(vocabulary.add({.content = "x y", .special = true}), 7);
  EXPECT_EQ(vocabulary.add({.content = "a", .rstrip = true}), 5);  // has an id
  EXPECT_EQ(vocabulary.add({.content = "z"}), 8);
  EXPECT_EQ(vocabulary.add({.content = "x y", .lstrip = true}), 7);  // again
  EXPECT_EQ(vocabulary.size(), 9);
  EXPECT_EQ(vocabulary.find("x y"), 7);
  EXPECT_EQ(vocabulary.token(8), "z");
  EXPECT_FALSE(vocabulary.is_special(7));
  EXPECT_EQ(vocabulary.longest_piece("z", false).value, -1);
  EXPECT_EQ(vocabulary.longest_piece("a", false).value, 5);
  std::vector<AddedToken> added = vocabulary.added_tokens();
  ASSERT_EQ(added.size(), 8u);
  EXPECT_EQ(added[5], (AddedToken{.content = "x y", .id = 7, .lstrip = true}));
  vocabulary.write(folder / "vocab.txt");
  EXPECT_EQ(read_file(folder / "vocab.txt"), "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##b\n");
  EXPECT_EQ(message_of([&] { vocabulary.add({.content = ""}); }),
            "[vocabulary] an added token must be UTF-8 and not empty, got ''");
}

TEST(Vocabulary, RefusesBadFiles) {
  TemporaryFolder folder;
  std::string path = folder / "vocab.txt";
  auto error = [&](const std::string& contents) {
    std::ofstream(path, std::ios::binary) << contents;
    return message_of([&] { Vocabulary::read(path); });
  };
  const std::string special = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
  EXPECT_EQ(error(special + "a\nb"), "no error");  // no line break at the end
  EXPECT_EQ(error("[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\n[MASK]\r\na\r\n"), "no error");
  EXPECT_EQ(error(special + "a\n\xFF\n"),
            "[vocabulary] tokens must be UTF-8: line 7 of '" + path + "' isn't");
  EXPECT_EQ(error("\xEF\xBB\xBF" + special),
            "[vocabulary] '" + path +
                "' begins with a byte-order mark, which would be part of its first token: "
                "save it without");
  EXPECT_EQ(error("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n"),
            "[read] '" + path + "' is a Git LFS pointer in place of the file: `git lfs pull` fetches that");
  EXPECT_EQ(error("[PAD]\n[UNK]\n[SEP]\na\n"),
            "[vocabulary] the special tokens [PAD] [UNK] [CLS] [SEP] [MASK] must all be there: '" + path +
                "' has no [CLS], [MASK]");
  EXPECT_EQ(error(""), "[vocabulary] the special tokens [PAD] [UNK] [CLS] [SEP] [MASK] must all be there: '" +
                           path + "' has no [PAD], [UNK], [CLS], [SEP], [MASK]");
  EXPECT_NE(message_of([&] { Vocabulary::read(folder / "none.txt"); }).find("none.txt"), std::string::npos);
  EXPECT_EQ(message_of([&] { Vocabulary(with_special({"a\nb"})); }),
            "[vocabulary] a token must not hold a line break: token 5 does");
  EXPECT_EQ(message_of([&] { Vocabulary(with_special({"a\u00a0"})); }),
            "[vocabulary] a token must not end in white space: token 5 does");
}

}  // namespace
}  // namespace bertie
