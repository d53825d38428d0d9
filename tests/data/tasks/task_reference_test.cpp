// Against what Python's csv module and transformers make of the same files: reference/make_task_reference.py.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "bertie/data/tasks/answer_windows.h"
#include "bertie/data/tasks/table_reader.h"

namespace bertie {
namespace {

using Json = nlohmann::json;

// FNV-1a, 64 bits.
class Checksum {
 public:
  template <class... Parts>
  void add(fmt::format_string<Parts...> format, Parts&&... parts) {
    for (unsigned char byte : fmt::format(format, std::forward<Parts>(parts)...))
      value_ = (value_ ^ byte) * 0x100000001b3;
  }
  std::string hex() const { return fmt::format("{:016x}", value_); }

 private:
  uint64_t value_ = 0xcbf29ce484222325;
};

class TaskReference : public testing::Test {
 protected:
  void SetUp() override {
    const char* data = std::getenv("BERTIE_TEST_DATA");
    if (data == nullptr)
      GTEST_SKIP() << "BERTIE_TEST_DATA doesn't name the folder with glue/, ner/, squad/ and vocab/";
    data_ = data;
    std::ifstream file(BERTIE_SOURCE_DIR "/tests/data/tasks/reference/tasks.json");
    reference_ = Json::parse(file);
  }
  Tokenizer tokenizer() const {
    return Tokenizer(Vocabulary::read(data_ + "/vocab/bert-base-uncased-vocab.txt"));
  }

  std::string data_;
  Json reference_;
};

TEST_F(TaskReference, RowsOfSst2) {
  for (const auto& [name, expected] : reference_["sst2"].items()) {
    Checksum checksum;
    std::vector<TextExample> examples =
        read_tables({data_ + "/glue/SST-2/" + name + ".tsv"}, {.for_training = name != "test"});
    for (const TextExample& example : examples)
      checksum.add("{}\t{}\n", example.text, example.labels.empty() ? "" : example.labels[0]);
    EXPECT_EQ(examples.size(), expected["rows"].get<size_t>()) << name;
    EXPECT_EQ(checksum.hex(), expected["checksum"]) << name;
  }
}

TEST_F(TaskReference, SentencesOfWikiann) {
  for (const auto& [name, expected] : reference_["wikiann"].items()) {
    Checksum checksum;
    TaggedData data = read_tagged({data_ + "/ner/" + name});
    EXPECT_EQ(data.scheme, TagScheme::bio);
    EXPECT_EQ(data.files[0].broken.count, 0);
    for (const TaggedSentence& sentence : data.sentences) {
      for (size_t w = 0; w < sentence.words.size(); ++w)
        checksum.add("{}\t{}\n", sentence.words[w], sentence.tags[w]);
      checksum.add("\n");
    }
    EXPECT_EQ(data.sentences.size(), expected["sentences"].get<size_t>()) << name;
    EXPECT_EQ(checksum.hex(), expected["checksum"]) << name;
  }
}

TEST_F(TaskReference, TagsOfWordsCutIntoPieces) {
  TaggedData data = read_tagged({data_ + "/ner/dev"});
  TagWindows windows = encode_tagged(tokenizer(), data.sentences, 512, LabelSet::of(data.sentences));
  const TaskSequences& sequences = windows.sequences;
  EXPECT_EQ(sequences.size(), static_cast<int64_t>(data.sentences.size()));
  Checksum checksum;
  for (int64_t t = 0; t < sequences.tokens(); ++t)
    checksum.add("{} {}\n", sequences.ids[t], sequences.labels.data<int32_t>()[t]);
  EXPECT_EQ(sequences.tokens(), reference_["tags"]["tokens"]);
  EXPECT_EQ(checksum.hex(), reference_["tags"]["checksum"]);
}

TEST_F(TaskReference, WindowsOfAllQuestionsOfXquad) {
  QuestionData data = read_questions({data_ + "/squad/xquad.en.json"});
  EXPECT_EQ(data.questions.size(), 1190u);
  EXPECT_EQ(data.misplaced_answers, 0);
  Tokenizer tokenizer = this->tokenizer();
  for (const Json& expected : reference_["answers"]) {
    AnswerWindows windows = encode_answered(
        tokenizer, data.questions,
        {.max_length = expected["max_length"].get<int64_t>(), .stride = expected["stride"].get<int64_t>()});
    const TaskSequences& sequences = windows.sequences;
    const auto* label = sequences.labels.data<int32_t>();
    int64_t answered = 0;
    Checksum checksum;
    for (int64_t i = 0; i < sequences.size(); ++i) {
      answered += label[2 * i + 1] > 0 ? 1 : 0;
      checksum.add("{} {}\n", label[2 * i], label[2 * i + 1]);
      std::span<const int32_t> ids = sequences[i];
      std::span<const TextSpan> spans = windows.of(i);
      for (int64_t t = 0; t < sequences.length(i); ++t) {
        int64_t in_context = t - sequences.second_begins[i];
        checksum.add("{} {} ", ids[t], in_context >= 0 ? 1 : 0);
        if (in_context >= 0 && in_context < static_cast<int64_t>(spans.size()))
          checksum.add("{} {}\n", spans[in_context].begin, spans[in_context].end);
        else
          checksum.add("-\n");
      }
    }
    EXPECT_EQ(sequences.size(), expected["windows"]);
    EXPECT_EQ(answered, expected["answered"]);
    EXPECT_EQ(checksum.hex(), expected["checksum"]);
    EXPECT_EQ(windows.left_out + windows.cut_questions, 0);
  }
}

// Each word of a text alone gives the tokens that it has in the text.
TEST_F(TaskReference, WordsOfXquadsContexts) {
  QuestionData data = read_questions({data_ + "/squad/xquad.en.json"});
  Tokenizer tokenizer = this->tokenizer();
  for (size_t q = 0; q < data.questions.size(); q += 20) {
    std::string_view text = *data.questions[q].context;
    std::vector<int32_t> ids;
    int64_t end = 0;
    for (TextSpan word : words_of(tokenizer, text)) {
      ASSERT_LE(end, word.begin);
      end = word.end;
      tokenizer.append_ids(text.substr(word.begin, word.end - word.begin), ids);
    }
    EXPECT_EQ(ids, tokenizer.ids(text));
  }
}

}  // namespace
}  // namespace bertie
