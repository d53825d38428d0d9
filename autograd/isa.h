// Which instruction set the vector code uses: the best that the CPU has, lowered by the environment variable
// BERTIE_ISA (baseline, avx2 or avx512).
#pragma once
#include <vector>

namespace bertie {

enum class Isa { baseline, avx2, avx512 };

Isa isa();                          // the one in use
void set_isa(Isa isa);              // for tests and benchmarks; throws where it is not available
std::vector<Isa> available_isas();  // what CPU, build and BERTIE_ISA allow, lowest first
const char* name(Isa isa);

}  // namespace bertie
