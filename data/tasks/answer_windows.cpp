#include "bertie/data/tasks/answer_windows.h"

#include <algorithm>
#include <utility>

#include "bertie/autograd/error.h"
#include "bertie/data/tasks/code_point_bytes.h"
#include "bertie/data/tasks/encode_in_parts.h"

namespace bertie {
namespace {

const Answer* answer_in_place(const Question& question) {
  auto found = std::find_if(question.answers.begin(), question.answers.end(),
                            [](const Answer& answer) { return answer.in_place(); });
  return found == question.answers.end() ? nullptr : &*found;
}

class QuestionEncoder {
 public:
  QuestionEncoder(const Tokenizer& tokenizer, const AnswerWindowOptions& options)
      : tokenizer_(tokenizer), room_(options.max_length - 3), stride_(options.stride) {
    BERTIE_CHECK(stride_ >= 0, "task", "the stride must not be negative, got {}", stride_);
    BERTIE_CHECK(room_ >= 2 && room_ - 2 >= stride_, "task",
                 "max_length must be at least 5 more than the stride, got {} and {}", options.max_length,
                 stride_);
  }

  void operator()(const Question& question, int64_t number, AnswerWindows& to) const {
    const Vocabulary& vocabulary = tokenizer_.vocabulary();
    std::vector<int32_t> tokens = {vocabulary.cls_id()};
    tokenizer_.append_ids(question.question, tokens);
    Encoding context;
    tokenizer_.encode({*question.context}, {.add_special_tokens = false, .max_length = {}}, context);
    std::vector<int64_t> bytes = code_point_bytes(*question.context);

    const auto count = static_cast<int64_t>(context.ids.size());
    int64_t in_question = static_cast<int64_t>(tokens.size()) - 1;
    const int64_t most_in_question = room_ - stride_ - 1;
    if (in_question + count > room_ && in_question > most_in_question) {
      to.sequences.cut_off += in_question - most_in_question;
      ++to.cut_questions;
      in_question = most_in_question;
      tokens.resize(static_cast<size_t>(in_question) + 1);
    }
    tokens.push_back(vocabulary.sep_id());
    const size_t context_begin = tokens.size();
    const int64_t in_window = room_ - in_question;
    for (int64_t begin = 0, end = 0;; begin += in_window - stride_) {
      end = std::min(begin + in_window, count);
      tokens.resize(context_begin);
      tokens.insert(tokens.end(), context.ids.begin() + begin, context.ids.begin() + end);
      tokens.push_back(vocabulary.sep_id());
      to.sequences.add(tokens, static_cast<int64_t>(context_begin), number);
      for (int64_t i = begin; i < end; ++i)
        to.spans.push_back({bytes[context.offsets[i].begin], bytes[context.offsets[i].end]});
      to.span_offsets.push_back(static_cast<int64_t>(to.spans.size()));
      if (end == count) return;
    }
  }

 private:
  const Tokenizer& tokenizer_;
  int64_t room_, stride_;
};

// First and last token that hold the answer, of those that come from these spans; none where they don't hold
// all of it.
std::pair<int64_t, int64_t> tokens_of(const Answer& answer, std::span<const TextSpan> spans) {
  if (spans.empty() || spans.front().begin > answer.begin || spans.back().end < answer.end) return {-1, -1};
  auto first = std::partition_point(spans.begin(), spans.end(),
                                    [&](const TextSpan& span) { return span.begin <= answer.begin; });
  auto last = std::partition_point(spans.begin(), spans.end(),
                                   [&](const TextSpan& span) { return span.end < answer.end; });
  // A character may have several tokens.
  return std::minmax<int64_t>({first - spans.begin() - 1, last - spans.begin()});
}

AnswerWindows encode_all(const Tokenizer& tokenizer, std::span<const Question> questions,
                         const AnswerWindowOptions& options, bool for_training) {
  QuestionEncoder encode(tokenizer, options);
  return encode_in_parts<AnswerWindows>(
      static_cast<int64_t>(questions.size()), [&](int64_t i, AnswerWindows& windows) {
        bool has_no_place = !questions[i].answers.empty() && answer_in_place(questions[i]) == nullptr;
        if (for_training && has_no_place)
          ++windows.left_out;
        else
          encode(questions[i], i, windows);
      });
}

}  // namespace

void AnswerWindows::append(const AnswerWindows& more) {
  sequences.append(more.sequences);
  int64_t shift = span_offsets.back();
  spans.insert(spans.end(), more.spans.begin(), more.spans.end());
  for (size_t i = 1; i < more.span_offsets.size(); ++i) span_offsets.push_back(shift + more.span_offsets[i]);
  left_out += more.left_out;
  cut_questions += more.cut_questions;
}

std::span<const TextSpan> AnswerWindows::of(int64_t sequence) const {
  (void)sequences.length(sequence);  // which checks that it exists
  return std::span(spans).subspan(span_offsets[sequence],
                                  span_offsets[sequence + 1] - span_offsets[sequence]);
}

AnswerWindows encode_questions(const Tokenizer& tokenizer, std::span<const Question> questions,
                               const AnswerWindowOptions& options) {
  return encode_all(tokenizer, questions, options, false);
}

AnswerWindows encode_answered(const Tokenizer& tokenizer, std::span<const Question> questions,
                              const AnswerWindowOptions& options) {
  AnswerWindows windows = encode_all(tokenizer, questions, options, true);
  TaskSequences& sequences = windows.sequences;
  sequences.labels = Array::zeros({sequences.size(), 2}, DType::i32);
  auto* label = sequences.labels.mutable_data<int32_t>();
  for (int64_t i = 0; i < sequences.size(); ++i, label += 2) {
    const Answer* answer = answer_in_place(questions[sequences.examples[i]]);
    if (answer == nullptr) continue;
    auto [first, last] = tokens_of(*answer, windows.of(i));
    if (first < 0) continue;
    label[0] = static_cast<int32_t>(sequences.second_begins[i] + first);
    label[1] = static_cast<int32_t>(sequences.second_begins[i] + last);
  }
  return windows;
}

}  // namespace bertie
