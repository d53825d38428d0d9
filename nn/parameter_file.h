// A module's parameters in a safetensors file, under their full names (Module::parameters()).
#pragma once
#include <string>
#include <vector>

#include "bertie/data/files/safetensors.h"
#include "bertie/nn/module.h"

namespace bertie {

// In module order. The file appears whole or not at all; throws what write_safetensors() throws.
void save_parameters(const Module& model, const std::string& path);

// Copies the values of a file into the parameters, whether a ParameterBlock holds them or not. Throws, naming
// them (the first ten), where parameters are missing in the file, tensors of it are left over, or are of
// another shape or type, and what read_safetensors() throws; then nothing was changed.
void load_parameters(Module& model, const std::string& path);

// What is in such a file: a parameter of several names is several tensors. The arrays are the parameters'.
std::vector<NamedArray> named_parameters(const Module& model);

// A line of an error: how a file's tensor differs in shape or type from the model's. Empty
// where it doesn't; where it `converts`, every floating-point type will do.
std::string mismatch(const NamedArray& found, const Array& wanted, bool converts = false);

}  // namespace bertie
