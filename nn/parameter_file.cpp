#include "bertie/nn/parameter_file.h"

#include <fmt/format.h>

#include <map>

namespace bertie {

std::vector<NamedArray> named_parameters(const Module& model) {
  std::vector<NamedArray> tensors;
  for (const Parameter& parameter : model.parameters())
    for (size_t i = 0; i < parameter.names.size(); ++i)
      tensors.push_back({parameter.names[i], parameter.part(i)});
  return tensors;
}

std::string mismatch(const NamedArray& found, const Array& wanted, bool converts) {
  DType type = found.array.dtype();
  bool floating = type == DType::f32 || type == DType::f64 || type == DType::f16 || type == DType::bf16;
  bool shape_fits = found.array.shape() == wanted.shape();
  if (shape_fits && (type == wanted.dtype() || (converts && floating))) return "";
  return fmt::format("wrong {}: {} is {} {}, the model has {} {}", shape_fits ? "type" : "shape",
                     shown(found.name), name(type), found.array.shape(), name(wanted.dtype()),
                     wanted.shape());
}

void save_parameters(const Module& model, const std::string& path) {
  write_safetensors(path, named_parameters(model));
}

void load_parameters(Module& model, const std::string& path) {
  Safetensors file = read_safetensors(path);
  std::map<std::string, const NamedArray*> unused;
  for (const NamedArray& tensor : file.tensors) unused.emplace(tensor.name, &tensor);
  std::vector<const Array*> values;  // in the order of named_parameters()
  Listing problems("\n  ");
  for (const NamedArray& wanted : named_parameters(model)) {
    auto found = unused.extract(wanted.name);
    if (found.empty()) {
      problems.add(fmt::format("missing: {} {}", wanted.name, wanted.array.shape()));
      continue;
    }
    if (std::string problem = mismatch(*found.mapped(), wanted.array); !problem.empty())
      problems.add(problem);
    values.push_back(&found.mapped()->array);
  }
  for (const auto& [name, tensor] : unused)
    problems.add(fmt::format("left over: {} {}", shown(name), tensor->array.shape()));
  for (const std::string& name : file.unsupported) problems.add("left over: " + shown(name));
  BERTIE_CHECK(problems.empty(), "load_parameters", "{} doesn't fit the model:{}", path, problems);

  auto value = values.begin();
  for (Parameter& parameter : model.parameters()) {
    Tensor& tensor = parameter.tensor;
    if (!tensor.array().storage()->writable) tensor.replace(Array::empty(tensor.shape(), tensor.dtype()));
    for (size_t i = 0; i < parameter.names.size(); ++i) {
      Array part = parameter.part(i);
      part.copy_from(**value++);
    }
  }
}

}  // namespace bertie
