// What a model computes with.
#pragma once
#include <string>

namespace bertie {

// What a model stores its activations as and what its products take: the type of its parameters, which is f32
// but in proofs, or bf16, to which parameters are rounded for them. Parameters, their gradients, an
// optimizer's moments and losses keep their type. docs/precision.md tells what this costs and gains.
//
// Two are for inference alone, and for modules whose time goes into products (Projection): their weights are
// rounded once, and their f32 is given up. Of int8 activations are f32, of which each product rounds the rows
// that it takes; of bf16_weights they are bf16.
enum class Precision { of_parameters, bf16, int8, bf16_weights };
const char* name(Precision precision);  // "f32", "bf16" or "int8"

struct PrecisionChoice {
  Precision precision = Precision::of_parameters;
  // What a user may want to know: of "auto" why ("as this CPU's products of bf16 (AMX) take less time than
  // those of f32"), of "int8" which instructions serve, or that there are none.
  std::string reason;
};

// What was asked for: "f32", "bf16", "int8", or "auto", which is bf16 where its products take less time.
// Throws on bf16 where this CPU has no instructions for it, and on another word.
PrecisionChoice choose_precision(const std::string& asked);

}  // namespace bertie
