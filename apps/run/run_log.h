// Writes down how a training run goes: metrics.jsonl, report.html and, on demand, TensorBoard's event files.
#pragma once
#include <optional>
#include <vector>

#include "apps/run/model_folder.h"
#include "apps/run/tensorboard.h"
#include "apps/run/training_report.h"

namespace bertie {

class RunLog {
 public:
  // To be made when `folder` has begun. `kept`: the records of the run that is resumed after step
  // `first_step`, which stay. Event files go to `tensorboard` in the folder.
  RunLog(ModelFolder& folder, RunFacts facts, bool tensorboard, std::vector<Record> kept = {},
         int64_t first_step = 0);

  // Into all files; an evaluation makes a new report.
  void add(const Record& record);

 private:
  ModelFolder& folder_;
  RunFacts facts_;
  std::vector<Record> records_;
  std::optional<EventFile> events_;
  bool told_ = false;  // that events can't be written
};

}  // namespace bertie
