// Which library computes a matrix product, and what both are told once before the first.
#include <cblas.h>
#include <oneapi/dnnl/dnnl.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <string_view>
#include <vector>

#include "bertie/autograd/isa.h"
#include "bertie/autograd/threads.h"
#include "bertie/ops/gemm_call.h"

// OpenBLAS's own, in no header: one of the buffers that it keeps for its calls, and giving it back to them.
extern "C" void* blas_memory_alloc(int);
extern "C" void blas_memory_free(void*);

namespace bertie {
namespace {

// The widest vectors of an OpenBLAS core type's kernels. Order matters: the table below is indexed with it.
enum class Core { generic, avx2, avx512 };

struct Libraries {
  std::string core_name;
  Core core = Core::avx2;

  Libraries() {
    OneThread guard;  // the next call sets OpenMP's number of threads, too
    openblas_set_num_threads(1);
    core_name = openblas_get_corename();
    auto is_one_of = [&](std::initializer_list<std::string_view> names) {
      return std::find(names.begin(), names.end(), core_name) != names.end();
    };
    if (is_one_of({"Katmai", "Coppermine", "Northwood",   "Prescott",  "Banias",  "Atom",         "Core2",
                   "Penryn", "Dunnington", "Nehalem",     "Athlon",    "Opteron", "Opteron_SSE3", "Barcelona",
                   "Nano",   "Bobcat",     "Sandybridge", "Bulldozer", "Generic", "generic",      "Unknown"}))
      core = Core::generic;
    if (is_one_of({"SkylakeX", "Cooperlake", "SapphireRapids"})) core = Core::avx512;
    // OpenBLAS chose its kernels when it was loaded. oneDNN chooses at its first use, and follows BERTIE_ISA.
    std::string_view wanted = std::getenv("BERTIE_ISA") ? std::getenv("BERTIE_ISA") : "";
    if (wanted == "baseline") dnnl_set_max_cpu_isa(dnnl_cpu_isa_sse41);
    if (wanted == "avx2") dnnl_set_max_cpu_isa(dnnl_cpu_isa_avx2);
  }
};

const Libraries& libraries() {
  static const Libraries libraries;
  return libraries;
}

std::optional<GemmBackend> from_environment() {
  const char* value = std::getenv("BERTIE_GEMM");
  if (!value || !*value) return std::nullopt;
  for (GemmBackend backend : {GemmBackend::openblas, GemmBackend::onednn, GemmBackend::plain})
    if (std::string_view(value) == name(backend)) return backend;
  fail("gemm", "BERTIE_GEMM must be openblas, onednn or plain, got '{}'", value);
}

std::optional<GemmBackend>& set_by_hand() {
  static std::optional<GemmBackend> backend = from_environment();
  return backend;
}

// Who computes in f32, by isa(), core type and size of the product. Measured with tiles of BERT's shapes on
// one thread of a Zen 5, its kernels chosen by OPENBLAS_CORETYPE and ONEDNN_MAX_CPU_ISA:
//   SSE        Prescott 43 GFLOP/s, oneDNN 44
//   AVX2       Haswell 97 … 114, oneDNN 100 … 119, and ahead by more below 64 × 64 × 64
//   AVX-512    SkylakeX 155 … 223, oneDNN 167 … 237; up to 100³, where SkylakeX multiplies without
//              packing, 150 … 237 against 90 … 200
// Without AVX2 oneDNN has no fast kernels on other architectures, so there OpenBLAS serves if it knows the
// CPU.
// Where its checks say that packing doesn't pay, oneDNN reads the factors where they are. If the steps along
// K are multiples of 1 to 4 KiB then, the loads fall into few sets of the cache: 55 … 75 GFLOP/s on one
// thread with AVX2 against OpenBLAS's 100 … 115; with AVX-512 only for A, 165 … 190 against 180 … 205.
constexpr int64_t never = std::numeric_limits<int64_t>::max();
struct Choice {
  GemmBackend small, large;                        // small: M · N · K ≤ 10⁶, OpenBLAS's own bound
  int64_t a_multiple = never, b_multiple = never;  // large: OpenBLAS if a step along K is a multiple of this
};
constexpr GemmBackend blas = GemmBackend::openblas, dnnl = GemmBackend::onednn;
constexpr Choice choices[3][3] = {
    // generic      avx2                    avx512    ← OpenBLAS's core; isa(): ↓
    {{dnnl, dnnl}, {blas, blas}, {blas, blas}},                      // baseline
    {{dnnl, dnnl}, {dnnl, dnnl, 256, 512}, {blas, dnnl, 256, 512}},  // avx2
    {{dnnl, dnnl}, {dnnl, dnnl}, {blas, dnnl, 1024}},                // avx512
};
constexpr int64_t small_work = 1'000'000;
// x Wᵀ with so few rows and a K so large goes to few_rows(). W [3072, 768] from memory, GFLOP/s on one thread
// of the same CPU, the better library and few_rows():
//   rows         4       8       16       32       48       64       96      128      192
//   AVX2     25 43   46 84   65 109   82 107   93 106   97 106  101 108  106 105  108 106
//   AVX-512  46 41   62 79   75 156  112 200  139 204  149 207  171 202  180 201  198 194
// A W that lies in a cache is cheap to copy: then a K of 128 or 256 is faster with the libraries. On an
// Emerald Rapids they are 1.1 times as fast from 160 rows on. They are slower where K is large: 384 × 768 ×
// 3072 on two threads of the Zen 5, with AVX-512, 358 … 368 and 386 … 411.
constexpr int64_t least_rows = 8, least_depth = 512, large_depth = 2048;
int64_t most_rows(Isa isa, int64_t K) {
  if (isa == Isa::avx512) return K < large_depth ? 128 : 512;
  return 96;
}

bool is_made_by_amd() {
#ifdef __x86_64__
  return __builtin_cpu_is("amd");
#else
  return false;
#endif
}

bool uses_slow_kernels() {
  return libraries().core == Core::generic && available_isas().back() != Isa::baseline;
}

const char* fast_core() { return available_isas().back() == Isa::avx512 ? "SkylakeX" : "Haswell"; }

}  // namespace

void prepare_libraries() { libraries(); }

const char* name(GemmBackend backend) {
  switch (backend) {
    case GemmBackend::openblas:
      return "openblas";
    case GemmBackend::onednn:
      return "onednn";
    case GemmBackend::few_rows:
      return "few_rows";
    case GemmBackend::plain:
      return "plain";
  }
  return "?";
}

GemmBackend gemm_backend(DType type, int64_t M, int64_t N, int64_t K, int64_t a_step, int64_t b_step) {
  std::optional<GemmBackend> wanted = set_by_hand();
  if (type == DType::bf16) {
    bool has_instructions = bf16_instructions() != Bf16Instructions::none;
    if (wanted && (has_instructions || *wanted != GemmBackend::onednn)) return *wanted;
    return has_instructions ? GemmBackend::onednn : GemmBackend::openblas;
  }
  if (type == DType::f64)
    return wanted == GemmBackend::plain || wanted == GemmBackend::few_rows ? *wanted : GemmBackend::openblas;
  if (wanted) return *wanted;
  if (isa() != Isa::baseline && M >= least_rows && M <= most_rows(isa(), K) && K >= least_depth &&
      a_step == 1 && b_step == 1)
    return GemmBackend::few_rows;
  const Choice& choice = choices[static_cast<int>(isa())][static_cast<int>(libraries().core)];
  if (static_cast<double>(M) * static_cast<double>(N) * static_cast<double>(K) <= small_work)
    return choice.small;
  return a_step % choice.a_multiple == 0 || b_step % choice.b_multiple == 0 ? blas : choice.large;
}

Bf16Instructions bf16_instructions() {
  prepare_libraries();
  switch (dnnl_get_effective_cpu_isa()) {
    case dnnl_cpu_isa_avx512_core_amx:
      return Bf16Instructions::amx;
    case dnnl_cpu_isa_avx512_core_bf16:
      return Bf16Instructions::avx512_bf16;
    default:
      return Bf16Instructions::none;
  }
}

const char* name(Bf16Instructions instructions) {
  switch (instructions) {
    case Bf16Instructions::none:
      return "none";
    case Bf16Instructions::avx512_bf16:
      return "AVX512_BF16";
    case Bf16Instructions::amx:
      return "AMX";
  }
  return "?";
}

// GFLOP/s of one thread, BERT's shapes, f32 and bf16:
//   AMX          Emerald Rapids              110 … 156   200 … 970   the same tiles, as its neighbors let it
//   AVX512_BF16  the same CPU without AMX    110 … 156    60 …  85
//   AVX512_BF16  Zen 5                       261 … 285   493 … 566
//   AVX512_BF16  Zen 4                        92 …  95   171 … 194
// Others are taken to be like their maker's.
bool bf16_products_gain() {
  Bf16Instructions instructions = bf16_instructions();
  return instructions == Bf16Instructions::amx ||
         (instructions == Bf16Instructions::avx512_bf16 && is_made_by_amd());
}

void set_gemm_backend(std::optional<GemmBackend> backend) { set_by_hand() = backend; }

void reserve_gemm_buffers() {
  prepare_libraries();
  constexpr size_t buffer_bytes = size_t{128} << 20, stack_bytes = size_t{8} << 20;
  std::vector<void*> buffers;
  while (std::ssize(buffers) < thread_count()) {
    void* buffer =
        mmap(nullptr, buffer_bytes + stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (buffer == MAP_FAILED) break;
    buffers.push_back(buffer);
  }
  for (void* buffer : buffers) munmap(buffer, buffer_bytes + stack_bytes);
  BERTIE_CHECK(std::ssize(buffers) == thread_count(), "memory",
               "each of {} threads needs {} MB of addresses for matrix products, and there is room for {} of "
               "them",
               thread_count(), (buffer_bytes + stack_bytes) >> 20, buffers.size());
  for (void*& buffer : buffers) buffer = blas_memory_alloc(0);
  for (void* buffer : buffers) blas_memory_free(buffer);
}

bool choose_openblas_kernels() {
  return uses_slow_kernels() && !std::getenv("OPENBLAS_CORETYPE") &&
         setenv("OPENBLAS_CORETYPE", fast_core(), 1) == 0;
}

std::string gemm_libraries() {
  const dnnl_version_t* onednn = dnnl_version();
  return fmt::format("{}, {}; oneDNN {}.{}.{}", openblas_get_config(), libraries().core_name, onednn->major,
                     onednn->minor, onednn->patch);
}

std::string gemm_advice() {
  if (!uses_slow_kernels()) return "";
  bool served = gemm_backend(DType::f32, 1024, 1024, 1024) == GemmBackend::onednn;
  return fmt::format(
      "OpenBLAS doesn't know this CPU and uses its slow {} kernels{}; OPENBLAS_CORETYPE={} in the "
      "environment makes it use fast ones",
      libraries().core_name, served ? ", so oneDNN computes the f32 products" : "", fast_core());
}

}  // namespace bertie
