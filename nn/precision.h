// What a model computes with.
#pragma once
#include <string>

namespace bertie {

// What a model stores its activations as and what its products take: the type of its parameters, which is f32
// but in proofs, or bf16, to which parameters are rounded for them. Parameters, their gradients, an
// optimizer's moments and losses keep their type. docs/precision.md tells what this costs and gains.
//
// Three are for inference alone, and for modules whose time goes into products (Projection): their weights
// are packed once for these (ops/packed_linear.h), and the parameters given up. Of packed_f32 activations are
// f32, of packed_bf16 bf16; of int8 f32, of which each product rounds the rows that it takes.
enum class Precision { of_parameters, bf16, packed_f32, packed_bf16, int8 };
const char* name(Precision precision);  // "f32", "bf16" or "int8"
// What serves inference in place of one that training has as well: packed_f32 of_parameters, packed_bf16
// bf16.
Precision packed(Precision precision);

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
