#include "bertie/data/tasks/tagged_reader.h"

#include <gtest/gtest.h>

#include "tests/data/tasks/written_file.h"
#include "tests/message_of.h"

namespace bertie {
namespace {

using Texts = std::vector<std::string>;

TaggedData sentences_in(std::string_view text, const std::string& name = "a.txt") {
  return read_tagged({WrittenFile(name, text).path()});
}

std::string tagged_error(std::string_view text, const std::string& name = "a.txt") {
  WrittenFile file(name, text);
  return file.without_folder(message_of([&] { read_tagged({file.path()}); }));
}

// Sentences of tags alone: "B-X O|O".
TaggedData tagged(std::string_view tags) {
  std::string text;
  for (char c : tags) {
    if (text.empty() || text.back() == '\n') text += "word ";
    text += c == ' ' ? "\n" : c == '|' ? "\n\n" : std::string(1, c);
  }
  return sentences_in(text);
}

std::string tags_of(const TaggedData& data) {
  std::string text;
  for (const TaggedSentence& sentence : data.sentences) {
    if (!text.empty()) text += '|';
    for (size_t w = 0; w < sentence.tags.size(); ++w) text += (w > 0 ? " " : "") + sentence.tags[w];
  }
  return text;
}

TEST(TaggedReader, ReadsConllAsItIsPublished) {
  TaggedData data = sentences_in(
      "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\nPeter NNP B-NP B-PER\nBlackburn NNP "
      "I-NP I-PER\n"
      "-DOCSTART- -X- -X- O\n\n\n1996-08-22 CD I-NP O\n");
  ASSERT_EQ(data.sentences.size(), 3u);
  EXPECT_EQ(data.sentences[0].words, (Texts{"EU", "rejects"}));
  EXPECT_EQ(data.sentences[1].words, (Texts{"Peter", "Blackburn"}));
  EXPECT_EQ(data.sentences[2].words, Texts{"1996-08-22"});
  EXPECT_EQ(tags_of(data), "B-ORG O|B-PER I-PER|O");
  EXPECT_EQ(data.scheme, TagScheme::bio);
  EXPECT_EQ(data.broken_tags, 0);
  EXPECT_EQ(data.sentences[1].place.line, 6);
  EXPECT_EQ(data.sentences[1].place_of(1).line, 7);
}

TEST(TaggedReader, ReadsWikiannAsItIsPublished) {
  TaggedData data = sentences_in("en:R.H.\tB-ORG\r\nen:Saunders\tI-ORG\r\n\r\nen::\tO\r\nen:a b\tO\n");
  ASSERT_EQ(data.sentences.size(), 2u);
  EXPECT_EQ(data.sentences[0].words, (Texts{"R.H.", "Saunders"}));
  EXPECT_EQ(data.sentences[1].words, (Texts{":", "a b"}));
  EXPECT_EQ(tags_of(data), "B-ORG I-ORG|O O");
  EXPECT_EQ(sentences_in("zh-min-nan:a\tO\nzh-min-nan:b\tO\n").sentences[0].words, (Texts{"a", "b"}));
  EXPECT_EQ(sentences_in("en:a\tO\nb\tO\n").sentences[0].words, (Texts{"en:a", "b"}));
  EXPECT_EQ(sentences_in("-:a\tO\n").sentences[0].words, Texts{"-:a"});
  EXPECT_EQ(sentences_in(":a\tO\n").sentences[0].words, Texts{":a"});
}

TEST(TaggedReader, ReadsJsonLines) {
  TaggedData data = sentences_in(
      "{\"tokens\": [\"a\", \"b c\"], \"ner_tags\": [\"B-X\", \"O\"]}\n\n{\"words\": [\"d\"], \"tags\": "
      "[\"O\"]}\n");
  ASSERT_EQ(data.sentences.size(), 2u);
  EXPECT_EQ(data.sentences[0].words, (Texts{"a", "b c"}));
  EXPECT_EQ(tags_of(data), "B-X O|O");
  EXPECT_EQ(data.sentences[1].place_of(0).line, 3);
  EXPECT_EQ(data.sentences[0].place_of(1).line, 1);
  EXPECT_EQ(tagged_error("{\"tokens\": [\"a\", \"b\"], \"tags\": [\"O\"]}", "a.json"),
            "[tags] a.json, line 1: there must be as many tags as words, got 2 words and 1 tags");
  EXPECT_EQ(tagged_error("{\"tokens\": [\"a\"]}", "a.json"),
            "[tags] a.json, line 1: there must be a key 'tags' or 'ner_tags'");
  EXPECT_EQ(tagged_error("{\"tokens\": [\"a\"], \"tags\": [1]}", "a.json"),
            "[tags] a.json, line 1: 'tags' must be an array of texts");
  EXPECT_EQ(sentences_in("{ O\n} O\n").sentences[0].words, (Texts{"{", "}"}));  // isn't JSON
}

TEST(TaggedReader, NamesTheLineOfAWordWithoutATag) {
  EXPECT_EQ(tagged_error("a O\nb\n"),
            "[tags] a.txt, line 2: a line must be a word and its tag, or blank, got 'b'");
  EXPECT_EQ(tagged_error("a X Y O\n\nb X Y\n"),
            "[tags] a.txt, line 3: each line must have as many columns as line 1, 4, got 3: 'b X Y'");
  EXPECT_EQ(tagged_error("a\tO\nb\t\n"),
            "[tags] a.txt, line 2: a line must be a word and its tag, or blank, got 'b'");
  EXPECT_EQ(tagged_error("\tO\n"), "[tags] a.txt, line 1: a line must begin with a word, got '\\x09O'");
  EXPECT_EQ(tagged_error("-DOCSTART- O\n\n"), "[tags] a.txt: there must be at least one sentence");
  EXPECT_EQ(tagged_error("a O\n\xff O\n"),
            "[tags] a.txt, line 2: a text must be UTF-8, byte 1 of this line isn't");
}

TEST(TaggedReader, RecognizesSchemes) {
  EXPECT_EQ(tagged("B-X I-X O B-X").scheme, TagScheme::bio);
  EXPECT_EQ(tagged("I-X I-X O I-X B-X").scheme, TagScheme::iob1);
  EXPECT_EQ(tagged("O I-X|I-X I-Y").scheme, TagScheme::iob1);
  EXPECT_EQ(tagged("B-X I-X|B-X|O I-X").scheme, TagScheme::bio);  // with one that is broken
  EXPECT_EQ(tagged("B-X|O I-X").scheme, TagScheme::bio);
  EXPECT_EQ(tagged("B-X E-X O").scheme, TagScheme::bioes);
  EXPECT_EQ(tagged("O|S-X").scheme, TagScheme::bioes);
  EXPECT_EQ(tagged("NN VB|O").scheme, TagScheme::none);
  EXPECT_EQ(tagged("O O").scheme, TagScheme::none);
  // Several files have one scheme.
  WrittenFile first("a", "w I-X\nw B-X\nw O\nw I-X\n"), second("b", "w B-X\n");
  EXPECT_EQ(read_tagged({first.path(), second.path()}).scheme, TagScheme::iob1);
}

TEST(TaggedReader, MakesBioOfIob1) {
  EXPECT_EQ(tags_of(tagged("I-X I-X B-X I-X I-Y O I-X|I-X")), "B-X I-X B-X I-X B-Y O B-X|B-X");
  EXPECT_EQ(tags_of(tagged("B-X E-X S-Y")), "B-X E-X S-Y");
}

TEST(TaggedReader, CountsTagsThatBreakTheirScheme) {
  auto broken = [](std::string_view tags, TagScheme scheme) {
    TaggedData data = tagged(tags);
    EXPECT_EQ(data.scheme, scheme) << tags;
    return data.broken_tags;
  };
  EXPECT_EQ(broken("B-X I-X O B-Y B-Y I-Y", TagScheme::bio), 0);
  EXPECT_EQ(broken("B-X O I-X I-X|B-Y I-X|B-X", TagScheme::bio), 2);
  EXPECT_EQ(broken("B-X Y", TagScheme::bio), 1);
  EXPECT_EQ(broken("I-X B-X O I-X", TagScheme::iob1), 0);
  EXPECT_EQ(broken("I-X O B-X I-X|I-Y|I-Y B-X", TagScheme::iob1), 2);
  EXPECT_EQ(broken("B-X I-X E-X S-Y B-Z E-Z", TagScheme::bioes), 0);
  EXPECT_EQ(broken("B-X O E-X|S-X I-X|B-X", TagScheme::bioes), 4);
  EXPECT_EQ(broken("NN I", TagScheme::none), 0);
  TaggedData data = tagged("B-X|O I-X|O I-X|B-X|B-X");
  EXPECT_EQ(data.first_broken.line, 4);
  EXPECT_EQ(tags_of(data), "B-X|O I-X|O I-X|B-X|B-X");  // as they were
}

}  // namespace
}  // namespace bertie
