#include "bertie/data/tasks/table_reader.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include "tests/data/tasks/written_file.h"
#include "tests/message_of.h"
#include "tests/standard_input_of.h"

namespace bertie {
namespace {

using Format = TableOptions::Format;
using Header = TableOptions::Header;
using Row = std::vector<std::string>;  // text, the second text, if there is one, labels
using Table = std::vector<Row>;

const TableOptions prediction{.for_training = false};

Row row_of(const TextExample& example) {
  Row row{example.text};
  if (example.text_pair) row.push_back(*example.text_pair);
  row.insert(row.end(), example.labels.begin(), example.labels.end());
  return row;
}

Table read(const std::string& name, std::string_view text, const TableOptions& options = {}) {
  WrittenFile file(name, text);
  Table rows;
  for (const TextExample& example : read_tables({file.path()}, options)) rows.push_back(row_of(example));
  return rows;
}

std::string error(const std::string& name, std::string_view text, const TableOptions& options = {}) {
  WrittenFile file(name, text);
  return file.without_folder(message_of([&] { read_tables({file.path()}, options); }));
}

std::string columns(const std::string& name, std::string_view text, const TableOptions& options = {}) {
  WrittenFile file(name, text);
  return TableReader(file.path(), options).columns();
}

TEST(TableReader, ReadsTabsAndTakesQuotesAsTheyAre) {
  EXPECT_EQ(read("a.tsv", "sentence\tlabel\n\"so \"\" good\t1\na,b \t0\n"),
            (Table{{"\"so \"\" good", "1"}, {"a,b ", "0"}}));
  EXPECT_EQ(read("a", "sentence\tlabel\r\na\t1\r\n\r\nb\t 0 \r\n"), (Table{{"a", "1"}, {"b", "0"}}));
  EXPECT_EQ(read("a.tsv", "\xef\xbb\xbfsentence\tlabel\na\t1"), (Table{{"a", "1"}}));
}

TEST(TableReader, ReadsCsvAsRfc4180HasIt) {
  EXPECT_EQ(read("a.csv", "text,label\n\"a, \"\"b\"\"\",1\nc \"d\",0\n\"\"\"\",\"1\"\n"),
            (Table{{"a, \"b\"", "1"}, {"c \"d\"", "0"}, {"\"", "1"}}));
  EXPECT_EQ(read("a.CSV", "text,label\na,1\n", {.format = Format::csv}), (Table{{"a", "1"}}));
  EXPECT_EQ(read("a.csv", "text,label\r\n\"a\r\n\r\nb\",1\r\n\"\",0\r\n",
                 {.labels = LabelKind::one, .for_training = false}),
            (Table{{"a\r\n\r\nb", "1"}, {"", "0"}}));
}

TEST(TableReader, PlacesARowWhereItBegins) {
  WrittenFile file("a.csv", "text,label\n\"a\nb\",1\nc,0\n");
  std::vector<TextExample> examples = read_tables({file.path()}, {});
  EXPECT_EQ(examples[0].place.line, 2);
  EXPECT_EQ(examples[1].place.line, 4);
  EXPECT_EQ(*examples[0].place.file, file.path());
}

TEST(TableReader, NamesTheLineWhereAQuoteOpens) {
  EXPECT_EQ(error("a.csv", "text,label\na,1\n\"b\nc\",\"1\n\nd\n"),
            "[table] a.csv, line 4: a quote opens here and is never closed");
  EXPECT_EQ(error("a.csv", "text,label\n\"b\" c,1\n"),
            "[table] a.csv, line 2: a comma or the line's end must follow a closing quote, got ' c,1'");
  std::string large = "text,label\n\"";
  for (int i = 0; i < 17; ++i) large += std::string(1 << 20, 'a') + "\n";
  large += "\",1\n";
  EXPECT_EQ(error("a.csv", large),
            "[table] a.csv, line 2: a quote opens here and isn't closed within 16 MiB");
}

TEST(TableReader, ReadsJsonLines) {
  EXPECT_EQ(
      read("a.jsonl",
           "{\"text\": \"a\\tb\", \"label\": \"x y\", \"more\": [1]}\n \n{\"label\": 2, \"text\": \"c\"}\n"),
      (Table{{"a\tb", "x y"}, {"c", "2"}}));
  EXPECT_EQ(read("a", "{\"premise\": \"a\", \"hypothesis\": \"b\", \"label\": true}\n"),
            (Table{{"a", "b", "true"}}));
  EXPECT_EQ(error("a.jsonl", "{\"text\": \"a\", \"label\": 1}\n{\"text\": \"a\"}\n"),
            "[table] a.jsonl, line 2: there must be a key 'label', as in the first object");
  EXPECT_EQ(error("a.jsonl", "{\"text\": 1, \"label\": 1}\n"),
            "[table] a.jsonl, line 1: 'text' must be a text");
  EXPECT_EQ(error("a.jsonl", "{\"text\": \"a\", \"label\": null}\n"),
            "[table] a.jsonl, line 1: there must be a label, 'label' is empty");
  EXPECT_EQ(error("a.jsonl", "{\"text\": \"a\", \"label\": [1]}\n"),
            "[table] a.jsonl, line 1: 'label' must be a label, a text or a number");
  EXPECT_EQ(error("a.jsonl", "{\"text\": \"a\", \"label\": 1}\n[1]\n"),
            "[table] a.jsonl, line 2 must be a JSON object");
  EXPECT_EQ(error("a.jsonl", "\n{}\n"),
            "[table] a.jsonl, line 2: the first object must have the keys of all, it has none");
}

TEST(TableReader, TellsTheFormatByTheFirstLine) {
  EXPECT_EQ(read("-a", "text,label\n\"a,\",1\n"), (Table{{"a,", "1"}}));
  EXPECT_EQ(read("a.txt", "\"label\",\"text\"\n1,a\n"), (Table{{"a", "1"}}));
  EXPECT_EQ(read("a.txt", "Well, yes.\nNo, \"no\n", prediction), (Table{{"Well, yes."}, {"No, \"no"}}));
  EXPECT_EQ(read("a.txt", "{a text\n", prediction), (Table{{"{a text"}}));
}

TEST(TableReader, FindsTheColumnsByUsualNames) {
  EXPECT_EQ(
      columns("a.tsv", "id\tSentence2\tsentence1\tLabel\n1\tb\ta\t1\n"),
      "text in column 3 ('sentence1'), second text in column 2 ('Sentence2'), label in column 4 ('Label')");
  EXPECT_EQ(
      columns("a.tsv", "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t2\t3\ta\tb\n"),
      "text in column 4 ('#1 String'), second text in column 5 ('#2 String'), label in column 1 ('Quality')");
  EXPECT_EQ(
      columns("a.tsv", "index\tquestion\tsentence\tlabel\n1\ta\tb\tx\n"),
      "text in column 2 ('question'), second text in column 3 ('sentence'), label in column 4 ('label')");
  EXPECT_EQ(columns("a.csv", "question,label\na,x\n"),
            "text in column 1 ('question'), label in column 2 ('label')");
  EXPECT_EQ(columns("a.jsonl", "{\"score\": 1, \"text\": \"a\"}\n"), "text in 'text', label in 'score'");
  EXPECT_EQ(columns("a.tsv", "index\tsentence\n0\ta\n", prediction), "text in column 2 ('sentence')");
}

TEST(TableReader, TakesColumnsWithoutAHeaderInTheirOrder) {
  EXPECT_EQ(read("a.tsv", "a\t1\nb\t0\n"), (Table{{"a", "1"}, {"b", "0"}}));
  EXPECT_EQ(read("a.tsv", "a\tb\t1\n", {.pairs = true}), (Table{{"a", "b", "1"}}));
  EXPECT_EQ(read("a.tsv", "a\tb\n", {.pairs = true, .for_training = false}), (Table{{"a", "b"}}));
  EXPECT_EQ(read("a.tsv", "sentence\tlabel\n", {.header = Header::absent}), (Table{{"sentence", "label"}}));
  EXPECT_EQ(error("a.tsv", "a\tb\t1\n"),
            "[table] a.tsv: it must be said which of the 3 columns is the text; there is no header");
  EXPECT_EQ(error("a.tsv", "a\nb\n"),
            "[table] a.tsv: it must be said which of the 1 columns is the label; there is no header");
  EXPECT_EQ(error("a.tsv", "a\t1\n", {.pairs = true}),
            "[table] a.tsv: it must be said which of the 2 columns is the label; there is no header");
  EXPECT_EQ(error("a.tsv", "a\n", {.pairs = true}),
            "[table] a.tsv: it must be said which of the 1 columns is the second text; there is no header");
}

TEST(TableReader, TakesTheColumnsThatAreAskedFor) {
  const std::string cola = "gj04\t1\t\ta text\n";
  EXPECT_EQ(read("a.tsv", cola, {.text_column = "4", .label_column = "2"}), (Table{{"a text", "1"}}));
  const std::string named = "Id,Body,Kind\n7,a,x\n";
  EXPECT_EQ(read("a.csv", named, {.text_column = "body", .label_column = "Kind"}), (Table{{"a", "x"}}));
  EXPECT_EQ(read("a.csv", named, {.header = Header::present, .text_column = "2", .label_column = "1"}),
            (Table{{"a", "7"}}));
  EXPECT_EQ(read("a.csv", named, {.text_column = "Body", .pair_column = "Kind", .label_column = "1"}),
            (Table{{"a", "x", "7"}}));
  EXPECT_EQ(read("a.csv", "sentence1,sentence2,label\na,b,1\n", {.text_column = "sentence2"}),
            (Table{{"b", "1"}}));
  EXPECT_EQ(error("a.csv", named, {.text_column = "text"}),
            "[table] a.csv: there must be a column 'text' of the text, there are\n  Id\n  Body\n  Kind");
  EXPECT_EQ(error("a.csv", named, {.text_column = "Body"}).substr(0, 66),
            "[table] a.csv: it must be said which column is the label, none has");
  EXPECT_EQ(error("a.csv", named, {.text_column = "0"}),
            "[table] a.csv: the column of the text must be one of 3, got number 0");
  EXPECT_EQ(error("a.csv", named, {.text_column = "99999999999999999999999"}),
            "[table] a.csv: the column of the text must be one of 3, got number 99999999999999999999999");
  EXPECT_EQ(error("a.csv", named, {.text_column = "2", .label_column = "2"}),
            "[table] a.csv: the text, the second text and the label must be different columns");
  EXPECT_EQ(error("a.csv", "text,a,a\nx,y,z\n", {.label_column = "a"}),
            "[table] a.csv: each column must have a name of its own, 'a' is there twice");
  EXPECT_EQ(error("a.csv", "a,b\n", {.header = Header::absent, .text_column = "a"}),
            "[table] a.csv: the column 'a' of the text can't be found without a header");
}

TEST(TableReader, NamesTheRowThatHasTooFewColumns) {
  EXPECT_EQ(error("a.tsv", "sentence\tlabel\na\t1\n\nb\n"),
            "[table] a.tsv, line 4: each row must have as many columns as line 1, 2, got 1");
  EXPECT_EQ(error("a.csv", "text,label\na, b,1\n"),
            "[table] a.csv, line 2: each row must have as many columns as line 1, 2, got 3 (a text with "
            "commas takes quotes)");
}

TEST(TableReader, NamesTheRowThatLacksWhatTrainingNeeds) {
  EXPECT_EQ(error("a.tsv", "a\t1\nb\t \n"),
            "[table] a.tsv, line 2: there must be a label, column 2 is empty");
  EXPECT_EQ(error("a.tsv", "sentence\tlabel\n \t1\n"),
            "[table] a.tsv, line 2: the text must not be blank, column 1 ('sentence') is");
  EXPECT_EQ(error("a.tsv", "a\tb\t1\na\t\t1\n", {.pairs = true}),
            "[table] a.tsv, line 2: the second text must not be blank, column 2 is");
  EXPECT_EQ(error("a.tsv", ""), "[table] a.tsv: there must be at least one row");
  EXPECT_EQ(error("a.tsv", "sentence\tlabel\n"),
            "[table] a.tsv: there must be at least one row below the header");
  EXPECT_EQ(error("a.tsv", "a\t1\nb\xc3\t1\n"),
            "[table] a.tsv, line 2: a text must be UTF-8, byte 2 of this line isn't");
  EXPECT_NE(error("a.tsv/", "").find("can't read"), std::string::npos);
}

TEST(TableReader, PredictionTakesEmptyTextsAndNoLabels) {
  EXPECT_EQ(read("a.txt", "a\n\nb\n", prediction), (Table{{"a"}, {""}, {"b"}}));
  EXPECT_EQ(read("a.tsv", "text\tlabel\n\t\na\t1\n", prediction), (Table{{""}, {"a", "1"}}));
  WrittenFile empty("a", "");
  TextExample example;
  EXPECT_FALSE(TableReader(empty.path(), prediction).next(example));
}

TEST(TableReader, ReadsSeveralLabels) {
  const TableOptions several{.labels = LabelKind::several};
  EXPECT_EQ(read("a.tsv", "text\tlabels\na\tx, y;z\nb\t\nc\ty x y\n", several),
            (Table{{"a", "x", "y", "z"}, {"b"}, {"c", "y", "x"}}));
  EXPECT_EQ(read("a.jsonl",
                 "{\"text\": \"a\", \"labels\": [\"x y\", 2]}\n{\"text\": \"b\", \"labels\": []}\n", several),
            (Table{{"a", "x y", "2"}, {"b"}}));
  EXPECT_EQ(error("a.tsv", "text\na\n", several).substr(0, 66),
            "[table] a.tsv: it must be said which column is the label, none has");
}

TEST(TableReader, ReadsNumbers) {
  WrittenFile file("a.tsv", "sentence1\tsentence2\tscore\na\tb\t3.75\nc\td\t-1e-2\n");
  std::vector<TextExample> examples = read_tables({file.path()}, {.labels = LabelKind::number});
  EXPECT_EQ(examples[0].value, 3.75);
  EXPECT_EQ(examples[1].value, -0.01);
  for (const char* number : {"3,75", "x", "nan", "inf", "1e999", "1 2"})
    EXPECT_EQ(error("a.tsv", "a\t" + std::string(number) + "\n", {.labels = LabelKind::number}),
              "[table] a.tsv, line 1: the label must be a number, got '" + std::string(number) + "'");
  for (const char* number : {"1e39", "-1.1e18"})  // whose square, or the sum of such, f32 doesn't hold
    EXPECT_EQ(
        error("a.tsv", "a\t" + std::string(number) + "\n", {.labels = LabelKind::number}),
        "[table] a.tsv, line 1: the label must be a number within ±1e+18, got '" + std::string(number) + "'");
  EXPECT_EQ(read("a.tsv", "a\t1e18\n", {.labels = LabelKind::number}), (Table{{"a", "1e18"}}));
}

TEST(TableReader, ReadsCompressedFiles) {
  TemporaryFolder folder;
  std::string path = folder / "a.csv.gz";
  gzFile file = ::gzopen(path.c_str(), "wb");
  ::gzputs(file, "text,label\n\"a,b\",1\n");
  ::gzclose(file);
  EXPECT_EQ(row_of(read_tables({path}, {})[0]), (Row{"a,b", "1"}));
}

TEST(TableReader, FilesOfOneTaskHaveTheSameTexts) {
  WrittenFile pairs("a.tsv", "text_a\ttext_b\tlabel\na\tb\t1\n"), texts("b.tsv", "text\tlabel\na\t1\n");
  EXPECT_EQ(read_tables({texts.path(), texts.path()}, {}).size(), 2u);
  EXPECT_NE(message_of([&] {
              read_tables({pairs.path(), texts.path()}, {});
            }).find("second texts"),
            std::string::npos);
}

// A pipe can be read but once.
TEST(TableReader, IsShownBeforeItsRowsAreRead) {
  StandardInputOf input("text\tlabel\na\t1\nb\n", 0);
  std::string columns;
  EXPECT_EQ(message_of([&] {
              read_tables({"-"}, {}, [&](const TableReader& reader) { columns = reader.columns(); });
            }),
            "[table] standard input, line 3: each row must have as many columns as line 1, 2, got 1");
  EXPECT_EQ(columns, "text in column 1 ('text'), label in column 2 ('label')");
}

TEST(TableReader, AnswersWhatIsThereAlready) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  std::string path = "/dev/fd/" + std::to_string(ends[0]);
  auto write = [&](std::string_view text) {
    ASSERT_EQ(::write(ends[1], text.data(), text.size()), ssize_t(text.size()));
  };
  write("a\n");
  TableReader reader(path, prediction);
  EXPECT_EQ(reader.next_chunk(10).size(), 1u);  // and doesn't wait for more
  write("b\nc\nd\n");
  EXPECT_EQ(reader.next_chunk(2).size(), 2u);
  EXPECT_EQ(reader.next_chunk(2).size(), 1u);
  ::close(ends[1]);
  EXPECT_EQ(reader.next_chunk(2).size(), 0u);
  ::close(ends[0]);
}

TEST(TableReader, ReadsStandardInput) {
  StandardInputOf input("a\t1\nb\n", 0);
  EXPECT_EQ(message_of([] { read_tables({"-"}, {}); }),
            "[table] standard input, line 2: each row must have as many columns as line 1, 2, got 1");
}

}  // namespace
}  // namespace bertie
