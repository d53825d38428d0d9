#include "apps/run/model_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "bertie/autograd/error.h"
#include "bertie/data/files/atomic_file.h"
#include "bertie/models/model_exchange.h"
#include "bertie/nn/checkpoint.h"

namespace bertie {
namespace {

namespace fs = std::filesystem;

constexpr int64_t other_files_bytes = 4 << 20;  // vocabulary, settings, metrics, report: more than they take

// "unfinished", "unfinished-2", …
std::string unfinished(int number) {
  return number == 1 ? "unfinished" : fmt::format("unfinished-{}", number);
}

bool is_unfinished(const std::string& name) {
  std::string first = unfinished(1);
  return name == first || (name.starts_with(first + "-") && name.size() > first.size() + 1 &&
                           name.find_first_not_of("0123456789", first.size() + 1) == std::string::npos);
}

// An empty object where there is none, or it can't be read.
nlohmann::json training_record_in(const std::string& folder) {
  std::ifstream file(folder + "/" + training_record);
  nlohmann::json record = nlohmann::json::parse(file, nullptr, false);
  return record.is_object() ? record : nlohmann::json::object();
}

// Of the training record in a folder; below 0: there is none.
int64_t steps_of(const std::string& folder) {
  nlohmann::json record = training_record_in(folder);
  bool there = record.contains("steps") && record["steps"].is_number_integer();
  return there ? record["steps"].get<int64_t>() : -1;
}

// ", step 12 of 1000" of a run that didn't reach its end, and nothing of another one.
std::string progress_of(const std::string& folder) {
  nlohmann::json record = training_record_in(folder);
  if (record.value("finished", nlohmann::json()) != false) return "";
  return fmt::format(", step {} of {}", record["steps"].dump(), record["planned_steps"].dump());
}

void append_to_file(const std::string& path, std::string_view text) {
  int file = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  int error = file < 0 ? errno : 0;
  while (error == 0 && !text.empty()) {
    ssize_t written = ::write(file, text.data(), text.size());
    if (written >= 0)
      text.remove_prefix(static_cast<size_t>(written));
    else if (errno != EINTR)
      error = errno;
  }
  if (file >= 0 && ::close(file) != 0 && error == 0) error = errno;
  BERTIE_CHECK(error == 0, "write", "can't write '{}': {}", path, std::generic_category().message(error));
}

bool reached_its_end(const ModelFolder::Run& run) { return run.steps >= run.planned_steps && !run.failed; }

}  // namespace

bool is_finished(const std::string& folder) {
  return training_record_in(folder).value("finished", nlohmann::json()) == true;
}

std::optional<std::string> finished_settings(const std::string& folder) {
  if (!is_finished(folder)) return {};
  return training_record_in(folder).value("settings", nlohmann::json::object()).dump();
}

bool ends_with_evaluation(const std::string& folder) {
  try {
    std::vector<Record> records = read_metrics(folder + "/metrics.jsonl");
    return !records.empty() && records.back().at("kind") == "evaluation";
  } catch (const Error&) {
    return false;
  }
}

ModelFolder::ModelFolder(std::string path, bool overwrite, bool resume)
    : path_(std::move(path)), overwrite_(overwrite || resume), resume_(resume) {
  std::error_code error;
  made_ = fs::create_directories(path_, error);
  BERTIE_CHECK(!error, "output", "can't make the folder {}: {}", path_, error.message());
  lock_ = FolderLock::try_lock(path_);
  BERTIE_CHECK(lock_.has_value(), "output", "another program is writing a model to {} now", path_);
  for (const char* name : {unfinished_metrics, unfinished_report})
    AtomicFile probe(path_ + "/" + name);  // without commit(): finds out whether it can be written
  finish_exchange(path_);
  std::vector<std::string> there = model_files_in(path_);
  if (!there.empty() && !overwrite_) {
    size_t count = there.size();
    there.resize(std::min<size_t>(count, 5));
    fail("output", "a model's files are in {} already ({}{}{}); {}--overwrite replaces them", path_,
         fmt::join(there, ", "), count > there.size() ? ", …" : "", progress_of(path_),
         Checkpoints::any_in(path_ + "/" + checkpoint_folder) ? "--resume continues their run, " : "");
  }
  for (const std::string& name : there)
    BERTIE_CHECK(name != "modules.json", "output",
                 "{} holds a model of sentence-transformers, whose other parts wouldn't fit a new one: name "
                 "another folder",
                 path_);
  check_replaceable(path_);
  if (!resume_ && fs::exists(path_ + "/" + unfinished_metrics))
    message("Note: {}/{} is what a killed run left; this run's take its place", path_, unfinished_metrics);
  for (const fs::directory_entry& entry : fs::directory_iterator(path_)) {
    std::string place = path_ + "/" + entry.path().filename().string();
    if (!is_unfinished(entry.path().filename().string()) || !entry.is_directory()) continue;
    finish_exchange(place);
    if (!fs::is_empty(place))
      message("Note: {} is what an earlier run left{}; it stays until you remove it", place,
              progress_of(place));
    else
      fs::remove(place, error);
  }
}

ModelFolder::~ModelFolder() {
  release();
  std::error_code ignored;
  if (saved_in_.empty() && !keep_metrics_) remove_unfinished();
  if (made_) fs::remove(path_, ignored);  // an empty folder only
}

void ModelFolder::release() {
  if (reserved_ >= 0) ::close(reserved_);
  reserved_ = -1;
}

void ModelFolder::reserve(int64_t weight_bytes) {
  int64_t bytes = weight_bytes + other_files_bytes;
  std::error_code error;
  auto free = static_cast<int64_t>(fs::space(path_, error).available);
  BERTIE_CHECK(error || free >= bytes, "output", "{} has room for {} bytes, the model needs {}", path_, free,
               bytes);
  reserved_ = ::open(path_.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
  if (reserved_ < 0) return;
  int result = ::fallocate(reserved_, 0, 0, bytes);
  BERTIE_CHECK(result == 0 || errno == EOPNOTSUPP || errno == EINTR, "output",
               "{} has no room for the model, which needs {} bytes: {}", path_, bytes,
               std::generic_category().message(errno));
}

std::vector<Record> ModelFolder::metrics_before(int64_t steps) const {
  std::string path = path_ + "/" + unfinished_metrics;
  for (int i = 0; !fs::exists(path); ++i) {
    std::string place = i == 0 ? path_ : path_ + "/" + unfinished(i);
    if (i > 0 && !fs::exists(place)) {  // of a later step, whose checkpoint was damaged
      path = path_ + "/metrics.jsonl";
      break;
    }
    if (steps_of(place) == steps) path = place + "/metrics.jsonl";
  }
  try {
    return up_to_step(read_metrics(path), steps);
  } catch (const Error& error) {
    message("Note: the metrics of the run so far are lost: {}", error.what());
    return {};
  }
}

void ModelFolder::begin(const std::string& settings) {
  BERTIE_CHECK(nlohmann::json::accept(settings), "output", "settings must be JSON, got '{}'", settings);
  settings_ = settings;
  finish_.emplace("the step is finished, then what is trained is saved");
  add_metrics("");
  if (!report_.empty()) write_report(report_);
}

std::string ModelFolder::place_of(const char* unfinished, const char* saved) const {
  return saved_in_.empty() ? path_ + "/" + unfinished : saved_in_ + "/" + saved;
}

void ModelFolder::try_writing(const std::function<void()>& write) {
  if (!finish_ && saved_in_.empty()) return;  // a signal would leave it behind
  try {
    write();
    told_ = false;
  } catch (const Error& error) {
    if (!std::exchange(told_, true)) message("Note: {}", error.what());
  }
}

void ModelFolder::add_metrics(const std::string& line) {
  metrics_ += line;
  if (metrics_.empty()) return;
  try_writing([&] {
    std::string path = place_of(unfinished_metrics, "metrics.jsonl");
    // What is cut short by a full disk or a signal, or is of a finished model, is written anew.
    bool append = std::exchange(appendable_, false) && saved_in_.empty();
    append ? append_to_file(path, line) : write_file_atomically(path, metrics_);
    appendable_ = true;
  });
}

void ModelFolder::sync_metrics() const {
  int file = ::open(place_of(unfinished_metrics, "metrics.jsonl").c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return;  // told where it was written
  ::fdatasync(file);
  ::close(file);
}

void ModelFolder::write_report(std::string html) {
  report_ = std::move(html);
  try_writing([&] { write_file_atomically(place_of(unfinished_report, "report.html"), report_); });
}

void ModelFolder::remove_unfinished() const {
  std::error_code ignored;
  if (!report_.empty()) fs::remove(path_ + "/" + unfinished_report, ignored);  // first: metrics are explained
  if (!metrics_.empty()) fs::remove(path_ + "/" + unfinished_metrics, ignored);
}

std::string ModelFolder::place_for(const Run& run) const {
  bool occupied = !model_files_in(path_).empty();
  if (reached_its_end(run) ? overwrite_ || !occupied : !occupied && !run.failed) return path_;
  for (int i = 1;; ++i) {
    std::string place = path_ + "/" + unfinished(i);
    if (!fs::exists(fs::symlink_status(place))) return place;
  }
}

std::vector<NamedText> ModelFolder::further_files(const Run& run) const {
  nlohmann::ordered_json record{{"steps", run.steps},
                                {"planned_steps", run.planned_steps},
                                {"finished", reached_its_end(run)},
                                {"settings", nlohmann::ordered_json::parse(settings_)}};
  std::vector<NamedText> files{{training_record, record.dump() + "\n"}};
  if (!metrics_.empty()) files.push_back({"metrics.jsonl", metrics_});
  if (!report_.empty()) files.push_back({"report.html", report_});
  return files;
}

std::string ModelFolder::save(const Run& run, const std::function<void(const std::string& place)>& write) {
  std::string place = place_for(run);
  release();
  try {
    write(place);
  } catch (const std::exception& error) {
    keep_metrics_ = true;
    std::error_code ignored;
    if (place != path_) fs::remove(place, ignored);  // an empty folder only
    std::string rest;
    if (!metrics_.empty()) rest += fmt::format(". Its metrics are in {}/{}", path_, unfinished_metrics);
    if (!model_files_in(path_).empty()) rest += fmt::format(". The model in {} is as it was", path_);
    fail("output", "what {} steps trained can't be saved: {}{}", run.steps, error.what(), rest);
  }
  saved_in_ = place;
  remove_unfinished();
  if (place != path_ || !reached_its_end(run))
    message(
        "The training ended at step {} of {}. What is trained is in {}, a model directory like any other{}",
        run.steps, run.planned_steps, place,
        place == path_ || model_files_in(path_).empty()
            ? ""
            : fmt::format("; the model in {} is as it was", path_));
  finish_.reset();
  return place;
}

}  // namespace bertie
