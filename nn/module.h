// Module: named parameters and child modules, in order.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "bertie/autograd/tensor.h"
#include "bertie/ops/packing.h"

namespace bertie {

// A parameter and its name in files. One with several names is several tensors of a file that lie next to
// each other here, equal parts of the first axis: query, key and value are one [3H, H] parameter.
struct Parameter {
  std::vector<std::string> names;
  Tensor tensor;

  // The part of the value that belongs to names[i].
  Array part(size_t i) const;
};

// What one forward pass knows beyond its input: where sequences begin, and what dropout draws from.
struct Pass {
  Packing packing;
  uint64_t seed = 0;
  uint64_t step = 0;
};

class Module {
 public:
  Module() = default;
  virtual ~Module() = default;
  Module(const Module&) = delete;  // children are referred to by address
  Module& operator=(const Module&) = delete;

  // In the order in which they were added, children's at the child's place, names joined by dots. A tied
  // parameter appears once, where it was added.
  std::vector<Parameter> parameters() const;
  // Train mode lets dropout act. A new module is in train mode; modules within follow.
  void train(bool on = true);
  void eval() { train(false); }
  bool training() const { return training_; }
  // A line per parameter: names, shape, number of elements; at the end the total.
  std::string summary() const;

 protected:
  Tensor add_parameter(std::vector<std::string> names, Array value);
  Tensor add_parameter(std::string name, Array value) {
    return add_parameter(std::vector<std::string>{std::move(name)}, std::move(value));
  }
  // The child must live as long as this module: it is a member, or owned by one.
  void add_module(std::string name, Module& child);

 private:
  struct Entry {
    Parameter parameter;  // without names where this is a child
    std::string name;
    Module* child = nullptr;
  };
  void collect(const std::string& prefix, std::vector<Parameter>& parameters) const;

  std::vector<Entry> entries_;
  bool training_ = true;
};

// A module that turns one tensor into another.
class Layer : public Module {
 public:
  virtual Tensor forward(const Tensor& x, const Pass& pass = {}) const = 0;
};

}  // namespace bertie
