// What a fine-tuned BERT says of texts: labels, numbers, names within them, answers to questions.
#include <algorithm>
#include <cmath>
#include <memory>

#include "apps/console/options.h"
#include "apps/console/precision.h"
#include "apps/console/program.h"
#include "apps/console/progress.h"
#include "apps/task.h"
#include "bertie/data/tasks/text_lines.h"
#include "bertie/data/tokenizer/tokenizer.h"
#include "bertie/data/tokenizer/utf8.h"
#include "bertie/models/entity_decoding.h"
#include "bertie/models/pretrained.h"

using namespace bertie;

namespace {

// So many lines are read before they are answered, those of like length together, unless none are waiting.
constexpr int64_t most_lines = 1024;

struct Options : TaskOptions {
  std::string model, text, input;
  InferencePrecision precision;
  std::vector<std::string> report;
  bool json = false, null_answers = false;
};

// A place in the text, counted in code points, as people and Python count.
struct Place {
  int64_t begin, end;
};
Place place_of(const std::string& text, const TextSpan& bytes) {
  auto code_points = [&](int64_t begin, int64_t end) {
    return std::count_if(text.begin() + begin, text.begin() + end,
                         [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
  };
  int64_t begin = code_points(0, bytes.begin);
  return {begin, begin + code_points(bytes.begin, bytes.end)};
}

// Between tabs, in a line: what would end either is a space. --json has the text as it is.
std::string in_column(std::string text) {
  for (char& c : text)
    if (c == '\t' || c == '\n' || c == '\r') c = ' ';
  return text;
}

void check_finite(const Array& logits) {
  for (int64_t i = 0; logits && i < logits.size(); ++i)
    BERTIE_CHECK(std::isfinite(logits.data<float>()[i]), "model",
                 "its results aren't finite: are its weights broken?");
}

// The texts of --text, one, or of --input.
class Examples {
 public:
  Examples(const Options& o, bool pairs) : o_(o) {
    TableOptions table = o.table;
    table.pairs = table.pairs || pairs;
    table.for_training = false;
    pairs_ = table.pairs;
    if (!o.input.empty()) reader_ = std::make_unique<TableReader>(o.input, table);
    BERTIE_CHECK(reader_ || !pairs_ || split_pair(o.text).second, "text",
                 "a tab must separate the two texts, or question and context; there is none");
  }
  // None at the end.
  std::vector<TextExample> next() {
    if (reader_) return reader_->next_chunk(most_lines);
    if (std::exchange(done_, true)) return {};
    TextInput text = pairs_ ? split_pair(o_.text) : TextInput{o_.text};
    TextExample example{std::string(text.first)};
    if (text.second) example.text_pair = std::string(*text.second);
    return {example};
  }

 private:
  const Options& o_;
  bool pairs_ = false, done_ = false;
  std::unique_ptr<TableReader> reader_;
};

void predict(const Options& o, const BertForSequenceClassification& model, const Tokenizer& tokenizer,
             int64_t max_length) {
  const BertConfig& config = model.config();
  bool number = o.task == TaskKind::regress, several = o.table.labels == LabelKind::several;
  Examples examples(o, false);
  for (std::vector<TextExample> chunk; !(chunk = examples.next()).empty();) {
    Array logits = predict_logits(model, encode_texts(tokenizer, chunk, max_length));
    check_finite(logits);
    for (int64_t i = 0; i < std::ssize(chunk); ++i) {
      if (number) {
        double value = logits.data<float>()[i];
        result("{}", o.json ? Record{{"value", value}}.dump() : fmt::format("{:.6g}", value));
        continue;
      }
      std::vector<double> p = label_probabilities(logits, i, several);
      std::vector<bool> likely = likely_labels(logits, i);
      std::vector<int32_t> chosen;
      for (int32_t l = 0; l < std::ssize(p); ++l)
        if (several ? likely[l] : l == best_label(logits, i)) chosen.push_back(l);
      if (o.json) {
        Record probabilities = Record::object(), labels = Record::array();
        for (size_t l = 0; l < p.size(); ++l) probabilities[config.labels[l]] = p[l];
        for (int32_t l : chosen) labels.push_back(config.labels[l]);
        Record record;
        several ? record["labels"] = labels : record["label"] = labels[0];
        record["probabilities"] = probabilities;
        print_result(record.dump());
      } else {
        std::string line;
        for (int32_t l : chosen)
          line += fmt::format("{}{}\t{:.4f}", line.empty() ? "" : "\t", config.labels[l], p[l]);
        print_result(line);
      }
    }
  }
}

void predict(const Options& o, const BertForTokenClassification& model, const Tokenizer& tokenizer,
             int64_t max_length) {
  LabelSet labels(model.config().labels);
  std::unique_ptr<TextLines> lines;
  if (!o.input.empty()) lines = std::make_unique<TextLines>("input", o.input);
  bool first = true;
  for (bool more = true; more;) {
    std::vector<std::string> texts;
    if (!lines) {
      texts.push_back(o.text);
      more = false;
    }
    while (lines && std::ssize(texts) < most_lines && (texts.empty() || lines->has_next()) &&
           (more = lines->next()))
      texts.emplace_back(without_return(lines->line()));
    std::vector<TaggedSentence> sentences;
    std::vector<std::vector<TextSpan>> places;
    for (const std::string& text : texts) {
      places.push_back(words_of(tokenizer, text));
      TaggedSentence& sentence = sentences.emplace_back();
      for (const TextSpan& word : places.back())
        sentence.words.push_back(text.substr(word.begin, word.end - word.begin));
    }
    TagWindows windows = encode_words(tokenizer, sentences, max_length);
    Array logits = windows.sequences.size() > 0 ? predict_logits(model, windows.sequences) : Array();
    check_finite(logits);
    for (size_t s = 0; s < texts.size(); ++s) {
      std::vector<PredictedTag> tags = predicted_tags(windows, static_cast<int64_t>(s), logits);
      std::vector<std::string> names = tag_names(tags, labels);
      std::vector<TaggedWord> words;
      for (size_t w = 0; w < names.size(); ++w)
        words.push_back({places[s][w], names[w], tags[w].probability});
      Record found = Record::array();
      if (!o.json && !std::exchange(first, false)) print_result("");
      for (const TextEntity& entity : merge_words(words)) {
        auto [begin, end] = place_of(texts[s], entity.place);
        std::string text = texts[s].substr(entity.place.begin, entity.place.end - entity.place.begin);
        if (o.json)
          found.push_back({{"type", entity.type},
                           {"text", text},
                           {"begin", begin},
                           {"end", end},
                           {"probability", entity.probability}});
        else
          result("{}\t{}\t{}-{}\t{:.4f}", entity.type, in_column(text), begin, end, entity.probability);
      }
      if (o.json) print_result(Record{{"entities", found}}.dump());
    }
  }
}

// Answers with their places in the context.
void answer(const Options& o, const BertForQuestionAnswering& model, const Tokenizer& tokenizer,
            int64_t max_length, const std::vector<Question>& questions) {
  AnswerOptions options;
  options.max_answer_length = o.max_answer_length;
  options.null_answers = o.null_answers;
  AnswerWindows windows = encode_questions(tokenizer, questions, {max_length, o.stride});
  Array logits = predict_logits(model, windows.sequences);
  check_finite(logits);
  for (int64_t q = 0; q < std::ssize(questions); ++q) {
    const AnswerSpan& best = predicted_answers(windows, q, logits, options).chosen;
    const std::string& context = *questions[q].context;
    auto [begin, end] = place_of(context, best.place);
    std::string text = context.substr(best.place.begin, best.place.end - best.place.begin);
    if (!o.json) {
      result("{}\t{}-{}\t{:.4f}", in_column(text), begin, end, best.probability);
      continue;
    }
    Record record;
    if (!questions[q].id.empty()) record["id"] = questions[q].id;
    record.update({{"answer", text}, {"begin", begin}, {"end", end}, {"probability", best.probability}});
    print_result(record.dump());
  }
}

void predict(const Options& o, const BertForQuestionAnswering& model, const Tokenizer& tokenizer,
             int64_t max_length) {
  if (o.input.ends_with(".json") || o.input.ends_with(".json.gz")) {
    std::vector<Question> questions = read_questions({o.input}, false).questions;
    constexpr int64_t at_once = 64;
    for (int64_t begin = 0; begin < std::ssize(questions); begin += at_once) {
      int64_t end = std::min<int64_t>(begin + at_once, std::ssize(questions));
      answer(o, model, tokenizer, max_length, {questions.begin() + begin, questions.begin() + end});
    }
    return;
  }
  Examples examples(o, true);
  for (std::vector<TextExample> chunk; !(chunk = examples.next()).empty();) {
    std::vector<Question> questions;
    for (const TextExample& example : chunk)
      questions.push_back({"", example.text, std::make_shared<std::string>(example.text_pair.value_or(""))});
    answer(o, model, tokenizer, max_length, questions);
  }
}

// The confusion matrix in columns: a row for each truth.
std::string table_of(const Record& confusion) {
  std::vector<std::string> labels = confusion.at("labels");
  size_t width = 7;
  for (const std::string& label : labels) width = std::max(width, shown(label).size() + 2);
  std::string text = fmt::format("{:<{}}", "true", width);
  for (const std::string& label : labels) text += fmt::format("{:>{}}", shown(label), width);
  for (size_t truth = 0; truth < labels.size(); ++truth) {
    text += fmt::format("\n{:<{}}", shown(labels[truth]), width);
    for (size_t predicted = 0; predicted < labels.size(); ++predicted)
      text += fmt::format("{:>{}}", confusion.at("counts")[truth][predicted].get<int64_t>(), width);
  }
  return text;
}

template <class Task>
void score(Options o, const typename Task::Model& model, const Tokenizer& tokenizer, int64_t max_length) {
  o.dev = o.report;
  Task task(o);
  task.take_labels(model.config());
  task.encode(tokenizer, max_length);
  std::optional<Progress> progress(std::in_place, "Predicting", task.dev().size());
  Array logits = predict_logits(model, task.dev(), 4096, [&](int64_t done) { progress->update(done); });
  progress.reset();
  check_finite(logits);
  Record record = Record::object();
  for (const auto& [name, value] : task.score(logits)) {
    record[name] = value;
    if (!o.json) result("{:<28}{:.4f}", name, value);
  }
  record.update(task.details(logits));
  if (o.json) return print_result(record.dump());
  if (record.contains("confusion")) print_result("\n" + table_of(record["confusion"]));
}

template <class Task>
void run(Options o) {
  auto [model, tokenizer, longest, notes] = load_pretrained<typename Task::Model>(o.model);
  for (const LoadNote& note : notes) message("Note: {}", note.str());
  set_precision(*model, model->bert(), o.precision);
  int64_t max_length = std::min(sequence_length(o, model->config()), longest);
  if (o.report.empty())
    predict(o, *model, tokenizer, max_length);
  else
    score<Task>(o, *model, tokenizer, max_length);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Predicts with a model that was fine-tuned for a task, a result for each text.\n\n"
      "  bert_predict --model sentiment --text \"a fine film\"\n"
      "  bert_predict --model pairs --pairs --input pairs.tsv --json\n"
      "  bert_predict --model tagger --input lines.txt\n"
      "  bert_predict --model reader --text \"Who wrote it?<tab>It was written by Ada.\"\n"
      "  bert_predict --model sentiment --report test.tsv\n",
      "bert_predict"};
  Options o;
  app.add_option("--model", o.model, "Model directory with a head for a task")
      ->check(check_folder_name)
      ->required();
  auto* group = app.add_option_group("text");
  group->add_option("--text", o.text, "One text; a tab separates the two of a pair, or question and context");
  group
      ->add_option(
          "--input", o.input,
          "A file with a text, or two, a line (TSV, CSV, JSON lines), or with questions (SQuAD's JSON); "
          "'-' is standard input")
      ->check(check_file_name);
  take_brackets(
      group
          ->add_option("--report", o.report,
                       "Files with the truth, as bert_finetune takes them: tells how good the model "
                       "is there")
          ->check(check_file_name));
  group->require_option(1);
  declare_task_options(app, o);
  app.add_flag("--null-answers", o.null_answers, "Of questions: the context may have no answer");
  declare_inference_precision(app, o.precision);
  app.add_flag("--json", o.json, "One JSON object per text");
  return run_program(app, argc, argv, [&] {
    size_t invalid = find_invalid_utf8(o.text);
    BERTIE_CHECK(invalid == std::string::npos, "text", "a text must be UTF-8, byte {} of this one isn't",
                 invalid + 1);
    BertConfig config = read_bert_config(o.model + "/config.json");
    if (config.architecture == BertForTokenClassification::architecture) {
      o.task = TaskKind::tag;
      return run<TagTask>(o);
    }
    if (config.architecture == BertForQuestionAnswering::architecture) {
      o.task = TaskKind::answer;
      return run<AnswerTask>(o);
    }
    BERTIE_CHECK(config.architecture == BertForSequenceClassification::architecture, "model",
                 "{} has no head that this program knows: its config.json says that it is a '{}'", o.model,
                 shown(config.architecture));
    bool number =
        config.problem_type == "regression" || (config.problem_type.empty() && config.num_labels() == 1);
    BERTIE_CHECK(!number || config.num_labels() == 1, "model",
                 "{} predicts {} numbers of each text; this program knows models of one", o.model,
                 config.num_labels());
    o.task = number ? TaskKind::regress : TaskKind::classify;
    if (config.problem_type == "multi_label_classification") o.table.labels = LabelKind::several;
    run<TextTask>(o);
  });
}
