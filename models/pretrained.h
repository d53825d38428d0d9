// A model directory as Hugging Face writes it: config.json, vocab.txt, tokenizer_config.json,
// model.safetensors.
#pragma once
#include <string>
#include <vector>

#include "data/tokenizer_config.h"
#include "models/bert.h"

namespace bertie {

// Copies the arrays of model.safetensors into the model's parameters, converted to their type. Throws an
// Error that lists all names that are missing, and all whose shape is wrong with both shapes. Returns the
// names that are left over.
std::vector<std::string> load_parameters(const Module& model, const std::string& safetensors_path);

// Writes the parameters under their names, in module order.
void save_parameters(const Module& model, const std::string& safetensors_path);

// Writes all four files; the folder is made where it isn't there. Weights of an earlier model are removed
// first and the new ones come last, so a directory that has weights is complete.
void save_pretrained(const BertForMaskedLM& model, const Tokenizer& tokenizer, const std::string& directory);

struct PretrainedMaskedLM {
  std::unique_ptr<BertForMaskedLM> model;  // in eval mode
  Tokenizer tokenizer;
  std::vector<std::string> unused;  // names in the file that the model has no place for
};
// Throws, naming the file, where one is missing or doesn't fit the others. Without tokenizer_config.json,
// which older directories lack, text is lower-cased.
PretrainedMaskedLM load_pretrained_masked_lm(const std::string& directory, DType type = DType::f32);

}  // namespace bertie
