#include "bertie/nn/precision.h"

#include "bertie/autograd/error.h"
#include "bertie/ops/gemm.h"
#include "bertie/ops/int8_instructions.h"

namespace bertie {

const char* name(Precision precision) {
  switch (precision) {
    case Precision::of_parameters:
    case Precision::packed_f32:
      return "f32";
    case Precision::bf16:
    case Precision::packed_bf16:
      return "bf16";
    case Precision::int8:
      return "int8";
  }
  return "?";
}

Precision packed(Precision precision) {
  if (precision == Precision::of_parameters) return Precision::packed_f32;
  return precision == Precision::bf16 ? Precision::packed_bf16 : precision;
}

PrecisionChoice choose_precision(const std::string& asked) {
  BERTIE_CHECK(asked == "f32" || asked == "bf16" || asked == "int8" || asked == "auto", "precision",
               "must be f32, bf16, int8 or auto, got '{}'", asked);
  if (asked == "f32") return {};
  if (asked == "int8") {
    if (int8_products_gain())
      return {Precision::int8,
              fmt::format("with this CPU's instructions for it ({})", name(int8_instructions()))};
    return {
        Precision::int8,
        "which saves memory but no time: this CPU has no instructions for it (AVX_VNNI, AVX512_VNNI, AMX)"};
  }
  Bf16Instructions instructions = bf16_instructions();
  if (asked == "bf16") {
    BERTIE_CHECK(instructions != Bf16Instructions::none, "precision",
                 "bf16 needs a CPU with the instructions AVX512_BF16 or AMX-BF16, which this one lacks (or "
                 "BERTIE_ISA or ONEDNN_MAX_CPU_ISA hides); f32 works, and auto takes what is faster");
    return {Precision::bf16, ""};
  }
  if (instructions == Bf16Instructions::none)
    return {Precision::of_parameters, "as this CPU has no instructions for products of bf16"};
  if (!bf16_products_gain())
    return {Precision::of_parameters,
            fmt::format("as this CPU's products of bf16 ({}) take no less time than those of f32",
                        name(instructions))};
  return {Precision::bf16, fmt::format("as this CPU's products of bf16 ({}) take less time than those of f32",
                                       name(instructions))};
}

}  // namespace bertie
