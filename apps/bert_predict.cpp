// What a fine-tuned BERT says of texts: labels, numbers, names within them, answers to questions.
#include <algorithm>
#include <cmath>

#include "apps/console/options.h"
#include "apps/console/program.h"
#include "apps/console/progress.h"
#include "apps/inference_precision.h"
#include "apps/int8_comparison.h"
#include "apps/predicted_texts.h"
#include "bertie/data/tokenizer/utf8.h"
#include "bertie/models/entity_decoding.h"
#include "bertie/models/pretrained.h"

using namespace bertie;

namespace {

struct Options : PredictedTexts {
  std::string model, compare;
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
  WordTexts words_of_texts(o);
  bool first = true;
  for (WordTexts::Chunk chunk; words_of_texts.next(tokenizer, chunk);) {
    const std::vector<std::string>& texts = chunk.texts;
    const std::vector<std::vector<TextSpan>>& places = chunk.places;
    const std::vector<TaggedSentence>& sentences = chunk.sentences;
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
  AnswerWindows windows = encode_questions(tokenizer, questions, window_options(o, max_length));
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
  QuestionTexts texts(o);
  for (std::vector<Question> chunk; !(chunk = texts.next()).empty();)
    answer(o, model, tokenizer, max_length, chunk);
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

// The first texts of --compare, and what the model says of them by its logits.
void read_texts(const Options& o, const BertForSequenceClassification&, const Tokenizer& tokenizer,
                int64_t max_length, Int8Comparison& comparison) {
  comparison.texts = encode_texts(tokenizer, Examples(o, false).next(), max_length);
  comparison.predicted = "labels";
  comparison.predictions = [&o](const TaskSequences& texts, const Array& logits) {
    std::vector<int64_t> labels;
    for (int64_t i = 0; o.task == TaskKind::classify && i < texts.size(); ++i)
      if (o.table.labels == LabelKind::several)
        for (bool likely : likely_labels(logits, i)) labels.push_back(likely);
      else
        labels.push_back(best_label(logits, i));
    return labels;
  };
}

void read_texts(const Options& o, const BertForTokenClassification&, const Tokenizer& tokenizer,
                int64_t max_length, Int8Comparison& comparison) {
  WordTexts::Chunk chunk;
  WordTexts(o).next(tokenizer, chunk);
  comparison.texts = encode_words(tokenizer, chunk.sentences, max_length).sequences;
  comparison.predicted = "tags of tokens";
  comparison.predictions = [](const TaskSequences& texts, const Array& logits) {
    std::vector<int64_t> tags;
    for (int64_t t = 0; t < texts.tokens(); ++t) tags.push_back(best_label(logits, t));
    return tags;
  };
}

void read_texts(const Options& o, const BertForQuestionAnswering&, const Tokenizer& tokenizer,
                int64_t max_length, Int8Comparison& comparison) {
  comparison.texts =
      encode_questions(tokenizer, QuestionTexts(o).next(), window_options(o, max_length)).sequences;
  comparison.predicted = "begins, ends";
  comparison.predictions = [](const TaskSequences& texts, const Array& logits) {
    std::vector<int64_t> places;
    const float* z = logits.data<float>();
    for (int64_t i = 0; i < texts.size(); ++i)
      for (int64_t side = 0; side < 2; ++side) {
        int64_t best = texts.offsets[i];
        for (int64_t t = best; t < texts.offsets[i + 1]; ++t)
          if (z[2 * t + side] > z[2 * best + side]) best = t;
        places.push_back(best);
      }
    return places;
  };
}

template <class Model>
void compare(Options o) {
  o.input = o.compare;
  auto [model, tokenizer, longest, notes] = load_pretrained<Model>(o.model);
  for (const LoadNote& note : notes) message("Note: {}", note.str());
  Int8Comparison comparison;
  comparison.parts = model->bert().parts();
  read_texts(o, *model, tokenizer, std::min(sequence_length(o, model->config()), longest), comparison);
  comparison.logits = [&o](const TaskSequences& texts, const std::optional<std::vector<std::string>>& keep) {
    auto loaded = load_pretrained<Model>(o.model);
    if (keep) loaded.model->bert().pack(Precision::int8, *keep);
    return predict_logits(*loaded.model, texts);
  };
  compare_int8(comparison, o.json);
}

template <class Task>
void run(Options o) {
  if (!o.compare.empty()) return compare<typename Task::Model>(o);
  auto [model, tokenizer, longest, notes] = load_pretrained<typename Task::Model>(o.model);
  for (const LoadNote& note : notes) message("Note: {}", note.str());
  set_precision(model->bert(), o.precision, o.input.empty() && o.report.empty());
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
  group
      ->add_option("--compare", o.compare,
                   "With --precision int8: a file as --input's, of whose first texts it tells what int8 "
                   "changes, and which layers would be better left in f32")
      ->check(check_file_name);
  group->require_option(1);
  declare_task_options(app, o);
  app.add_flag("--null-answers", o.null_answers, "Of questions: the context may have no answer");
  declare_inference_precision(app, o.precision);
  app.parse_complete_callback([&o] {
    check_precision(o.precision);
    if (!o.compare.empty() && o.precision.precision != "int8")
      throw CLI::ValidationError("--compare", "goes with --precision int8");
    if (!o.compare.empty() && !o.precision.keep_f32.empty())
      throw CLI::ValidationError("--keep-f32", "is what --compare finds, so they don't go together");
  });
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
