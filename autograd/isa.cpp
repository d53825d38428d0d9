#include "bertie/autograd/isa.h"

#include <algorithm>
#include <cstdlib>
#include <string>

#include "bertie/autograd/error.h"

namespace bertie {
namespace {

// What BERTIE_ISA allows.
Isa highest_allowed() {
  const char* wanted = std::getenv("BERTIE_ISA");
  if (!wanted || !*wanted) return Isa::avx512;
  for (Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512})
    if (std::string(wanted) == name(isa)) return isa;
  fail("isa", "BERTIE_ISA must be baseline, avx2 or avx512, got '{}'", wanted);
}

Isa& current() {
  static Isa isa = available_isas().back();
  return isa;
}

}  // namespace

Isa isa() { return current(); }

void set_isa(Isa isa) {
  BERTIE_CHECK(isa <= available_isas().back(), "isa", "this machine has no {}", name(isa));
  current() = isa;
}

std::vector<Isa> available_isas() {
  std::vector<Isa> isas{Isa::baseline};
  [[maybe_unused]] Isa highest = highest_allowed();
#ifdef BERTIE_HAS_AVX
  if (highest >= Isa::avx2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    isas.push_back(Isa::avx2);
    if (highest >= Isa::avx512 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
      isas.push_back(Isa::avx512);
  }
#endif
  return isas;
}

const char* name(Isa isa) {
  switch (isa) {
    case Isa::baseline:
      return "baseline";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
  }
  return "?";
}

}  // namespace bertie
