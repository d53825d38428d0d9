#include "bertie/ops/int8_instructions.h"

#include <oneapi/dnnl/dnnl.h>
#ifdef __x86_64__
#include <cpuid.h>
#endif

#include <algorithm>

#include "bertie/autograd/error.h"
#include "bertie/ops/gemm_call.h"

namespace bertie {
namespace {

std::optional<Int8Instructions>& wanted_by_hand() {
  static std::optional<Int8Instructions> instructions;
  return instructions;
}

#ifdef __x86_64__
// Clang's __builtin_cpu_supports() doesn't know it.
bool has_avx_vnni() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
}
#endif

}  // namespace

const char* name(Int8Instructions instructions) {
  switch (instructions) {
    case Int8Instructions::plain:
      return "none";
    case Int8Instructions::avx2:
      return "AVX2";
    case Int8Instructions::avx_vnni:
      return "AVX_VNNI";
    case Int8Instructions::avx512_vnni:
      return "AVX512_VNNI";
    case Int8Instructions::amx:
      return "AMX";
  }
  return "?";
}

Int8Instructions int8_instructions() {
  return wanted_by_hand().value_or(available_int8_instructions().back());
}

// oneDNN knows what the CPU has and the system lets programs use (AMX must be asked for), and how a user
// lowers it.
std::vector<Int8Instructions> available_int8_instructions() {
  prepare_libraries();
  std::vector<Int8Instructions> available{Int8Instructions::plain};
  dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
  auto has = [isa](std::initializer_list<dnnl_cpu_isa_t> isas) {
    return std::find(isas.begin(), isas.end(), isa) != isas.end();
  };
  bool amx = isa == dnnl_cpu_isa_avx512_core_amx;
  bool vnni = amx || has({dnnl_cpu_isa_avx512_core_vnni, dnnl_cpu_isa_avx512_core_bf16});
  if (vnni || has({dnnl_cpu_isa_avx2, dnnl_cpu_isa_avx2_vnni, dnnl_cpu_isa_avx512_core}))
    available.push_back(Int8Instructions::avx2);
#ifdef __x86_64__
  if (isa == dnnl_cpu_isa_avx2_vnni || (vnni && has_avx_vnni()))
    available.push_back(Int8Instructions::avx_vnni);
#endif
  if (vnni) available.push_back(Int8Instructions::avx512_vnni);
  if (amx) available.push_back(Int8Instructions::amx);
  return available;
}

void set_int8_instructions(std::optional<Int8Instructions> instructions) {
  std::vector<Int8Instructions> available = available_int8_instructions();
  BERTIE_CHECK(
      !instructions || std::find(available.begin(), available.end(), *instructions) != available.end(),
      "int8", "this machine has no {}", name(*instructions));
  wanted_by_hand() = instructions;
}

// Gop/s of one thread of an Emerald Rapids, BERT's shapes with 16 to 384 rows, where f32 comes to 110 … 156:
//                ours           dnnl_gemm_u8s8s32
//   AMX          850 … 2,050    170 … 990     the weight is packed once instead of in each product
//   AVX512_VNNI  340 … 540      180 … 620
//   AVX_VNNI     200 … 270
//   AVX2          55 …  85                    theirs adds in 16 bits, which overflow
// On a Zen 4 (f32: 92 … 95) AVX512_VNNI comes to 340 … 345, which holds the rounding of the rows, theirs
// without it to 346 … 403, and AVX2 to 107.
bool int8_products_gain() { return available_int8_instructions().back() >= Int8Instructions::avx_vnni; }

}  // namespace bertie
