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
  EXPECT_EQ(data.files[0].broken.count, 0);
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
  EXPECT_EQ(tagged_error("{\"tokens\": [\"a\", \"b\"], \"tags\": [\"O\", \"\"]}", "a.json"),
            "[tags] a.json, line 1: a tag must not be empty, number 2 is");
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

TaggedData read_both(std::string_view first, std::string_view second) {
  WrittenFile a("a.txt", first), b("b.txt", second);
  return read_tagged({a.path(), b.path()});
}

TEST(TaggedReader, MakesBioOfIob1) {
  TaggedData data = tagged("I-X I-X B-X I-X I-Y O I-X|I-X");
  EXPECT_EQ(tags_of(data), "B-X I-X B-X I-X B-Y O B-X|B-X");
  EXPECT_EQ(data.files[0].scheme, TagScheme::iob1);
  EXPECT_EQ(data.scheme, TagScheme::bio);
  EXPECT_EQ(tags_of(tagged("B-X E-X S-Y")), "B-X E-X S-Y");
}

TEST(TaggedReader, FilesOfDifferentSchemesGetOne) {
  TaggedData data = read_both("w B-X\nw E-X\n\nw S-Y\n", "w B-X\nw I-X\nw O\nw B-X\n");
  EXPECT_EQ(tags_of(data), "B-X I-X|B-Y|B-X I-X O B-X");
  EXPECT_EQ(data.scheme, TagScheme::bio);
  ASSERT_EQ(data.files.size(), 2u);
  EXPECT_EQ(data.files[0].scheme, TagScheme::bioes);
  EXPECT_EQ(data.files[1].scheme, TagScheme::bio);
  EXPECT_EQ(data.files[0].sentences, 2);
  EXPECT_EQ(data.files[1].sentences, 1);
  EXPECT_TRUE(data.files[1].path.ends_with("b.txt"));
  // Each by itself: together most entities of these would begin with I-.
  EXPECT_EQ(tags_of(read_both("w I-X\nw O\nw I-X\nw B-X\n", "w B-X\n")), "B-X O B-X B-X|B-X");
  EXPECT_EQ(tags_of(read_both("w I-X\nw I-X\n", "w S-X\nw S-X\n")), "B-X I-X|B-X B-X");
  data = read_both("w O\n", "w B-X\nw E-X\n");  // a file without entities fits any
  EXPECT_EQ(tags_of(data), "O|B-X E-X");
  EXPECT_EQ(data.scheme, TagScheme::bioes);
  data = read_both("w NN\n", "w B-X\nw B-Y\nw O\nw I-X\n");
  EXPECT_EQ(tags_of(data), "NN|B-X B-Y O I-X");  // as they were
}

TEST(TaggedReader, CountsBrokenTagsOfEachFile) {
  TaggedData data = read_both("w B-X\nw O\nw E-X\n", "w B-Y\n\nw B-X\nw O\nw I-X\n");
  EXPECT_EQ(data.files[0].broken.count, 2);
  EXPECT_EQ(data.files[0].broken.first.line, 1);
  EXPECT_EQ(data.files[1].broken.count, 1);
  EXPECT_EQ(data.files[1].broken.first.line, 5);
  EXPECT_EQ(tags_of(data), "B-X O B-X|B-Y|B-X O I-X");
}

TEST(TaggedReader, ConvertsWhatWasRead) {
  TaggedData data = tagged("B-X I-X O B-Y|O");
  convert_tags(data, TagScheme::bioes);
  EXPECT_EQ(tags_of(data), "B-X E-X O S-Y|O");
  EXPECT_EQ(data.scheme, TagScheme::bioes);
  EXPECT_EQ(data.files[0].scheme, TagScheme::bio);  // that it came in
  data = tagged("NN O");
  convert_tags(data, TagScheme::bioes);
  EXPECT_EQ(data.scheme, TagScheme::none);
}

}  // namespace
}  // namespace bertie
