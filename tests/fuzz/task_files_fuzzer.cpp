// Any bytes as a file of a task, the first byte says of which kind: refused, or what is read keeps its
// promises, also as sequences of tokens.
#include <algorithm>

#include "bertie/autograd/error.h"
#include "bertie/data/tasks/answer_windows.h"
#include "bertie/data/tasks/table_reader.h"
#include "bertie/data/tokenizer/utf8.h"
#include "tests/fuzz/fuzzer_files.h"

namespace {

using namespace bertie;

constexpr int64_t max_length = 9;

const Tokenizer& tokenizer() {
  static const Tokenizer instance{
      Vocabulary({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c", "##d", "##e", "."})};
  return instance;
}

void check_lengths(const TaskSequences& sequences) {
  for (int64_t i = 0; i < sequences.size(); ++i) {
    promise(sequences.length(i) >= 2 && sequences.length(i) <= max_length);
    promise(sequences[i].front() == tokenizer().vocabulary().cls_id());
    promise(sequences[i].back() == tokenizer().vocabulary().sep_id());
    promise(sequences.second_begins[i] >= 2 && sequences.second_begins[i] <= sequences.length(i));
  }
}

void check_table(const std::string& path, const TableOptions& options) {
  std::vector<TextExample> examples = read_tables({path}, options);
  for (const TextExample& example : examples) {
    promise(find_invalid_utf8(example.text) == std::string::npos);
    promise(example.text_pair.has_value() == examples[0].text_pair.has_value());
    promise(options.labels == LabelKind::several || example.labels.size() <= 1);
    promise(!options.for_training || options.labels == LabelKind::several || example.labels.size() == 1);
  }
  check_lengths(encode_texts(tokenizer(), examples, max_length));
}

void check_tagged(const std::string& path) {
  TaggedData data = read_tagged({path});
  for (const TaggedSentence& sentence : data.sentences)
    promise(!sentence.words.empty() && sentence.words.size() == sentence.tags.size());
  promise(data.scheme != TagScheme::none || data.files[0].broken.count == 0);
  TaggedData converted = data;
  convert_tags(converted, data.scheme == TagScheme::bioes ? TagScheme::bio : TagScheme::bioes);
  BrokenTags broken = broken_tags(converted.sentences, converted.scheme);
  promise(data.files[0].broken.count > 0 || broken.count == 0);
  TagWindows windows = encode_words(tokenizer(), data.sentences, max_length);
  check_lengths(windows.sequences);
  int64_t without_token = 0;
  for (const WordPlace& place : windows.words) {
    without_token += place.row < 0 ? 1 : 0;
    promise(place.row < 0 || (place.row > windows.sequences.offsets[place.sequence] &&
                              place.row < windows.sequences.offsets[place.sequence + 1] - 1));
  }
  promise(without_token == windows.words_without_token);
}

void check_questions(const std::string& path, bool for_training) {
  QuestionData data = read_questions({path}, for_training);
  for (const Question& question : data.questions)
    for (const Answer& answer : question.answers)
      promise(!answer.in_place() ||
              question.context->substr(answer.begin, answer.end - answer.begin) == answer.text);
  AnswerWindows windows = encode_answered(tokenizer(), data.questions, {max_length, 2});
  check_lengths(windows.sequences);
  const auto* label = windows.sequences.labels.data<int32_t>();
  for (int64_t i = 0; i < windows.sequences.size(); ++i, label += 2) {
    auto context = static_cast<int64_t>(windows.sequences.second_begins[i]);
    auto end = context + static_cast<int64_t>(windows.of(i).size());
    promise((label[0] == 0 && label[1] == 0) ||
            (label[0] >= context && label[0] <= label[1] && label[1] < end));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  if (size == 0) return 0;
  const std::string& path = input_file(bytes + 1, size - 1);
  constexpr TableOptions::Format formats[] = {TableOptions::Format::by_name, TableOptions::Format::tsv,
                                              TableOptions::Format::csv, TableOptions::Format::json_lines};
  constexpr LabelKind kinds[] = {LabelKind::one, LabelKind::several, LabelKind::number};
  const uint8_t kind = *bytes % 16;
  try {
    if (kind < 12)
      check_table(path,
                  {.format = formats[kind % 4], .labels = kinds[kind / 4], .for_training = *bytes < 128});
    else if (kind < 14)
      check_tagged(path);
    else
      check_questions(path, kind == 14);
  } catch (const Error& error) {
    promise(std::string(error.what()).find(path) != std::string::npos);
  }
  return 0;
}
