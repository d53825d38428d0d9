#include "bertie/data/tasks/question_reader.h"

#include <nlohmann/json.hpp>
#include <unordered_set>

#include "bertie/autograd/error.h"
#include "bertie/data/files/json_object.h"
#include "bertie/data/files/mapped_file.h"
#include "bertie/data/tasks/code_point_bytes.h"
#include "bertie/data/tasks/text_lines.h"

namespace bertie {
namespace {

using Json = nlohmann::json;

// The value of a key, which must be there and of a kind; `place` is read in the message.
const Json& value_of(const Json& object, const char* key, Json::value_t kind, const std::string& place) {
  BERTIE_CHECK(object.is_object(), "questions",
               "{}: there must be an object with a key '{}', got something else", place, key);
  auto found = object.find(key);
  BERTIE_CHECK(found != object.end(), "questions", "{}: there must be a key '{}'", place, key);
  BERTIE_CHECK(found->type() == kind, "questions", "{}: '{}' must be {}", place, key,
               kind == Json::value_t::array ? "an array" : "a text");
  return *found;
}

const std::string& text_of(const Json& object, const char* key, const std::string& place) {
  return value_of(object, key, Json::value_t::string, place).get_ref<const std::string&>();
}

class QuestionFile {
 public:
  QuestionFile(const std::string& path, bool for_training, QuestionData& data,
               std::unordered_set<std::string>& ids)
      : path_(path), for_training_(for_training), data_(data), ids_(ids) {
    size_t before = data.questions.size();
    Json file = parse_json_object("questions", path, read_text(path));
    // Articles, their paragraphs and the questions of those have no names of their own: they are counted.
    int64_t articles = 0;
    for (const Json& article : value_of(file, "data", Json::value_t::array, shown(path))) {
      const std::string place = fmt::format("{}, article {}", shown(path), ++articles);
      int64_t paragraphs = 0;
      for (const Json& paragraph : value_of(article, "paragraphs", Json::value_t::array, place))
        add(paragraph, fmt::format("{}, paragraph {}", place, ++paragraphs));
    }
    BERTIE_CHECK(data.questions.size() > before, "questions", "{}: there must be at least one question",
                 path);
  }

 private:
  void add(const Json& paragraph, const std::string& place) {
    context_ = std::make_shared<const std::string>(text_of(paragraph, "context", place));
    bytes_ = code_point_bytes(*context_);
    int64_t questions = 0;
    for (const Json& question : value_of(paragraph, "qas", Json::value_t::array, place))
      add_question(question, fmt::format("{}, question number {}", place, ++questions));
  }

  void add_question(const Json& json, const std::string& number) {
    Question question{text_of(json, "id", number), {}, context_};
    const std::string place = fmt::format("{}, question {}", shown(path_), shown(question.id));
    BERTIE_CHECK(ids_.insert(question.id).second, "questions", "{}: each must have an id of its own", place);
    question.question = text_of(json, "question", place);
    BERTIE_CHECK(!for_training_ || (!is_blank(question.question) && !is_blank(*context_)), "questions",
                 "{}: question and context must not be blank", place);
    bool is_impossible = false;
    if (auto found = json.find("is_impossible"); found != json.end()) {
      BERTIE_CHECK(found->is_boolean(), "questions", "{}: 'is_impossible' must be true or false", place);
      is_impossible = found->get<bool>();
    }
    if (json.contains("answers")) {
      for (const Json& answer : value_of(json, "answers", Json::value_t::array, place))
        add_answer(answer, place, question);
      BERTIE_CHECK(!is_impossible || question.answers.empty(), "questions",
                   "{}: it is impossible and has answers", place);
      is_impossible = question.answers.empty();
    }
    BERTIE_CHECK(!for_training_ || is_impossible || !question.answers.empty(), "questions",
                 "{}: there must be a key 'answers'", place);
    data_.has_impossible |= is_impossible;
    data_.questions.push_back(std::move(question));
  }

  void add_answer(const Json& json, const std::string& place, Question& question) {
    Answer answer{text_of(json, "text", place)};
    auto start = json.find("answer_start");
    BERTIE_CHECK(start != json.end() && start->is_number_integer(), "questions",
                 "{}: an answer must have an integer 'answer_start'", place);
    auto code_point = start->get<int64_t>();
    if (!answer.text.empty() && code_point >= 0 && code_point < static_cast<int64_t>(bytes_.size()) - 1 &&
        std::string_view(*context_).substr(bytes_[code_point]).starts_with(answer.text)) {
      answer.begin = bytes_[code_point];
      answer.end = answer.begin + static_cast<int64_t>(answer.text.size());
    } else if (data_.misplaced_answers++ == 0) {
      data_.first_misplaced = question.id;
    }
    question.answers.push_back(std::move(answer));
  }

  const std::string& path_;
  bool for_training_;
  QuestionData& data_;
  std::unordered_set<std::string>& ids_;
  std::shared_ptr<const std::string> context_;
  std::vector<int64_t> bytes_;  // of the context: code_point_bytes()
};

}  // namespace

QuestionData read_questions(const std::vector<std::string>& paths, bool for_training) {
  QuestionData data;
  std::unordered_set<std::string> ids;
  for (const std::string& path : paths) QuestionFile(path, for_training, data, ids);
  return data;
}

}  // namespace bertie
