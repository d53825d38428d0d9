#include "apps/task.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "apps/console/options.h"
#include "apps/console/program.h"
#include "bertie/data/files/content_hash.h"

namespace bertie {
namespace {

constexpr int64_t hardest_shown = 20;
// Labels: nobody reads a larger table, and no browser shows one of thousands.
constexpr int64_t most_confused = 200;

std::string plural(int64_t count, const std::string& what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

// Those of a directory's head, which must have those of the data.
LabelSet labels_of_directory(const BertConfig& config, const LabelSet& of_data) {
  LabelSet labels(config.labels);
  if (of_data.size() > 0) labels.check_has(of_data, "the model's directory");
  return labels;
}

void tell_cut(const TaskSequences& sequences, int64_t max_length) {
  if (sequences.cut_sequences > 0)
    message("Note: {} of {} are longer than {} tokens: {} tokens were cut off", sequences.cut_sequences,
            plural(sequences.size(), "text"), max_length, sequences.cut_off);
}

void add_confusion(const ConfusionMatrix& matrix, const std::vector<std::string>& labels, Record& details) {
  if (matrix.classes() > most_confused) return;
  Record counts = Record::array();
  for (int64_t truth = 0; truth < matrix.classes(); ++truth) {
    Record row = Record::array();
    for (int64_t predicted = 0; predicted < matrix.classes(); ++predicted)
      row.push_back(matrix.count(truth, predicted));
    counts.push_back(row);
  }
  details["confusion"] = {{"labels", labels}, {"counts", counts}};
}

// The numbers of the examples with the largest losses, those first.
std::vector<int64_t> hardest(const std::vector<double>& losses) {
  std::vector<int64_t> order(losses.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return losses[a] > losses[b]; });
  order.resize(std::min<size_t>(order.size(), hardest_shown));
  return order;
}

// −log of the probability that a row's labels have; of a model that is sure and wrong it is large, not
// infinite.
double several_loss(const Array& logits, const Array& labels, int64_t row) {
  const int64_t count = logits.shape()[1];
  double loss = 0;
  for (int64_t i = row * count; i < (row + 1) * count; ++i) {
    double against = labels.data<float>()[i] > 0 ? -logits.data<float>()[i] : logits.data<float>()[i];
    loss += std::max(against, 0.0) + std::log1p(std::exp(-std::abs(against)));
  }
  return loss;
}

std::string text_of(const TextExample& example) {
  return example.text_pair ? example.text + " | " + *example.text_pair : example.text;
}

void declare_table_options(CLI::App& app, TableOptions& o) {
  constexpr const char* numbered = ", by name or number";
  app.add_option("--text-column", o.text_column, std::string("Column of the text") + numbered);
  app.add_option("--pair-column", o.pair_column, std::string("Column of the second text") + numbered);
  app.add_option("--label-column", o.label_column, std::string("Column of the label") + numbered);
  app.add_flag("--pairs", o.pairs, "There is a second text");
  app.add_option_function<std::string>(
         "--header",
         [&o](const std::string& answer) {
           o.header = answer == "yes" ? TableOptions::Header::present : TableOptions::Header::absent;
         },
         "Whether the first line has the columns' names (default: where it has a usual one)")
      ->check(CLI::IsMember({"yes", "no"}));
}

}  // namespace

void declare_task_options(CLI::App& app, TaskOptions& o) {
  declare_table_options(app, o.table);
  app.add_option("--max-length", o.max_length,
                 "Tokens of a sequence (default: 128, of questions with their contexts 384, or what the "
                 "model has); longer texts are "
                 "cut, sentences and contexts become several sequences")
      ->transform(integer_in(8, 65'536));
  app.add_option("--stride", o.stride,
                 "answer: tokens that two sequences of a context share (default: 128, or a third of "
                 "--max-length where that is less)")
      ->transform(integer_in(0, 65'536));
  app.add_option("--max-answer-length", o.max_answer_length, "answer: tokens of an answer")
      ->transform(integer_in(1, 65'536))
      ->capture_default_str();
}

int64_t sequence_length(const TaskOptions& options, const BertConfig& config) {
  int64_t usual = options.task == TaskKind::answer ? 384 : 128;
  int64_t length = options.max_length.value_or(std::min(usual, config.max_position_embeddings));
  BERTIE_CHECK(length <= config.max_position_embeddings, "max-length", "{} is over the model's {} positions",
               length, config.max_position_embeddings);
  return length;
}

AnswerWindowOptions window_options(const TaskOptions& options, int64_t max_length) {
  return {max_length, options.stride.value_or(std::min(AnswerWindowOptions().stride, max_length / 3))};
}

TextTask::TextTask(const TaskOptions& options) : options_(options) {
  TableOptions table = options.table;
  if (is_number()) table.labels = LabelKind::number;
  bool told = false;
  auto tell_first = [&](const TableReader& reader, const std::vector<std::string>& paths) {
    if (!std::exchange(told, true)) message("{}: {}", shown(paths[0]), reader.columns());
  };
  auto read = [&](const std::vector<std::string>& paths) {
    return read_tables(paths, table, [&](const TableReader& reader) { tell_first(reader, paths); });
  };
  if (!options.train.empty()) training_ = read(options.train);
  dev_ = read(options.dev);
  if (options.train.empty()) return;
  BERTIE_CHECK(training_[0].text_pair.has_value() == dev_[0].text_pair.has_value(), "fine-tune",
               "{} has {} for each row, {} has {}", options.train[0],
               training_[0].text_pair ? "two texts" : "one text", options.dev[0],
               dev_[0].text_pair ? "two" : "one");
  if (!is_number()) labels_ = LabelSet::of(training_);
  std::string labels = is_number() ? "a number for each" : plural(labels_.size(), "label");
  message("Data: {} to train on, {} in dev; {}", plural(std::ssize(training_), "text"), dev_.size(), labels);
}

void TextTask::take_labels(const BertConfig& of_directory) {
  std::string problem = of_directory.problem_type;
  if (problem.empty())
    problem = of_directory.num_labels() == 1 ? "regression" : "single_label_classification";
  BertConfig own;
  configure(own);
  BERTIE_CHECK(problem == own.problem_type, "fine-tune",
               "the model's directory has a head for {}, the task is {}", shown(problem), own.problem_type);
  if (!is_number()) labels_ = labels_of_directory(of_directory, labels_);
}

void TextTask::configure(BertConfig& config) const {
  config.problem_type = is_number()     ? "regression"
                        : has_several() ? "multi_label_classification"
                                        : "single_label_classification";
  config.labels = is_number() ? std::vector<std::string>{"LABEL_0"} : labels_.names();
  config.labels_problem.clear();
}

Array TextTask::labels_of(const std::vector<TextExample>& examples) const {
  if (is_number()) return number_labels(examples);
  return has_several() ? several_labels(examples, labels_) : class_labels(examples, labels_);
}

void TextTask::encode(const Tokenizer& tokenizer, int64_t max_length) {
  dev_sequences_ = encode_texts(tokenizer, dev_, max_length);
  dev_sequences_.labels = labels_of(dev_);
  if (training_.empty()) return tell_cut(dev_sequences_, max_length);
  training_sequences_ = encode_texts(tokenizer, training_, max_length);
  training_sequences_.labels = labels_of(training_);
  tell_cut(training_sequences_, max_length);
}

TaskScores TextTask::score(const Array& logits) const {
  const Array& labels = dev_sequences_.labels;
  if (is_number()) return number_scores(logits, labels);
  return has_several() ? several_scores(logits, labels) : class_scores(confusion(logits, labels));
}

Record TextTask::details(const Array& logits) const {
  const Array& labels = dev_sequences_.labels;
  Record details = Record::object();
  if (!is_number() && !has_several()) add_confusion(confusion(logits, labels), labels_.names(), details);
  std::vector<double> losses;
  for (int64_t i = 0; i < dev_sequences_.size(); ++i) {
    double loss = 0;
    if (is_number()) {
      double error = logits.data<float>()[i] - labels.data<float>()[i];
      loss = error * error;
    } else {
      loss = has_several() ? several_loss(logits, labels, i)
                           : -std::log(label_probabilities(logits, i, false)[labels.data<int32_t>()[i]]);
    }
    losses.push_back(loss);
  }
  details["hardest"] = Record::array();
  for (int64_t i : hardest(losses)) {
    std::vector<std::string> predicted;
    if (is_number()) {
      predicted = {fmt::format("{:.3f}", logits.data<float>()[i])};
    } else if (has_several()) {
      std::vector<bool> likely = likely_labels(logits, i);
      for (int32_t l = 0; l < labels_.size(); ++l)
        if (likely[l]) predicted.push_back(labels_.name(l));
    } else {
      predicted = {labels_.name(best_label(logits, i))};
    }
    details["hardest"].push_back({{"text", text_of(dev_[i])},
                                  {"truth", fmt::format("{}", fmt::join(dev_[i].labels, ", "))},
                                  {"predicted", fmt::format("{}", fmt::join(predicted, ", "))},
                                  {"loss", losses[i]}});
  }
  return details;
}

TagTask::TagTask(const TaskOptions& options) : dev_(read_tagged(options.dev)) {
  if (!options.train.empty()) {
    training_ = read_tagged(options.train);
    labels_ = LabelSet::of(training_.sentences);
  }
  for (const TaggedData* data : {&training_, &dev_})
    for (const TaggedData::File& file : data->files)
      if (file.broken.count > 0)
        message(
            "Note: {} of a file {} its scheme {}, the first one in {}; seqeval's rules say which entities "
            "there are",
            plural(file.broken.count, "tag"), file.broken.count == 1 ? "breaks" : "break",
            name_of(file.scheme), file.broken.first.str());
  if (options.train.empty()) return;
  message("Data: {} to train on, {} in dev; {} of the scheme {}",
          plural(std::ssize(training_.sentences), "sentence"), dev_.sentences.size(),
          plural(labels_.size(), "tag"), name_of(training_.scheme));
}

void TagTask::take_labels(const BertConfig& of_directory) {
  if (TagScheme scheme = scheme_of_labels(of_directory.labels); scheme != TagScheme::none)
    convert_tags(training_, scheme);
  if (!training_.sentences.empty()) labels_ = LabelSet::of(training_.sentences);
  labels_ = labels_of_directory(of_directory, labels_);
}

void TagTask::configure(BertConfig& config) const {
  config.labels = labels_.names();
  config.labels_problem.clear();
}

// The files of train and dev may have different schemes: all get that of the labels.
void TagTask::use_scheme_of_labels() {
  TagScheme scheme = scheme_of_labels(labels_.names());
  if (scheme == TagScheme::none) return;
  convert_tags(dev_, scheme);
  Listing converted("\n  ");
  for (const TaggedData* data : {&training_, &dev_})
    for (const TaggedData::File& file : data->files)
      if (file.scheme != TagScheme::none && file.scheme != scheme)
        converted.add(fmt::format("{}: {}", shown(file.path), name_of(file.scheme)));
  if (!converted.empty())
    message("Note: tags of another scheme become those of {}:{}", name_of(scheme), converted.str());
}

void TagTask::encode(const Tokenizer& tokenizer, int64_t max_length) {
  use_scheme_of_labels();
  dev_windows_ = encode_tagged(tokenizer, dev_.sentences, max_length, labels_);
  if (training_.sentences.empty()) return;
  training_windows_ = encode_tagged(tokenizer, training_.sentences, max_length, labels_);
  int64_t longer = training().size() - std::ssize(training_.sentences);
  if (longer > 0)
    message("Note: sentences of more than {} tokens became {} more sequences", max_length, longer);
}

// A word without a token has a tag all the same.
std::string TagTask::dev_hash() const {
  ContentHash hash;
  hash.add_item(dev().hash());
  for (const TaggedSentence& sentence : dev_.sentences)
    for (const std::string& tag : sentence.tags) hash.add_item(tag);
  return hash.hex();
}

TaskScores TagTask::score(const Array& logits) const {
  return tag_scores(dev_.sentences, dev_windows_, logits, labels_);
}

Record TagTask::details(const Array& logits) const {
  ConfusionMatrix words(labels_.size());
  std::vector<double> losses(dev_.sentences.size());
  std::vector<std::string> predicted;
  for (int64_t s = 0; s < std::ssize(dev_.sentences); ++s) {
    const TaggedSentence& sentence = dev_.sentences[s];
    std::vector<PredictedTag> tags = predicted_tags(dev_windows_, s, logits);
    predicted.push_back(fmt::format("{}", fmt::join(tag_names(tags, labels_), " ")));
    for (size_t w = 0; w < tags.size(); ++w) {
      if (tags[w].label < 0) continue;
      int32_t truth = labels_.id(sentence.tags[w], sentence.place_of(w));
      words.add(truth, tags[w].label);
      losses[s] -= std::log(label_probabilities(logits, dev_windows_.of(s)[w].row, false)[truth]);
    }
  }
  Record details{{"hardest", Record::array()}};
  add_confusion(words, labels_.names(), details);
  for (int64_t s : hardest(losses))
    details["hardest"].push_back({{"text", fmt::format("{}", fmt::join(dev_.sentences[s].words, " "))},
                                  {"truth", fmt::format("{}", fmt::join(dev_.sentences[s].tags, " "))},
                                  {"predicted", predicted[s]},
                                  {"loss", losses[s]}});
  return details;
}

AnswerTask::AnswerTask(const TaskOptions& options) : options_(options), dev_(read_questions(options.dev)) {
  if (!options.train.empty()) training_ = read_questions(options.train);
  for (const auto& [data, name] : {std::pair{&training_, "train"}, std::pair{&dev_, "dev"}})
    if (data->misplaced_answers > 0)
      message("Note: {} in --{} {}, the first one of question {}", plural(data->misplaced_answers, "answer"),
              name,
              data->misplaced_answers == 1 ? "isn't where the file says it is"
                                           : "aren't where the file says they are",
              shown(data->first_misplaced));
  if (options.train.empty()) return;
  message("Data: {} to train on, {} in dev{}", plural(std::ssize(training_.questions), "question"),
          dev_.questions.size(),
          answer_options().null_answers ? "; some have no answer in their context" : "");
}

void AnswerTask::configure(BertConfig& config) const {
  config.labels = BertConfig().labels;
  config.labels_problem.clear();
}

AnswerOptions AnswerTask::answer_options() const {
  AnswerOptions answers;
  answers.max_answer_length = options_.max_answer_length;
  answers.null_answers = training_.has_impossible || dev_.has_impossible;
  return answers;
}

void AnswerTask::encode(const Tokenizer& tokenizer, int64_t max_length) {
  AnswerWindowOptions windows = window_options(options_, max_length);
  dev_windows_ = encode_questions(tokenizer, dev_.questions, windows);
  AnswerWindows labeled = encode_answered(tokenizer, dev_.questions, windows);
  if (labeled.left_out == 0) dev_windows_.sequences.labels = labeled.sequences.labels;
  if (training_.questions.empty()) return;
  training_windows_ = encode_answered(tokenizer, training_.questions, windows);
  if (training_windows_.left_out > 0)
    message("Note: {} left out, whose answers are out of place",
            plural(training_windows_.left_out, "question"));
  BERTIE_CHECK(training().size() > 0, "fine-tune",
               "no question of --train has an answer where the file says it is: there is nothing to learn");
  message("{} of at most {} tokens", plural(training().size(), "sequence"), max_length);
}

// Answers are compared as texts, and there may be several to a question.
std::string AnswerTask::dev_hash() const {
  ContentHash hash;
  hash.add_item(dev().hash());
  for (const Question& question : dev_.questions) {
    hash.add_item(*question.context);
    hash.add_item(std::ssize(question.answers));
    for (const Answer& answer : question.answers) hash.add_item(answer.text);
  }
  return hash.hex();
}

TaskScores AnswerTask::score(const Array& logits) const {
  return answer_scores(dev_.questions, dev_windows_, logits, answer_options());
}

Record AnswerTask::details(const Array& logits) const {
  std::vector<double> losses;
  std::vector<std::string> predicted;
  for (int64_t q = 0; q < std::ssize(dev_.questions); ++q) {
    const Question& question = dev_.questions[q];
    FoundAnswers answers = predicted_answers(dev_windows_, q, logits, answer_options());
    const TextSpan& place = answers.chosen.place;
    predicted.push_back(question.context->substr(place.begin, place.end - place.begin));
    // Whatever it is sure of and isn't true.
    bool right = question.answers.empty() && predicted.back().empty();
    for (const Answer& truth : question.answers) right = right || truth.text == predicted.back();
    losses.push_back(right ? 0 : answers.chosen.probability);
  }
  Record details{{"hardest", Record::array()}};
  for (int64_t q : hardest(losses)) {
    std::vector<std::string> truths;
    for (const Answer& truth : dev_.questions[q].answers) truths.push_back(truth.text);
    if (losses[q] > 0)
      details["hardest"].push_back({{"text", dev_.questions[q].question},
                                    {"truth", fmt::format("{}", fmt::join(truths, " | "))},
                                    {"predicted", predicted[q]},
                                    {"loss", losses[q]}});
  }
  return details;
}

}  // namespace bertie
