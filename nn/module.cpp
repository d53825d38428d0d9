#include "bertie/nn/module.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

namespace bertie {

Array Parameter::part(size_t i) const {
  BERTIE_CHECK(tensor, "module", "{} has given its value up for a packed one, of which nothing can be saved",
               names[i]);
  int64_t rows = tensor.shape()[0] / static_cast<int64_t>(names.size());
  if (names.size() == 1) return tensor.array();
  return tensor.array().rows(static_cast<int64_t>(i) * rows, static_cast<int64_t>(i + 1) * rows);
}

// Whoever goes first leaves the other, so that neither refers to what is no more.
Module::~Module() {
  if (parent_) std::erase_if(parent_->entries_, [this](const Entry& entry) { return entry.child == this; });
  for (Entry& entry : entries_)
    if (entry.child) entry.child->parent_ = nullptr;
}

void Module::check_new(const std::string& name) const {
  for (const Entry& entry : entries_) {
    const std::vector<std::string>& names = entry.parameter.names;
    bool taken =
        entry.child ? entry.child->name_ == name : std::find(names.begin(), names.end(), name) != names.end();
    BERTIE_CHECK(!taken, "module", "there is a {} '{}' already", entry.child ? "child" : "parameter", name);
  }
}

Tensor Module::add_parameter(std::vector<std::string> names, Array value) {
  BERTIE_CHECK(!names.empty() &&
                   (names.size() == 1 || (value.shape().rank() > 0 && value.shape()[0] % names.size() == 0)),
               "module", "the first axis of {} can't be shared by {} names", value.shape(), names.size());
  for (const std::string& name : names) {
    BERTIE_CHECK(!name.empty(), "module", "a parameter needs a name");
    check_new(name);
  }
  Tensor tensor = Tensor::parameter(std::move(value), fmt::format("{}", fmt::join(names, " + ")));
  entries_.push_back({{std::move(names), tensor}});
  return tensor;
}

void Module::add_module(std::string name, Module& child) {
  BERTIE_CHECK(!name.empty(), "module", "a child needs a name");
  check_new(name);
  BERTIE_CHECK(!child.parent_, "module", "the child '{}' was added before, as '{}'", name, child.path());
  for (const Module* ancestor = this; ancestor; ancestor = ancestor->parent_)
    BERTIE_CHECK(ancestor != &child, "module", "the child '{}' can't hold its own parent", name);
  child.parent_ = this;
  child.name_ = std::move(name);
  entries_.push_back({{}, &child});
}

void Module::collect(const std::string& prefix, std::vector<Parameter>& parameters,
                     std::vector<const Module*>& modules) const {
  modules.push_back(this);
  for (const Entry& entry : entries_) {
    if (entry.child) {
      entry.child->collect(prefix + entry.child->name_ + ".", parameters, modules);
      continue;
    }
    Parameter parameter = entry.parameter;
    for (std::string& name : parameter.names) name = prefix + name;
    parameters.push_back(std::move(parameter));
  }
}

std::vector<Parameter> Module::parameters() const {
  std::vector<Parameter> parameters;
  std::vector<const Module*> modules;
  collect("", parameters, modules);
  // Only dots within names can bring a name twice: "a.b" + "c" and "a" + "b.c".
  std::set<std::string> names;
  for (const Parameter& parameter : parameters)
    for (const std::string& name : parameter.names)
      BERTIE_CHECK(names.insert(name).second, "module", "two parameters are called '{}'", name);
  std::map<uint64_t, std::string> sites;
  for (const Module* module : modules) {
    if (modules.size() == 1) break;  // alone: it has no place
    auto [other, is_new] = sites.emplace(module->site(), module->path());
    BERTIE_CHECK(is_new, "module", "the modules '{}' and '{}' would drop the same elements: rename one",
                 other->second, module->path());
  }
  return parameters;
}

std::string Module::path() const {
  if (!parent_) return "";
  std::string above = parent_->path();
  return above.empty() ? name_ : above + "." + name_;
}

uint64_t Module::site() const {
  BERTIE_CHECK(parent_ || std::any_of(entries_.begin(), entries_.end(),
                                      [](const Entry& entry) { return entry.child != nullptr; }),
               "module", "dropout depends on the module's place in its model: add_module() it to its parent");
  uint64_t hash = 0xcbf29ce484222325;
  for (char c : path()) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

void Module::freeze() {
  for (Parameter& parameter : parameters()) parameter.tensor.freeze();
}

void Module::train(bool on) {
  training_ = on;
  for (Entry& entry : entries_)
    if (entry.child) entry.child->train(on);
}

void Module::set_precision(Precision precision) {
  adopt(precision);
  precision_ = precision;
  for (Entry& entry : entries_)
    if (entry.child) entry.child->set_precision(precision);
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
