// Trains a BERT for a task: the pre-trained encoder with a head of the task, and writes a model directory.
#include <algorithm>
#include <cmath>
#include <filesystem>

#include "apps/console/options.h"
#include "apps/console/program.h"
#include "apps/console/progress.h"
#include "apps/finetune_options.h"
#include "apps/run/model_folder.h"
#include "apps/run/run_facts.h"
#include "apps/run/run_optimizer.h"
#include "apps/run/run_settings.h"
#include "apps/run/together.h"
#include "apps/run/training_run.h"
#include "apps/task.h"
#include "bertie/models/bert_flops.h"
#include "bertie/models/pretrained.h"
#include "bertie/ops/sgemm_rate.h"

using namespace bertie;

namespace {

using Options = FinetuneOptions;

constexpr const char* lower_is_better = "mean_squared_error";

// The score that decides, the lower the better.
double deciding_score(const TaskScores& scores, const std::string& metric) {
  std::string names;
  for (const auto& [name, value] : scores) {
    if (metric.empty() || name == metric) return name == lower_is_better ? value : -value;
    names += (names.empty() ? "" : ", ") + name;
  }
  fail("metric", "the task has {}, not '{}'", names, shown(metric));
}

// One training of several: what it does differently, and what came of it.
struct Variant {
  std::string name;  // of its folder; empty: the only one
  Options options;
  TaskScores scores = {};
};

std::vector<Variant> variants_of(const Options& o) {
  std::vector<Variant> variants;
  auto add = [&](std::string name) -> Options& {
    variants.push_back({std::move(name), o});
    Options& options = variants.back().options;
    options.output = fmt::format("{}/runs/{}", o.output, variants.back().name);
    return options;
  };
  if (o.grid) {
    for (int64_t batch : {16, 32})
      for (double rate : {5e-5, 3e-5, 2e-5})
        for (int64_t epochs : {2, 3, 4}) {
          Options& options = add(fmt::format("batch-{}-rate-{:.0e}-epochs-{}", batch, rate, epochs));
          options.batch_size = batch;
          options.learning_rate = rate;
          options.epochs = epochs;
        }
  } else if (o.seeds > 1) {
    for (int64_t i = 0; i < o.seeds; ++i) add(fmt::format("seed-{}", o.seed + i)).seed = o.seed + i;
  } else {
    variants.push_back({"", o});
  }
  return variants;
}

std::string title(const std::string& variant) {
  return variant.empty() ? "BERT, fine-tuned" : "BERT, fine-tuned: " + variant;
}

template <class Task>
class Finetuning {
 public:
  Finetuning(Processes& processes, const CLI::App& app, const Options& o, const FactTable& given,
             Precision precision)
      : processes_(processes), app_(app), o_(o), given_(given), precision_(precision), task_(o) {
    BertConfig config = read_bert_config(o.model + "/config.json");
    keeps_head_ = config.architecture == Task::Model::architecture;
    if (keeps_head_) task_.take_labels(config);
    starting_weights_ = weights_hash(o.model);
  }

  // Everyone's; the folder is the first process's. Returns false where a signal ended it before its time.
  bool train(Variant& variant, ModelFolder* folder);
  Pretrained<typename Task::Model> load(const Options& o) const;

 private:
  std::string settings_of(const Options& o, const TrainingOptions& training, const BertConfig& config,
                          const Tokenizer& tokenizer, int64_t parts) const;

  Processes& processes_;
  const CLI::App& app_;
  const Options& o_;
  const FactTable& given_;
  Precision precision_;
  Task task_;
  bool keeps_head_, encoded_ = false;
  std::string starting_weights_;
};

template <class Task>
Pretrained<typename Task::Model> Finetuning<Task>::load(const Options& o) const {
  PretrainedOptions options;
  options.allow_new_head = !keeps_head_;
  options.replace_head = !keeps_head_;
  options.seed = static_cast<uint64_t>(o.seed);
  options.configure = [&](BertConfig& config) {
    task_.configure(config);
    if (!o.dropout) return;
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = *o.dropout;
    config.classifier_dropout.reset();
  };
  return load_pretrained<typename Task::Model>(o.model, options);
}

// When is evaluated, and by what, decides which weights are kept.
template <class Task>
std::string Finetuning<Task>::settings_of(const Options& o, const TrainingOptions& training,
                                          const BertConfig& config, const Tokenizer& tokenizer,
                                          int64_t parts) const {
  Record settings{{"task", static_cast<int>(o.task)},
                  {"training_data", task_.training().hash()},
                  {"dev_data", task_.dev_hash()},
                  {"max_answer_length", o.max_answer_length},
                  {"batch_size", o.batch_size},
                  {"parts", parts},
                  {"freeze_layers", o.freeze_layers.value_or(-1)},
                  {"metric", o.metric},
                  {"evaluate_steps", *o.evaluate_steps},
                  {"patience", o.patience}};
  settings.update(common_settings(o, training, config, tokenizer, starting_weights_));
  return settings.dump();
}

template <class Task>
bool Finetuning<Task>::train(Variant& variant, ModelFolder* folder) {
  Options& o = variant.options;
  std::optional<Pretrained<typename Task::Model>> pretrained;
  std::optional<ParameterBlock> parameters;
  std::unique_ptr<Optimizer> optimizer;
  int64_t all_parameters = 0;
  processes_.let_each([&] {
    pretrained.emplace(load(o));
    typename Task::Model& model = *pretrained->model;
    if (!encoded_) {
      for (const LoadNote& note : pretrained->notes) message("Note: {}", note.str());
      task_.encode(pretrained->tokenizer, sequence_length(o, model.config()));
      encoded_ = true;
    }
    model.train();
    model.set_precision(precision_);
    for (const Parameter& parameter : model.parameters()) all_parameters += parameter.tensor.array().size();
    if (o.freeze_layers) model.bert().freeze_layers(*o.freeze_layers);
    parameters.emplace(model);
    if (folder) folder->reserve(all_parameters * static_cast<int64_t>(sizeof(float)));
    optimizer = make_optimizer(o, *parameters, model.bert(), processes_);
  });
  typename Task::Model& model = *pretrained->model;
  const BertConfig& config = model.config();
  int64_t parts = agreed_parts(processes_, o, parts_to_resume(processes_, o), 1);
  TaskObjective objective(model, task_.training(), {o.batch_size, static_cast<uint64_t>(o.seed), parts});
  TrainingOptions training;
  training.steps = o.epochs * objective.steps_per_epoch();
  training.schedule = {o.learning_rate.value_or(finetuning_rate(config)), o.warmup, Schedule::Decay::linear};
  training.max_gradient_norm = o.max_gradient_norm;
  if (!o.evaluate_steps) o.evaluate_steps = objective.steps_per_epoch();
  message("Model: BERT with {} layers of {}, {} parameters{}; {} steps of {} sequences, learning rate {}",
          config.num_hidden_layers, config.hidden_size, all_parameters,
          o.freeze_layers ? fmt::format(", of which {} are trained", parameters->size()) : "", training.steps,
          o.batch_size, training.schedule.peak);
  if (o.muon) message("Optimizer: {}", optimizer->str());

  Array logits;  // of dev
  int64_t evaluated = -1;
  auto evaluate = [&](int64_t steps, bool last) -> Evaluation {
    if (evaluated != steps) {
      model.eval();
      Progress progress("Evaluating", task_.dev().size());
      logits = predict_logits(
          model, task_.dev(), 4096, [&](int64_t done) { progress.update(done); }, &processes_);
      model.train();
      evaluated = steps;
    }
    Evaluation evaluation{};
    processes_.let_each([&] {
      variant.scores = task_.score(logits);
      Record record{{"kind", "evaluation"}, {"step", steps}, {"held_out", Record::object()}};
      std::string text;
      if (task_.dev().labels) {
        record["held_out"]["loss"] = mean_task_loss(model, task_.dev(), logits);
        text = fmt::format(", loss {:.4f}", record["held_out"]["loss"].template get<double>());
      }
      for (const auto& [name, value] : variant.scores) {
        record["scores"][name] = value;
        text += fmt::format(", {} {:.4f}", name, value);
      }
      if (last) record.update(task_.details(logits));
      message("{} after step {}:{}", last ? "Saved: dev" : "Dev", steps, text.substr(1));
      evaluation = {record, deciding_score(variant.scores, o.metric)};
    });
    return evaluation;
  };
  return run_training({
      .options = o,
      .folder = folder,
      .parameters = *parameters,
      .optimizer = *optimizer,
      .objective = objective,
      .training = training,
      .sgemm_gflops = measure_sgemm_gflops(),
      .settings = settings_of(o, training, config, pretrained->tokenizer, parts),
      .facts = {.title = title(variant.name),
                .tables = {model_facts(config, all_parameters),
                           training_facts(training, *optimizer, "Sequences per step", o.batch_size), given_}},
      .metered = [&](const StepReport& step) -> MeteredStep {
        double tokens = 0, flops = 0;
        for (const TaskBatch& part : objective.parts()) {
          tokens += static_cast<double>(part.tokens.tokens());
          flops += 3 * encoder_flops(config, part.tokens.offsets);
        }
        return {step.step + 1, step.learning_rate,      step.gradient_norm, tokens,
                flops,         {{"loss", step.loss, 1}}};
      },
      .evaluate = [&](int64_t steps) { return evaluate(steps, false); },
      .evaluate_last = [&](int64_t steps) { return evaluate(steps, true).record; },
      .save =
          [&](const ModelFolder::Run& run) {
            return folder->save(model, pretrained->tokenizer, run, pretrained->max_length);
          },
      .keep_best = true,
      .patience = o.patience,
      .processes = processes_,
      .tell_failure = [&](const std::exception& error) { tell_failure(app_.get_name(), processes_, error); },
  });
}

// "0.9312 ± 0.0021 (0.9290 … 0.9333)": mean, standard deviation, least and largest
std::string spread(const std::vector<double>& values) {
  double mean = 0, squares = 0;
  for (double value : values) mean += value / static_cast<double>(values.size());
  for (double value : values) squares += (value - mean) * (value - mean);
  auto [least, most] = std::minmax_element(values.begin(), values.end());
  double deviation = std::sqrt(squares / static_cast<double>(std::max<size_t>(1, values.size() - 1)));
  return fmt::format("{:.4f} ± {:.4f} ({:.4f} … {:.4f})", mean, deviation, *least, *most);
}

// The scores of a run that has ended, from its metrics.
TaskScores scores_in(const std::string& folder) {
  TaskScores scores;
  for (const Record& record : read_metrics(folder + "/metrics.jsonl")) {
    if (!record.contains("scores")) continue;
    scores.clear();
    for (const auto& [name, value] : record["scores"].items())
      scores.emplace_back(name, value.is_number() ? value.get<double>() : NAN);
  }
  return scores;
}

// Saves the best of them in `folder`, whose settings these are.
template <class Task>
void save_best(const Options& o, const FactTable& given, std::vector<Variant>& variants,
               const Record& settings, ModelFolder& folder) {
  size_t finished = 0;
  for (Variant& variant : variants) {
    if (!variant.scores.empty()) continue;
    variant.scores = scores_in(variant.options.output);  // it was finished already
    ++finished;
  }
  if (finished == variants.size() && finished_settings(o.output) == settings.dump())
    return tell_finished(o.output);
  auto score = [&](const Variant& variant) { return deciding_score(variant.scores, o.metric); };
  auto best = std::min_element(variants.begin(), variants.end(), [&](const Variant& a, const Variant& b) {
    return score(a) < score(b) || (std::isnan(score(b)) && !std::isnan(score(a)));
  });
  FactTable runs{"Runs, scored on dev", {}};
  for (const Variant& variant : variants) {
    std::string text;
    for (const auto& [name, value] : variant.scores)
      text += fmt::format("{}{} {:.4f}", text.empty() ? "" : ", ", name, value);
    runs.rows.emplace_back(variant.name, text);
    message("{}: {}", variant.name, text);
  }
  for (size_t i = 0; i < variants[0].scores.size(); ++i) {
    std::vector<double> values;
    for (const Variant& variant : variants) values.push_back(variant.scores[i].second);
    runs.rows.emplace_back(variants[0].scores[i].first, spread(values));
    message("{}: {}", variants[0].scores[i].first, spread(values));
  }
  message("The best on dev, which chose it: {}", best->name);
  auto [model, tokenizer, longest, notes] = load_pretrained<typename Task::Model>(best->options.output);
  std::vector<Record> records = read_metrics(best->options.output + "/metrics.jsonl");
  int64_t steps = records.back()["step"];
  folder.begin(settings.dump());
  for (const Record& record : records) folder.add_metrics(record.dump() + "\n");
  folder.write_report(training_report_html(records, {title(best->name), steps, {runs, given}}));
  result("{}", folder.save(*model, tokenizer, {steps, steps}, longest));
}

// Trains all of them, each in a folder of its own, then saves the best in `folder`.
template <class Task>
void train_all(Processes& processes, const Options& o, const FactTable& given, Finetuning<Task>& finetuning,
               std::optional<ModelFolder>& folder) {
  std::vector<Variant> variants = variants_of(o);
  Record settings{{"runs", Record::array()}};  // their own are in their folders
  for (Variant& variant : variants) {
    message("Run {} of {}: {}", &variant - variants.data() + 1, variants.size(), variant.name);
    settings["runs"].push_back(variant.name);
    std::optional<ModelFolder> own;
    processes.let_first([&] {
      own.emplace(variant.options.output, o.overwrite, resumes(variant.options));
      check_checkpoints(variant.options);
    });
    if (!finetuning.train(variant, own ? &*own : nullptr)) return;
  }
  processes.let_first([&] { save_best<Task>(o, given, variants, settings, *folder); });
}

template <class Task>
void finetune(Processes& processes, const CLI::App& app, const Options& o) {
  bool several = o.seeds > 1 || o.grid;
  std::optional<ModelFolder> folder;  // the first process's
  processes.let_first([&] {
    folder.emplace(o.output, o.overwrite,
                   several ? o.resume && std::filesystem::exists(o.output + "/runs") : resumes(o));
    check_checkpoints(o);
  });
  FactTable given = given_options(app);
  Precision precision = agreed_precision(processes, o);
  std::optional<Finetuning<Task>> finetuning;
  processes.let_each([&] { finetuning.emplace(processes, app, o, given, precision); });
  if (several) return train_all(processes, o, given, *finetuning, folder);
  Variant only{"", o};
  finetuning->train(only, folder ? &*folder : nullptr);
}

}  // namespace

int main(int argc, char** argv) {
  let_first_speak();
  CLI::App app{
      "Trains a BERT for a task and writes a model directory that transformers can load.\n\n"
      "  bert_finetune --task classify --model bert --train train.tsv --dev dev.tsv --output out\n"
      "  bert_finetune --task classify --model bert --train pairs.csv --dev dev.csv --pairs --seeds 3\n"
      "  bert_finetune --task tag --model bert --train train.conll --dev dev.conll --output tagger\n"
      "  bert_finetune --task answer --model bert --train train.json --dev dev.json --output reader\n",
      "bert_finetune"};
  Options options;
  declare_finetune_options(app, options);
  options.command = resuming_command(argc, argv);
  return run_program(app, argc, argv, [&] {
    run_together(app, options.peer_timeout, [&](Processes& processes) {
      check_same_command(processes, app);
      switch (options.task) {
        case TaskKind::classify:
        case TaskKind::regress:
          return finetune<TextTask>(processes, app, options);
        case TaskKind::tag:
          return finetune<TagTask>(processes, app, options);
        case TaskKind::answer:
          return finetune<AnswerTask>(processes, app, options);
      }
    });
  });
}
