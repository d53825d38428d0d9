#include "bertie/data/tasks/tag_scheme.h"

#include <gtest/gtest.h>

#include "tests/message_of.h"

namespace bertie {
namespace {

// "B-X O|O": two sentences of tags alone. A word has a line, so does the blank one behind a sentence.
std::vector<TaggedSentence> sentences(std::string_view text) {
  std::vector<TaggedSentence> result(1);
  int64_t line = 1;
  result[0].place.line = line;
  std::string tag;
  for (char c : std::string(text) + "|") {
    if (c != ' ' && c != '|') {
      tag += c;
      continue;
    }
    result.back().tags.push_back(std::exchange(tag, ""));
    ++line;
    if (c == ' ') continue;
    result.emplace_back().place.line = ++line;
  }
  result.pop_back();
  return result;
}

TEST(TagScheme, IsRecognized) {
  auto scheme = [](std::string_view tags) { return scheme_of(sentences(tags)); };
  EXPECT_EQ(scheme("B-X I-X O B-X"), TagScheme::bio);
  EXPECT_EQ(scheme("I-X I-X O I-X B-X"), TagScheme::iob1);
  EXPECT_EQ(scheme("O I-X|I-X I-Y"), TagScheme::iob1);
  EXPECT_EQ(scheme("B-X I-X|B-X|O I-X"), TagScheme::bio);  // with one that is broken
  EXPECT_EQ(scheme("B-X|O I-X"), TagScheme::bio);
  EXPECT_EQ(scheme("B-X E-X O"), TagScheme::bioes);
  EXPECT_EQ(scheme("O|S-X"), TagScheme::bioes);
  EXPECT_EQ(scheme("NN VB|O"), TagScheme::none);
  EXPECT_EQ(scheme("O O"), TagScheme::none);
}

TEST(TagScheme, OfLabels) {
  auto scheme = [](std::vector<std::string> labels) { return scheme_of_labels(labels); };
  EXPECT_EQ(scheme({"B-X", "I-X", "O"}), TagScheme::bio);
  EXPECT_EQ(scheme({"O", "I-X"}), TagScheme::bio);
  EXPECT_EQ(scheme({"B-X", "O", "S-X"}), TagScheme::bioes);
  EXPECT_EQ(scheme({"B-X", "E-X"}), TagScheme::bioes);
  EXPECT_EQ(scheme({"NN", "B", "EX-", "O"}), TagScheme::none);
}

TEST(TagScheme, BrokenTagsAreCounted) {
  auto broken = [](std::string_view tags, TagScheme scheme) {
    EXPECT_EQ(scheme_of(sentences(tags)), scheme) << tags;
    return broken_tags(sentences(tags), scheme).count;
  };
  EXPECT_EQ(broken("B-X I-X O B-Y B-Y I-Y", TagScheme::bio), 0);
  EXPECT_EQ(broken("B-X O I-X I-X|B-Y I-X|B-X", TagScheme::bio), 2);
  EXPECT_EQ(broken("B-X Y", TagScheme::bio), 1);
  EXPECT_EQ(broken("I-X B-X O I-X", TagScheme::iob1), 0);
  EXPECT_EQ(broken("I-X O B-X I-X|I-Y|I-Y B-X", TagScheme::iob1), 2);
  EXPECT_EQ(broken("B-X I-X E-X S-Y B-Z E-Z", TagScheme::bioes), 0);
  EXPECT_EQ(broken("B-X O E-X|S-X I-X|B-X", TagScheme::bioes), 4);
  EXPECT_EQ(broken("NN I", TagScheme::none), 0);
  EXPECT_EQ(broken_tags(sentences("B-X|O I-X|O I-X|B-X"), TagScheme::bio).first.line, 4);
}

TEST(TagScheme, IsConvertedWithItsEntities) {
  auto converted = [](std::string_view tags, TagScheme to) {
    std::vector<std::string> sentence = sentences(tags)[0].tags;
    convert_tags(sentence, to);
    std::string text;
    for (const std::string& tag : sentence) text += (text.empty() ? "" : " ") + tag;
    return text;
  };
  struct Row {
    const char *came, *bio, *bioes;
  };
  for (const Row& row :
       {Row{"B-X I-X O B-Y", "B-X I-X O B-Y", "B-X E-X O S-Y"},
        {"I-X I-X B-X I-Y O", "B-X I-X B-X B-Y O", "B-X E-X S-X S-Y O"},
        {"B-X I-X E-X S-Y B-Z E-Z", "B-X I-X I-X B-Y B-Z I-Z", "B-X I-X E-X S-Y B-Z E-Z"},
        // Broken ones: what ends an entity is followed by another one.
        {"B-X E-X I-X S-X E-X O E-X I-Y", "B-X I-X B-X B-X B-X O B-X B-Y", "B-X E-X S-X S-X S-X O S-X S-Y"},
        {"B-X", "B-X", "S-X"},
        {"B-X NN I-X E", "B-X NN B-X E", "S-X NN S-X E"}}) {
    EXPECT_EQ(converted(row.came, TagScheme::bio), row.bio);
    EXPECT_EQ(converted(row.came, TagScheme::bioes), row.bioes);
  }
  for (TagScheme other : {TagScheme::iob1, TagScheme::none})
    EXPECT_EQ(message_of([&] { converted("B-X", other); }),
              fmt::format("[tags] can be converted to BIO or BIOES, not to '{}'", name_of(other)));
}

}  // namespace
}  // namespace bertie
