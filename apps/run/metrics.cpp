#include "apps/run/metrics.h"

#include <algorithm>
#include <cmath>

#include "bertie/autograd/error.h"
#include "bertie/data/files/mapped_file.h"

namespace bertie {
namespace {

constexpr size_t fixed_values = 3;  // tokens, flops, gradient norm; then a sum and a count for each metric

// The last of these, or null.
const Record* last_training(const std::vector<Record>& records) {
  auto found = std::find_if(records.rbegin(), records.rend(),
                            [](const Record& record) { return record.at("kind") == "training"; });
  return found == records.rend() ? nullptr : &*found;
}

double number(const Record& record, const char* key) {
  auto found = record.find(key);
  return found != record.end() && found->is_number() ? found->get<double>() : 0;
}

// "9.8e-4"
std::string short_exponent(double value) {
  std::string text = fmt::format("{:.1e}", value);
  size_t digits = text.find_first_of("+-", 1);
  if (digits == std::string::npos) return text;  // inf, nan
  return text.substr(0, digits) + (text[digits] == '-' ? "-" : "") +
         std::to_string(std::abs(std::stoi(text.substr(digits))));
}

// "987", "12.3k", "1.23M"
std::string short_count(double value) {
  if (!(value < 1e6)) return fmt::format("{:.2f}M", value / 1e6);
  return value < 1e4 ? fmt::format("{:.0f}", value) : fmt::format("{:.1f}k", value / 1e3);
}

}  // namespace

std::vector<Record> read_metrics(const std::string& path) {
  std::string text = read_file(path);
  std::vector<Record> records;
  int64_t line = 1;
  for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1, ++line) {
    Record record = Record::parse(text.begin() + static_cast<int64_t>(begin),
                                  text.begin() + static_cast<int64_t>(end), nullptr, false);
    bool good = record.is_object() && record.contains("kind") && record["kind"].is_string() &&
                record.contains("step") && record["step"].is_number_integer();
    BERTIE_CHECK(good, "metrics",
                 "every line must be a JSON object with \"kind\" and \"step\": {}, line {}, is none", path,
                 line);
    records.push_back(std::move(record));
  }
  return records;
}

std::vector<Record> up_to_step(const std::vector<Record>& records, int64_t step) {
  std::vector<Record> kept;
  std::copy_if(records.begin(), records.end(), std::back_inserter(kept),
               [&](const Record& record) { return record.at("step") <= step; });
  return kept;
}

bool is_record_due(int64_t done, int64_t steps) {
  int64_t every = std::max<int64_t>(1, (steps + most_records - 1) / most_records);
  return done % every == 0;
}

TrainingMeter::TrainingMeter(double sgemm_gflops, const std::vector<Record>& kept)
    : sgemm_gflops_(sgemm_gflops) {
  if (const Record* last = last_training(kept)) {
    tokens_before_ = number(*last, "tokens");
    seconds_before_ = number(*last, "seconds");
  }
}

void TrainingMeter::add(double now, const MeteredStep& step) {
  std::vector<double> values{step.tokens, step.flops, step.gradient_norm};
  for (const Metric& metric : step.metrics) values.insert(values.end(), {metric.sum, metric.count});
  recent_.add(now, values);
  sums_.resize(values.size());
  for (size_t i = 0; i < values.size(); ++i) sums_[i] += values[i];
  tokens_ += step.tokens;
  now_ = now;
  last_ = step;
  ++steps_;
}

Record TrainingMeter::record() {
  BERTIE_CHECK(steps_ > 0, "metrics", "a training record is of at least one step");
  double seconds = now_ - recorded_at_;
  Record record{{"kind", "training"},
                {"step", last_.done},
                {"tokens", static_cast<int64_t>(tokens_before_ + tokens_)},
                {"seconds", seconds_before_ + now_}};
  for (size_t m = 0; m < last_.metrics.size(); ++m)
    record[last_.metrics[m].name] = sums_[fixed_values + 2 * m] / sums_[fixed_values + 2 * m + 1];
  record["learning_rate"] = last_.learning_rate;
  record["gradient_norm"] = sums_[2] / static_cast<double>(steps_);
  record["tokens_per_second"] = sums_[0] / seconds;
  record["share_of_sgemm"] = share_of_sgemm(sums_[1], seconds);
  sums_.clear();
  steps_ = 0;
  recorded_at_ = now_;
  return record;
}

std::vector<ProgressPart> TrainingMeter::progress() const {
  std::vector<double> sums = recent_.sums();
  if (sums.empty()) return {};
  double steps = recent_.count(), seconds = recent_.seconds();
  auto mean = [&](const std::string& name) -> std::optional<double> {
    for (size_t m = 0; m < last_.metrics.size(); ++m)
      if (last_.metrics[m].name == name) return sums[fixed_values + 2 * m] / sums[fixed_values + 2 * m + 1];
    return {};
  };
  std::vector<ProgressPart> parts;
  auto show_loss = [&](const std::string& label, double loss, std::optional<double> accuracy) {
    ProgressPart part{fmt::format("{} {:.3f}", label, loss), ""};
    part.brief = part.full;
    if (accuracy) {
      part.full += fmt::format("  accuracy {:.3f}", *accuracy);
      part.brief += fmt::format(" {:.0f}%", 100 * *accuracy);
    }
    parts.push_back(part);
  };
  const std::string ending = "_loss";
  for (const Metric& metric : last_.metrics) {
    if (!metric.name.ends_with(ending)) continue;
    std::string name = metric.name.substr(0, metric.name.size() - ending.size());
    std::optional<double> accuracy = mean(name + "_accuracy");
    if (!accuracy && parts.empty()) accuracy = mean("accuracy");  // the main part's
    show_loss(name, *mean(metric.name), accuracy);
  }
  if (parts.empty()) show_loss("loss", mean("loss").value_or(NAN), mean("accuracy"));
  double speed = sums[0] / seconds, share = 100 * share_of_sgemm(sums[1], seconds);
  parts.push_back({fmt::format("{:.0f} tokens/s, {:.0f} % of sgemm", speed, share),
                   fmt::format("{} tok/s {:.0f}%", short_count(speed), share)});
  std::string rate = short_exponent(last_.learning_rate);
  parts.push_back({"learning rate " + rate, "lr " + rate});
  double norm = sums[2] / steps;
  parts.push_back({fmt::format("gradient norm {:.2f}", norm), fmt::format("|g| {:.2f}", norm)});
  return parts;
}

}  // namespace bertie
