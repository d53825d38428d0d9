#include "bertie/nn/module.h"

#include <fmt/format.h>

namespace bertie {

Array Parameter::part(size_t i) const {
  int64_t rows = tensor.shape()[0] / static_cast<int64_t>(names.size());
  if (names.size() == 1) return tensor.array();
  return tensor.array().rows(static_cast<int64_t>(i) * rows, static_cast<int64_t>(i + 1) * rows);
}

Tensor Module::add_parameter(std::vector<std::string> names, Array value) {
  BERTIE_CHECK(!names.empty() &&
                   (names.size() == 1 || (value.shape().rank() > 0 && value.shape()[0] % names.size() == 0)),
               "module", "the first axis of {} can't be shared by {} names", value.shape(), names.size());
  Entry entry;
  entry.parameter = {std::move(names), Tensor::parameter(std::move(value))};
  entries_.push_back(entry);
  return entry.parameter.tensor;
}

void Module::add_module(std::string name, Module& child) {
  Entry entry;
  entry.name = std::move(name);
  entry.child = &child;
  entries_.push_back(std::move(entry));
}

void Module::collect(const std::string& prefix, std::vector<Parameter>& parameters) const {
  for (const Entry& entry : entries_) {
    if (entry.child) {
      entry.child->collect(prefix + entry.name + ".", parameters);
      continue;
    }
    Parameter parameter = entry.parameter;
    for (std::string& name : parameter.names) name = prefix + name;
    parameters.push_back(std::move(parameter));
  }
}

std::vector<Parameter> Module::parameters() const {
  std::vector<Parameter> parameters;
  collect("", parameters);
  return parameters;
}

void Module::train(bool on) {
  training_ = on;
  for (Entry& entry : entries_)
    if (entry.child) entry.child->train(on);
}

std::string Module::summary() const {
  std::string text;
  int64_t total = 0;
  for (const Parameter& parameter : parameters()) {
    for (size_t i = 0; i < parameter.names.size(); ++i) {
      Array part = parameter.part(i);
      text += fmt::format("{:<64} {:<16} {:>12}\n", parameter.names[i], part.shape().str(), part.size());
      total += part.size();
    }
  }
  return text + fmt::format("{:<64} {:<16} {:>12}\n", "total", "", total);
}

}  // namespace bertie
