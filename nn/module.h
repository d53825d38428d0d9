// Module: named parameters and child modules, in order.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "bertie/autograd/tensor.h"
#include "bertie/nn/precision.h"
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

// A module is one place in one tree: it can't be copied or moved, and has at most one parent. A child that
// nobody added would not be trained: backward() throws where the loss reaches its parameters.
class Module {
 public:
  Module() = default;
  virtual ~Module();
  Module(const Module&) = delete;  // parent and children refer to each other by address
  Module& operator=(const Module&) = delete;

  // In the order in which they were added, children's at the child's place, names joined by dots. A tied
  // parameter appears once, where it was added. Throws where two parameters have one name, or two modules one
  // site().
  std::vector<Parameter> parameters() const;
  // Train mode lets dropout act. A new module is in train mode; modules within follow.
  void train(bool on = true);
  void eval() { train(false); }
  bool training() const { return training_; }
  // As models are new it is of_parameters; modules within follow. The module that makes activations of what
  // isn't any asks for it (BertEmbeddings), and those that have weights to pack for inference (Projection);
  // the others take what they get. From packed_f32, packed_bf16 and int8 there is no way back.
  void set_precision(Precision precision);
  Precision precision() const { return precision_; }
  // The parameters of this module and of those within are constants from now on, which aren't trained. Throws
  // where a ParameterBlock has them.
  void freeze();
  // A line per parameter: names, shape, number of elements; at the end the total.
  std::string summary() const;

  // The names from the root down to this module, joined by dots: "encoder.layer.0.attention"; of the root "".
  std::string path() const;
  // Tells the dropouts of a model apart: FNV-1a (64 bits) of path(). So a mask depends on its module's place
  // alone, today and after a restart. Throws for a module without parent and children, which has no place.
  uint64_t site() const;

 protected:
  // Throws on a name that this module has already.
  Tensor add_parameter(std::vector<std::string> names, Array value);
  Tensor add_parameter(std::string name, Array value) {
    return add_parameter(std::vector<std::string>{std::move(name)}, std::move(value));
  }
  // The child is a member of this module, or owned by one. Throws on a name that this module has already, on
  // a child that has a parent, and on one that this module is within.
  void add_module(std::string name, Module& child);

  // What a module does where its precision is set.
  virtual void adopt(Precision) {}

 private:
  struct Entry {
    Parameter parameter;  // without names where this is a child
    Module* child = nullptr;
  };
  void check_new(const std::string& name) const;
  void collect(const std::string& prefix, std::vector<Parameter>& parameters,
               std::vector<const Module*>& modules) const;

  std::vector<Entry> entries_;
  Module* parent_ = nullptr;
  std::string name_;  // within the parent
  bool training_ = true;
  Precision precision_ = Precision::of_parameters;
};

// A module that turns one tensor into another.
class Layer : public Module {
 public:
  virtual Tensor forward(const Tensor& x, const Pass& pass = {}) const = 0;
};

}  // namespace bertie
