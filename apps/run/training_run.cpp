#include "apps/run/training_run.h"

#include <algorithm>
#include <utility>

#include "apps/console/memory_limits.h"
#include "apps/console/progress.h"
#include "apps/run/run_facts.h"
#include "apps/run/together.h"

namespace bertie {
namespace {

class WatchedRun {
 public:
  explicit WatchedRun(const TrainingRun& run);
  bool train_and_save();

 private:
  bool timed() const { return training_.seconds > 0; }
  bool is_done_already() const;
  void take_up();
  void begin(const std::optional<Record>& untrained);
  bool after_step(const StepReport& step);
  bool is_evaluation_due(const StepReport& step);
  bool is_training_record_due(const StepReport& step);
  Precision precision() const;
  Record training_record();
  void record();
  void log(const Record& record);
  void evaluate();
  bool is_out_of_patience() const;
  int64_t restore_best();
  void save();
  void rescue();

  const TrainingRun& run_;
  Processes& processes_;
  Checkpoints checkpoints_;  // of use in the first process alone
  TrainingOptions training_;
  std::vector<Record> kept_;        // of the run that is resumed
  int64_t done_ = 0, planned_ = 0;  // steps
  bool stopped_early_ = false;
  std::optional<FinishFirst> finish_;  // of those without a folder, which has one
  std::optional<RunLog> log_;          // the first process's
  std::optional<TrainingMeter> meter_;
  std::optional<Progress> progress_;
  // Where the run's length is a time: quarters of it that were evaluated, and when a record was made last.
  int64_t quarters_ = 0;
  double recorded_ = 0;
};

WatchedRun::WatchedRun(const TrainingRun& run)
    : run_(run),
      processes_(run.processes),
      checkpoints_({.folder = checkpoints_of(run.options),
                    .configuration = run.settings,
                    .every_steps = run.options.checkpoint_steps,
                    .every_seconds = 60 * run.options.checkpoint_minutes,
                    .before_save = [this] { record(); },
                    .tell = [](const std::string& note) { message("Note: {}", note); }}),
      training_(run.training) {
  if (processes_.is_first()) training_.checkpoints = &checkpoints_;
  training_.processes = &processes_;
  training_.tell_failure = run.tell_failure;
}

// Whether the folder has the model of this very run, which is told then. A run of other settings isn't
// continued by this one, and has no checkpoints of this one either.
bool WatchedRun::is_done_already() const {
  const std::string& output = run_.options.output;
  std::optional<std::string> finished = finished_settings(output);
  if (!finished) return false;
  bool has_checkpoints = Checkpoints::any_in(checkpoints_of(run_.options));
  Listing different = configuration_differences(*finished, run_.settings);
  if (!different.empty()) {
    BERTIE_CHECK(has_checkpoints, "output", "{} has the model of a finished run with other settings:{}",
                 output, different);
    return false;  // the checkpoints tell whose they are
  }
  // A killed program may have saved the model, and not yet its last evaluation.
  if (has_checkpoints && !ends_with_evaluation(output)) return false;
  tell_finished(output);
  return true;
}

void WatchedRun::take_up() {
  bool found = false;
  processes_.let_first([&] {
    std::optional<Checkpoint> checkpoint = checkpoints_.latest();
    if (!checkpoint) {
      message("There is no checkpoint in {} {}: the run begins", checkpoints_of(run_.options),
              resumes(run_.options) ? "that can be used" : "yet");
      return;
    }
    training_.start = checkpoints_.restore(*checkpoint, run_.parameters, run_.optimizer, run_.objective);
    kept_ = run_.folder->metrics_before(training_.start.steps);
    message("Continuing after step {}, from {}", training_.start.steps, checkpoint->file.path);
    for (auto record = kept_.rbegin(); record != kept_.rend(); ++record) {
      if (!record->contains("precision")) continue;
      if (std::string before = (*record)["precision"]; before != name(precision()))
        message("Note: till there the run was in {}, and goes on in {}", before, name(precision()));
      break;
    }
    found = true;
  });
  if (processes_.of_first(found))
    training_.start =
        share_state(processes_, run_.parameters, run_.optimizer, run_.objective, training_.start);
}

bool WatchedRun::is_evaluation_due(const StepReport& step) {
  if (done_ == training_.steps) return run_.keep_best;  // else the last one follows
  if (run_.options.evaluate_steps) return done_ % *run_.options.evaluate_steps == 0;
  if (!timed()) return done_ % std::max<int64_t>(1, training_.steps / 4) == 0;
  auto quarter = static_cast<int64_t>(4 * step.seconds / training_.seconds);
  return quarter < 4 && std::exchange(quarters_, quarter) < quarter;
}

bool WatchedRun::is_training_record_due(const StepReport& step) {
  if (!timed()) return is_record_due(done_, training_.steps);
  bool due = step.seconds - recorded_ >= training_.seconds / most_records;
  if (due) recorded_ = step.seconds;
  return due;
}

Precision WatchedRun::precision() const {
  return run_.parameters.rounded() ? Precision::bf16 : Precision::of_parameters;
}

Record WatchedRun::training_record() {
  Record record = meter_->record();
  record["precision"] = name(precision());
  return record;
}

void WatchedRun::record() {
  if (meter_ && !meter_->empty()) log(training_record());
  run_.folder->sync_metrics();
}

void WatchedRun::log(const Record& record) {
  if (log_) log_->add(record);
}

void WatchedRun::evaluate() {
  progress_->pause();
  Evaluation evaluation = run_.evaluate(done_);
  bool best = checkpoints_.scored(evaluation.score);
  log(evaluation.record);
  progress_->resume();
  stopped_early_ = processes_.of_first(!best && is_out_of_patience());
}

// Since the best evaluation there were as many as the patience bears.
bool WatchedRun::is_out_of_patience() const {
  int64_t every = run_.options.evaluate_steps.value_or(std::max<int64_t>(1, training_.steps / 4));
  return run_.patience > 0 && done_ - checkpoints_.best_steps().value_or(0) >= run_.patience * every;
}

// Returns after which step the weights are now.
int64_t WatchedRun::restore_best() {
  int64_t best = done_;  // where no score was finite, or nothing could be saved
  processes_.let_first([&] {
    best = checkpoints_.best_steps().value_or(done_);
    if (best == done_) return;
    checkpoints_.restore(read_checkpoint(*checkpoints_.best()), run_.parameters, run_.optimizer,
                         run_.objective);
    message("The best weights are those after step {}", best);
  });
  best = processes_.of_first(best);
  if (best != done_) share_state(processes_, run_.parameters, run_.optimizer, run_.objective, {});
  return best;
}

bool WatchedRun::after_step(const StepReport& step) {
  done_ = step.step + 1;
  if (timed())
    planned_ = static_cast<int64_t>(static_cast<double>(done_) * training_.seconds / step.seconds) + 1;
  meter_->add(progress_->worked(), run_.metered(step));
  if (is_training_record_due(step)) log(training_record());
  progress_->update(timed() ? static_cast<int64_t>(step.seconds) : done_, [&] { return meter_->progress(); });
  // Where the best weights are kept, a run that is interrupted and resumed must not miss one.
  if (is_evaluation_due(step) && (run_.keep_best || !processes_.any(interrupted()))) evaluate();
  return !interrupted() && !stopped_early_;
}

void WatchedRun::save() {
  std::string place;
  processes_.let_first([&] { place = run_.save({done_, planned_}); });
  finish_.reset();
  result("{}", place);
  if (done_ < planned_) message("To continue: {}", run_.options.command);
}

void WatchedRun::begin(const std::optional<Record>& untrained) {
  if (!run_.folder) finish_.emplace("");  // the first process says what happens
  processes_.let_first([&] {
    run_.folder->begin(run_.settings);
    if (run_.options.overwrite) checkpoints_.remove_all();
    RunFacts facts = run_.facts;
    facts.planned_steps = training_.steps;
    facts.tables.push_back(machine_facts(run_.sgemm_gflops, precision()));
    log_.emplace(*run_.folder, std::move(facts), run_.options.tensorboard, kept_, done_);
    if (untrained) log(*untrained);
  });
}

bool WatchedRun::train_and_save() {
  check_same_settings(processes_, run_.settings);
  if (run_.options.resume) {
    bool done = false;
    processes_.let_first([&] {
      done = is_done_already();
      if (done && run_.keep_best) checkpoints_.remove_all();
    });
    if (processes_.of_first(done)) return true;
    take_up();
  }
  done_ = training_.start.steps;
  planned_ = training_.steps;
  recorded_ = training_.start.seconds;
  stopped_early_ =
      processes_.of_first(is_out_of_patience());  // then, too, and only the model wasn't saved yet
  std::optional<Record> untrained;
  if (done_ == 0) untrained = run_.evaluate(0).record;
  begin(untrained);
  meter_.emplace(run_.sgemm_gflops, kept_);
  // What is shown as done is counted in steps, or in seconds where the run is.
  auto length = timed() ? static_cast<int64_t>(training_.seconds) : training_.steps;
  if (timed()) quarters_ = static_cast<int64_t>(4 * training_.start.seconds / training_.seconds);
  progress_.emplace(timed() ? "Training (seconds)" : "Training", length);
  try {
    if (!stopped_early_)
      train(run_.parameters, run_.optimizer, training_, run_.objective,
            [this](const StepReport& step) { return after_step(step); });
  } catch (const SharedError&) {
    processes_.let_first([&] { rescue(); });
    throw;
  } catch (const std::exception&) {
    if (processes_.is_first()) rescue();
    throw;
  }
  double seconds = progress_->elapsed();
  progress_.reset();
  message("{} steps in {} ({:.1f} s)", done_ - training_.start.steps, duration(seconds), seconds);
  message("{}", measured_memory());
  if (!meter_->empty()) log(training_record());
  if ((timed() || stopped_early_) && !processes_.any(interrupted())) planned_ = done_;
  if (stopped_early_) message("The last {} evaluations weren't better: the run ends", run_.patience);
  int64_t weights_of = run_.keep_best && done_ == planned_ ? restore_best() : done_;
  save();
  Record last = run_.evaluate_last(weights_of);
  last["step"] = done_;
  log(last);
  if (done_ < planned_) return false;
  if (run_.keep_best) processes_.let_first([&] { checkpoints_.remove_all(); });
  return true;
}

// What the run has learned till it failed.
void WatchedRun::rescue() {
  progress_.reset();
  if (std::optional<int64_t> saved = checkpoints_.saved_steps())
    message("Note: the checkpoint of step {} is in {}", *saved, checkpoints_of(run_.options));
  if (done_ > training_.start.steps) run_.folder->rescue(run_.save, {done_, planned_});
}

}  // namespace

void tell_finished(const std::string& folder) {
  message("The run in {} is finished: there is nothing to resume", folder);
  result("{}", folder);
}

bool run_training(const TrainingRun& run) { return WatchedRun(run).train_and_save(); }

}  // namespace bertie
