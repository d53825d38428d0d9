#include "bertie/nn/checkpoint.h"

#include <zlib.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "bertie/autograd/threads.h"
#include "bertie/data/files/atomic_file.h"
#include "bertie/data/files/json_object.h"

namespace bertie {
namespace {

namespace fs = std::filesystem;

constexpr const char* prefix = "step-";
constexpr const char* suffix = ".safetensors";
constexpr const char* weights_name = "weights";
constexpr const char* format_name = "bertie checkpoint 1";
constexpr const char* configuration_key = "configuration";
constexpr const char* score_key = "score";
constexpr const char* checksum_key = "crc32";
using Metadata = std::map<std::string, std::string>;

// The number in step-000000123.safetensors, also where more follows the name, as it does with a temporary.
std::optional<int64_t> steps_of(std::string_view name, bool more_follows = false) {
  if (!name.starts_with(prefix)) return {};
  name.remove_prefix(std::string_view(prefix).size());
  int64_t steps = 0;
  auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), steps);
  if (error != std::errc() || steps < 0) return {};
  name.remove_prefix(static_cast<size_t>(end - name.data()));
  if (more_follows ? name.starts_with(suffix) : name == suffix) return steps;
  return {};
}

std::string name_of(int64_t steps) { return fmt::format("{}{:09}{}", prefix, steps, suffix); }

// Falling.
std::vector<int64_t> steps_in(const std::string& folder) {
  std::vector<int64_t> steps;
  std::error_code none;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, none)) {
    std::string name = entry.path().filename().string();
    if (std::optional<int64_t> found = steps_of(name); found && name == name_of(*found))
      steps.push_back(*found);
  }
  std::sort(steps.rbegin(), steps.rend());
  return steps;
}

// CRC-32 in pieces, so that all threads work at it.
uLong crc_of(uLong crc, const Array& array) {
  constexpr int64_t piece = 1 << 22;
  const auto* bytes = static_cast<const Bytef*>(array.bytes_begin());
  std::vector<uLong> crcs(static_cast<size_t>((array.bytes() + piece - 1) / piece));
  parallel_ranges(array.bytes(), piece, [&](int64_t begin, int64_t end) {
    crcs[static_cast<size_t>(begin / piece)] = crc32_z(0, bytes + begin, static_cast<size_t>(end - begin));
  });
  for (size_t i = 0; i < crcs.size(); ++i) {
    int64_t begin = static_cast<int64_t>(i) * piece;
    crc = crc32_combine(crc, crcs[i], std::min(piece, array.bytes() - begin));
  }
  return crc;
}

// Over all that the file says: names, texts and data.
std::string checksum(const std::vector<NamedArray>& tensors, const Metadata& metadata) {
  uLong crc = 0;
  auto add = [&](const std::string& text) {  // with the zero at its end, which tells where that is
    crc = crc32_z(crc, reinterpret_cast<const Bytef*>(text.c_str()), text.size() + 1);
  };
  for (const auto& [key, value] : metadata) {
    if (key == checksum_key) continue;
    add(key);
    add(value);
  }
  for (const NamedArray& tensor : tensors) {
    add(tensor.name);
    crc = crc_of(crc, tensor.array);
  }
  return fmt::format("{:08x}", crc);
}

template <class Number>
Number number(const Safetensors& file, const std::string& text) {
  Number value{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  BERTIE_CHECK(error == std::errc() && end == text.data() + text.size(), "checkpoint",
               "{}: must be a number: '{}'", file.path, text);
  return value;
}

}  // namespace

Listing configuration_differences(const std::string& there, const std::string& here) {
  Listing list("\n  ");
  if (there == here) return list;
  nlohmann::json a, b;
  try {
    a = parse_json_object("checkpoint", "the configuration", there);
    b = parse_json_object("checkpoint", "the configuration", here);
  } catch (const Error&) {
    list.add(fmt::format("{} there, {} here", shown(there), shown(here)));
    return list;
  }
  auto text = [](const nlohmann::json& object, const std::string& key) {
    return object.contains(key) ? shown(object[key].dump()) : "not set";
  };
  nlohmann::json all = a;
  all.update(b);
  for (const auto& [key, ignored] : all.items())
    if (text(a, key) != text(b, key))
      list.add(fmt::format("{}: {} there, {} here", shown(key), text(a, key), text(b, key)));
  return list;
}

Checkpoint read_checkpoint(const std::string& path) {
  Checkpoint checkpoint;
  checkpoint.file = read_safetensors(path);
  const Safetensors& file = checkpoint.file;
  auto text = [&](const char* key) {
    auto found = file.metadata.find(key);
    BERTIE_CHECK(found != file.metadata.end(), "checkpoint", "{}: must have '{}' in its metadata", path, key);
    return found->second;
  };
  BERTIE_CHECK(text("format") == format_name, "checkpoint", "{}: must be a '{}', its format is '{}'", path,
               format_name, text("format"));
  std::string sum = checksum(file.tensors, file.metadata);
  BERTIE_CHECK(sum == text(checksum_key), "checkpoint",
               "{} is damaged: its contents have the checksum {}, it should be {}", path, sum,
               text(checksum_key));
  checkpoint.position = {number<int64_t>(file, text("steps")), number<double>(file, text("seconds"))};
  checkpoint.optimizer_steps = number<int64_t>(file, text("optimizer_steps"));
  checkpoint.configuration = text(configuration_key);
  checkpoint.objective_state = text("objective_state");
  if (file.metadata.contains(score_key)) checkpoint.score = number<double>(file, text(score_key));
  BERTIE_CHECK(checkpoint.position.steps >= 0 && checkpoint.position.seconds >= 0 &&
                   std::isfinite(checkpoint.position.seconds) && checkpoint.optimizer_steps >= 0,
               "checkpoint", "{}: its steps and seconds can't be negative", path);
  return checkpoint;
}

TrainingPosition share_state(Processes& processes, ParameterBlock& parameters, Optimizer& optimizer,
                             Objective& objective, const TrainingPosition& position) {
  if (processes.count() == 1) return position;
  std::string state = processes.of_first(objective.state());
  if (!processes.is_first()) objective.restore(state);
  optimizer.continue_from(processes.of_first(optimizer.steps_done()));
  std::vector<NamedArray> arrays = optimizer.state();
  arrays.push_back({weights_name, parameters.values()});
  for (NamedArray& array : arrays)
    processes.copy_from_first(
        {static_cast<std::byte*>(array.array.mutable_bytes()), static_cast<size_t>(array.array.bytes())});
  return processes.of_first(position);
}

Checkpoints::Checkpoints(CheckpointOptions options) : options_(std::move(options)) {
  BERTIE_CHECK(options_.every_steps >= 0 && options_.every_seconds >= 0, "checkpoints",
               "can't be due every {} steps or {} seconds", options_.every_steps, options_.every_seconds);
}

std::string Checkpoints::path_of(int64_t steps) const { return options_.folder + "/" + name_of(steps); }

bool Checkpoints::any_in(const std::string& folder) { return !steps_in(folder).empty(); }

std::optional<std::string> Checkpoints::newest_configuration(const std::string& folder) {
  for (int64_t steps : steps_in(folder)) {
    try {
      Safetensors file = read_safetensors(folder + "/" + name_of(steps));
      if (auto found = file.metadata.find(configuration_key); found != file.metadata.end())
        return found->second;
    } catch (const Error&) {
      continue;  // latest() tells
    }
  }
  return {};
}

std::vector<int64_t> Checkpoints::steps_there() const { return steps_in(options_.folder); }

std::optional<Checkpoint> Checkpoints::latest() const {
  std::error_code error;  // a run that can't see its checkpoints must not begin anew
  fs::directory_iterator folder(options_.folder, error);
  BERTIE_CHECK(!error || error == std::errc::no_such_file_or_directory, "checkpoints",
               "can't read the folder {}: {}", options_.folder, error.message());
  for (int64_t steps : steps_there()) {
    try {
      return read_checkpoint(path_of(steps));
    } catch (const Error& error) {
      options_.tell(fmt::format("a checkpoint can't be used: {}", error.what()));
    }
  }
  return {};
}

TrainingPosition Checkpoints::restore(const Checkpoint& checkpoint, ParameterBlock& parameters,
                                      Optimizer& optimizer, Objective& objective) {
  const std::string& path = checkpoint.file.path;
  Listing different = configuration_differences(checkpoint.configuration, options_.configuration);
  BERTIE_CHECK(different.empty(), "checkpoint", "{} is of a run with other settings:{}", path, different);
  std::vector<NamedArray> state = optimizer.state();
  state.push_back({weights_name, parameters.values()});
  BERTIE_CHECK(state.size() == checkpoint.file.tensors.size(), "checkpoint",
               "{} has {} arrays, the model and its optimizer have {}", path, checkpoint.file.tensors.size(),
               state.size());
  for (const NamedArray& wanted : state) {
    const Array* found = checkpoint.file.find(wanted.name);
    BERTIE_CHECK(
        found && found->shape() == wanted.array.shape() && found->dtype() == wanted.array.dtype(),
        "checkpoint", "{}: '{}' must be {} {}, but {}", path, wanted.name, bertie::name(wanted.array.dtype()),
        wanted.array.shape(),
        found ? fmt::format("is {} {}", bertie::name(found->dtype()), found->shape()) : "isn't there");
  }
  objective.restore(checkpoint.objective_state);
  for (NamedArray& wanted : state) wanted.array.copy_from(*checkpoint.file.find(wanted.name));
  optimizer.continue_from(checkpoint.optimizer_steps);
  saved_ = checkpoint.position.steps;
  last_try_ = checkpoint.position.seconds;
  for (int64_t steps : steps_there()) {
    if (steps > *saved_) continue;
    try {  // the header alone: what the best one is worth is known when somebody reads it
      Safetensors earlier = read_safetensors(path_of(steps));
      auto found = earlier.metadata.find(score_key);
      if (found == earlier.metadata.end()) continue;
      if (auto score = number<double>(earlier, found->second); !best_ || score < best_->score)
        best_ = {score, steps};
    } catch (const Error&) {
      continue;  // damaged
    }
  }
  return checkpoint.position;
}

void Checkpoints::remove_all() {
  for (int64_t steps : steps_there()) fs::remove(path_of(steps));
  saved_.reset();
  best_.reset();
}

bool Checkpoints::scored(double score) {
  bool best = std::isfinite(score) && (!best_ || score < best_->score);
  if (best) score_ = score;
  return best;
}

bool Checkpoints::due(const TrainingPosition& position) const {
  return score_ || (options_.every_steps > 0 && position.steps % options_.every_steps == 0) ||
         (options_.every_seconds > 0 && position.seconds - last_try_ >= options_.every_seconds);
}

void Checkpoints::save(const ParameterBlock& parameters, const Optimizer& optimizer,
                       const Objective& objective, const TrainingPosition& position) {
  std::optional<double> score = std::exchange(score_, std::nullopt);
  last_try_ = position.seconds;
  try {
    options_.before_save();
    if (fs::create_directories(options_.folder))
      sync_folder(fs::path(options_.folder).parent_path().string());  // its name
    std::vector<NamedArray> tensors = optimizer.state();
    tensors.insert(tensors.begin(), {weights_name, parameters.values()});
    Metadata metadata{{"format", format_name},
                      {"steps", fmt::format("{}", position.steps)},
                      {"seconds", fmt::format("{}", position.seconds)},
                      {"optimizer_steps", fmt::format("{}", optimizer.steps_done())},
                      {configuration_key, options_.configuration},
                      {"objective_state", objective.state()}};
    if (score) metadata[score_key] = fmt::format("{}", *score);
    metadata[checksum_key] = checksum(tensors, metadata);
    write_safetensors(path_of(position.steps), tensors, metadata);
  } catch (const std::exception& error) {
    std::string stays = saved_ ? fmt::format(", that of step {} stays the newest", *saved_) : "";
    options_.tell(fmt::format("step {} can't be saved{}: {}", position.steps, stays, error.what()));
    return;
  }
  saved_ = position.steps;
  if (score) best_ = {*score, position.steps};
  remove_others(position.steps);
}

void Checkpoints::remove_others(int64_t newest) const {
  std::error_code ignored;
  int recent = 0;
  for (int64_t steps : steps_there()) {
    bool is_recent = steps <= newest && recent++ < 2;
    if (!is_recent && !(best_ && steps == best_->steps)) fs::remove(path_of(steps), ignored);
  }
  for (const fs::directory_entry& entry : fs::directory_iterator(options_.folder, ignored))
    if (auto steps = steps_of(entry.path().filename().string(), true)) remove_left_behind(path_of(*steps));
}

std::optional<int64_t> Checkpoints::best_steps() const {
  if (!best_) return {};
  return best_->steps;
}

std::optional<std::string> Checkpoints::best() const {
  if (!best_) return {};
  return path_of(best_->steps);
}

}  // namespace bertie
