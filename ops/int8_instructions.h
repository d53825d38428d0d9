// What this CPU has for products of int8, and what serves them.
#pragma once
#include <optional>
#include <vector>

namespace bertie {

// Lowest first. `plain`: loops that need none. All give the same bits.
enum class Int8Instructions { plain, avx2, avx_vnni, avx512_vnni, amx };
const char* name(Int8Instructions instructions);  // "AVX512_VNNI"

// The one that was set by hand, else the last of those that are available.
Int8Instructions int8_instructions();
// What the CPU has, lowest first; BERTIE_ISA and ONEDNN_MAX_CPU_ISA lower it.
std::vector<Int8Instructions> available_int8_instructions();
// For tests and benchmarks; throws where it isn't available. Not while products run.
void set_int8_instructions(std::optional<Int8Instructions> instructions);

// True where products of int8 take less time than those of f32; ops/int8_instructions.cpp has the
// measurements.
bool int8_products_gain();

}  // namespace bertie
