#include "apps/run/run_log.h"

#include <chrono>
#include <utility>

namespace bertie {
namespace {

double seconds_since_1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

RunLog::RunLog(ModelFolder& folder, RunFacts facts, bool tensorboard, std::vector<Record> kept,
               int64_t first_step)
    : folder_(folder), facts_(std::move(facts)), records_(std::move(kept)) {
  std::string lines;
  for (const Record& record : records_) lines += record.dump() + "\n";
  folder_.add_metrics(lines);
  if (tensorboard) events_.emplace(folder.path() + "/tensorboard", first_step, seconds_since_1970());
}

void RunLog::add(const Record& record) {
  records_.push_back(record);
  folder_.add_metrics(record.dump() + "\n");
  if (record.at("kind") == "evaluation") folder_.write_report(training_report_html(records_, facts_));
  if (!events_) return;
  try {
    events_->add(record, seconds_since_1970());
    told_ = false;
  } catch (const Error& error) {
    if (!std::exchange(told_, true)) message("Note: {}", error.what());
  }
}

}  // namespace bertie
