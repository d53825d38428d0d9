// The folder that a training program writes its model to.
#pragma once
#include <functional>
#include <optional>
#include <string>

#include "apps/console/program.h"
#include "apps/run/metrics.h"
#include "bertie/data/files/folder_lock.h"
#include "bertie/models/pretrained.h"

namespace bertie {

// The files in which metrics grow, and are shown, until the model that they describe is saved.
constexpr const char* unfinished_metrics = "unfinished-metrics.jsonl";
constexpr const char* unfinished_report = "unfinished-report.html";

// The folder within, from which the program continues a run.
constexpr const char* checkpoint_folder = "checkpoints";

// Whether a folder has a model whose training reached its end, and what begin() was told of it.
bool is_finished(const std::string& folder);
std::optional<std::string> finished_settings(const std::string& folder);
// Whether the last of its metrics are those of an evaluation.
bool ends_with_evaluation(const std::string& folder);

class ModelFolder {
 public:
  struct Run {
    int64_t steps, planned_steps;
    bool failed = false;  // the training, so what it made may be of no use
  };

  // To be made before any text is read: makes the folder, keeps other programs from writing a model to it as
  // long as this lives, completes or removes what a killed program left, and finds out what would fail at the
  // end. Throws where the folder can't be made or written, where another program writes to it, where a file's
  // place is taken by something else than a file, and, unless `overwrite` or `resume`, where any file of a
  // model's is there: a run that is resumed was allowed to replace it. Tells what interrupted runs left.
  explicit ModelFolder(std::string path, bool overwrite, bool resume = false);
  // Removes metrics and report of a run that trained nothing, and the folder, if this made it and it is
  // empty.
  ~ModelFolder();
  ModelFolder(const ModelFolder&) = delete;
  ModelFolder& operator=(const ModelFolder&) = delete;

  const std::string& path() const { return path_; }

  // The records of a run that is resumed after so many steps: from unfinished_metrics, or, where it was saved
  // then, from beside that model. None, which is told, where there are none or they can't be read.
  std::vector<Record> metrics_before(int64_t steps) const;

  // Takes the room of a model with weights of so many bytes until it is saved, so that the disk can't be full
  // then. Throws where there is less. (A file system without fallocate() is only asked how much it has.)
  void reserve(int64_t weight_bytes);

  // The training begins: from now on a signal makes interrupted() true, and save() is expected (FinishFirst).
  // `settings`, a JSON object, says what is trained: it stands beside the model.
  void begin(const std::string& settings = "{}");

  // Adds a line to the metrics: to unfinished_metrics once the training has begun, and once the model is
  // saved to its metrics.jsonl. A resumed run first adds the lines that it keeps. Where that fails it is only
  // told, once, and tried again with the next line: no reason to lose the training.
  void add_metrics(const std::string& line);
  // Before a checkpoint: the metrics so far survive a loss of power.
  void sync_metrics() const;
  // Likewise, in place of the last one: to unfinished_report, or to the saved model's report.html.
  void write_report(std::string html);

  // Returns the folder that holds the model now. A run that reached its end has the folder itself. One that
  // didn't never replaces a model: where one is there, or the training failed, it goes to the first of
  // unfinished, unfinished-2, … within the folder that is free. Tells so. From then on signals end the
  // program at once again. Throws where it can't be saved.
  template <class Model>
  std::string save(const Model& model, const Tokenizer& tokenizer, const Run& run,
                   std::optional<int64_t> max_length = {}) {
    return save(run, [&](const std::string& place) {
      save_pretrained(model, tokenizer, place, max_length, further_files(run));
    });
  }

  // What `save`, save() of the model, does for a training that failed, and was more than nothing before; a
  // failure is only told.
  void rescue(const std::function<std::string(const Run&)>& save, Run run) {
    run.failed = true;
    try {
      save(run);
    } catch (const std::exception& error) {
      message("Note: {}", error.what());
    }
  }

 private:
  std::string save(const Run& run, const std::function<void(const std::string& place)>& write);
  std::string place_for(const Run& run) const;
  std::vector<NamedText> further_files(const Run& run) const;
  std::string place_of(const char* unfinished, const char* saved) const;
  void try_writing(const std::function<void()>& write);
  void remove_unfinished() const;
  void release();

  std::string path_, settings_ = "{}", metrics_, report_, saved_in_;
  bool overwrite_, resume_, made_ = false, keep_metrics_ = false;
  bool appendable_ = false;  // the file has all lines but the new one
  bool told_ = false;        // that they can't be written
  std::optional<FolderLock> lock_;
  std::optional<FinishFirst> finish_;  // between begin() and save()
  int reserved_ = -1;                  // a file without a name that takes the room
};

}  // namespace bertie
