#include "bertie/models/model_exchange.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "bertie/autograd/error.h"
#include "bertie/data/files/atomic_file.h"

namespace bertie {
namespace {

namespace fs = std::filesystem;

constexpr const char* aside_prefix = "bertie-saving-";
constexpr size_t aside_random = 6;  // characters behind it
constexpr const char* saved = "bertie-saved";
// The first file to take its place: as long as it hasn't, nothing new is in the directory.
constexpr const char* weights = "model.safetensors";
constexpr const char* config = "config.json";

// What bertie writes, and what would be loaded in place of it or together with it.
constexpr const char* replaced_names[] = {config,
                                          weights,
                                          "vocab.txt",
                                          "tokenizer_config.json",
                                          "model.safetensors.index.json",
                                          "pytorch_model.bin",
                                          "pytorch_model.bin.index.json",
                                          "tokenizer.json",
                                          "added_tokens.json",
                                          "special_tokens_map.json"};
// What a training writes beside its record. These names aren't bertie's alone, so without the record they
// aren't touched.
constexpr const char* training_names[] = {"metrics.jsonl", "report.html"};
// What belongs to a model, too, and isn't touched.
constexpr const char* kept_names[] = {"tf_model.h5", "flax_model.msgpack", "modules.json",
                                      "sentence_bert_config.json", "config_sentence_transformers.json"};

template <size_t count>
bool is_one_of(const char* const (&names)[count], const std::string& name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

// "model-00001-of-00003.safetensors", five digits each, as transformers names shards.
bool is_shard(const std::string& name) {
  for (std::string pattern : {"model-#####-of-#####.safetensors", "pytorch_model-#####-of-#####.bin"}) {
    auto fits = [](char found, char wanted) {
      return wanted == '#' ? found >= '0' && found <= '9' : found == wanted;
    };
    if (std::equal(name.begin(), name.end(), pattern.begin(), pattern.end(), fits)) return true;
  }
  return false;
}

bool is_replaced(const std::string& name) {
  return name == training_record || is_one_of(replaced_names, name) || is_shard(name);
}

bool is_aside(const std::string& name) {
  return name.starts_with(aside_prefix) && name.size() == std::strlen(aside_prefix) + aside_random;
}

// The names in a folder that fulfil a condition, in order; none where it isn't there.
std::vector<std::string> names_in(const std::string& folder, bool (*condition)(const std::string&)) {
  std::vector<std::string> names;
  std::error_code error;
  fs::directory_iterator entries(folder, error), end;
  for (; !error && entries != end; entries.increment(error))
    if (std::string name = entries->path().filename().string(); condition(name)) names.push_back(name);
  BERTIE_CHECK(!error || error == std::errc::no_such_file_or_directory, "save",
               "can't list the folder {}: {}", folder, error.message());
  std::sort(names.begin(), names.end());
  return names;
}

void sync(const std::string& folder) {
  int error = sync_folder(folder);
  BERTIE_CHECK(error == 0, "save", "can't flush the folder {}: {}", folder,
               std::generic_category().message(error));
}

// The old model's files, config.json first, the training's record last.
std::vector<std::string> replaced_in(const std::string& directory) {
  std::vector<std::string> names = names_in(directory, is_replaced);
  auto place = [](const std::string& name) { return name == config ? 0 : name == training_record ? 2 : 1; };
  std::stable_sort(names.begin(), names.end(),
                   [&](const std::string& a, const std::string& b) { return place(a) < place(b); });
  if (!names.empty() && names.back() == training_record)
    for (const char* name : training_names)
      if (fs::exists(directory + "/" + name)) names.insert(names.end() - 1, name);
  return names;
}

void check_regular(const std::string& path) {
  fs::file_status status = fs::status(path);  // of what a link leads to
  BERTIE_CHECK(!fs::exists(status) || fs::is_regular_file(status), "save",
               "can replace only regular files, and {} is none", path);
}

bool any(const std::string&) { return true; }

// What take_places() has begun.
void complete(const std::string& directory) {
  std::string from = directory + "/" + saved;
  auto check = [&](const std::error_code& error, const std::string& name) {
    BERTIE_CHECK(
        !error, "save",
        "can't replace {}: {}. The new model's files that haven't their place yet are in {}; who may "
        "write here completes the model by loading it",
        directory + "/" + name, error.message(), from);
  };
  std::error_code error;
  if (fs::exists(from + "/" + weights)) {
    for (const std::string& name : replaced_in(directory)) {
      fs::remove(directory + "/" + name, error);
      check(error, name);
    }
    sync(directory);
  }
  std::vector<std::string> files = names_in(from, any);
  auto place = [](const std::string& name) { return name == weights ? 0 : name == config ? 2 : 1; };
  std::stable_sort(files.begin(), files.end(),
                   [&](const std::string& a, const std::string& b) { return place(a) < place(b); });
  for (const std::string& name : files) {
    if (name == config) sync(directory);
    fs::rename(from + "/" + name, directory + "/" + name, error);
    check(error, name);
  }
  sync(directory);
  fs::remove(from, error);
  check(error, saved);
}

}  // namespace

bool is_model_file(const std::string& name) {
  return is_replaced(name) || is_one_of(training_names, name) || is_one_of(kept_names, name);
}

std::vector<std::string> model_files_in(const std::string& directory) {
  return names_in(directory, is_model_file);
}

void finish_exchange(const std::string& directory) {
  std::string from = directory + "/" + saved;
  std::error_code ignored;
  if (fs::exists(from, ignored)) {
    // Held by who is completing it, if anybody is; then it is gone.
    if (auto lock = FolderLock::wait_and_lock(from)) complete(directory);
  }
  if (!fs::is_directory(directory, ignored) || ::access(directory.c_str(), R_OK | W_OK | X_OK) != 0) return;
  for (const std::string& name : names_in(directory, is_aside)) {
    std::string aside = directory + "/" + name;
    if (!fs::is_directory(aside, ignored)) continue;
    if (auto lock = FolderLock::try_lock(aside); lock && lock->holds()) fs::remove_all(aside, ignored);
  }
}

void check_replaceable(const std::string& directory) {
  struct stat folder {};
  bool sticky = ::stat(directory.c_str(), &folder) == 0 && (folder.st_mode & S_ISVTX) != 0;
  for (const std::string& name : names_in(directory, is_model_file)) {
    std::string path = directory + "/" + name;
    check_regular(path);
    // In such a folder, as /tmp is, the owners of file and folder alone may remove a file.
    struct stat file {};
    bool others = sticky && ::lstat(path.c_str(), &file) == 0 && file.st_uid != ::geteuid() &&
                  folder.st_uid != ::geteuid() && ::geteuid() != 0;
    BERTIE_CHECK(!others, "save", "can't replace {}, which is somebody else's in a shared folder", path);
  }
}

ModelExchange::ModelExchange(const std::string& directory) : directory_(directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  BERTIE_CHECK(!error, "save", "can't make the folder {}: {}", directory, error.message());
  finish_exchange(directory);
  check_replaceable(directory);
  do {  // until nobody took it for left behind before it was locked
    aside_ = directory + "/" + aside_prefix + std::string(aside_random, 'X');
    BERTIE_CHECK(::mkdtemp(aside_.data()) != nullptr, "save", "can't write into {}: {}", directory,
                 std::generic_category().message(errno));
    lock_ = FolderLock::wait_and_lock(aside_);
  } while (!lock_);
  fs::permissions(aside_, fs::status(directory).permissions(), error);  // who may write here may go on here
}

ModelExchange::~ModelExchange() {
  std::error_code ignored;
  if (!aside_.empty()) fs::remove_all(aside_, ignored);
}

void ModelExchange::take_places() {
  check_replaceable(directory_);
  for (const std::string& name : names_in(aside_, any)) check_regular(directory_ + "/" + name);
  sync(aside_);
  std::error_code error;
  fs::rename(aside_, directory_ + "/" + saved, error);
  BERTIE_CHECK(!error, "save", "can't rename {} to {}: {}", aside_, saved, error.message());
  aside_.clear();
  sync(directory_);
  complete(directory_);
}

}  // namespace bertie
