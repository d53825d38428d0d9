// Chooses among the tables of inner loops that cmake/VectorKernels.cmake compiles, one per instruction set.
#pragma once
#include <type_traits>

#include "bertie/autograd/isa.h"

namespace bertie::detail {

template <class T, class F32, class F64>
const auto& of_type(const F32& f32, const F64& f64) {
  if constexpr (std::is_same_v<T, float>)
    return f32;
  else
    return f64;
}

}  // namespace bertie::detail

#define BERTIE_DECLARE_TABLES(isa, Table, name) \
  namespace isa {                               \
  extern const Table<float> name##_f32;         \
  extern const Table<double> name##_f64;        \
  }
#ifdef BERTIE_HAS_AVX
#define BERTIE_DECLARE_ALL_TABLES(Table, name) \
  BERTIE_DECLARE_TABLES(baseline, Table, name) \
  BERTIE_DECLARE_TABLES(avx2, Table, name)     \
  BERTIE_DECLARE_TABLES(avx512, Table, name)
#define BERTIE_CHOOSE_TABLE(T, name)                                                           \
  if (isa() == Isa::avx512) return detail::of_type<T>(avx512::name##_f32, avx512::name##_f64); \
  if (isa() == Isa::avx2) return detail::of_type<T>(avx2::name##_f32, avx2::name##_f64);
#else
#define BERTIE_DECLARE_ALL_TABLES(Table, name) BERTIE_DECLARE_TABLES(baseline, Table, name)
#define BERTIE_CHOOSE_TABLE(T, name)
#endif

// Within namespace bertie: defines  template <class T> const Table<T>& name_kernels()  for float and double,
// where the kernel file defines name_f32 and name_f64.
#define BERTIE_DEFINE_KERNELS(Table, name)                                 \
  BERTIE_DECLARE_ALL_TABLES(Table, name)                                   \
  template <class T>                                                       \
  const Table<T>& name##_kernels() {                                       \
    BERTIE_CHOOSE_TABLE(T, name)                                           \
    return detail::of_type<T>(baseline::name##_f32, baseline::name##_f64); \
  }                                                                        \
  template const Table<float>& name##_kernels();                           \
  template const Table<double>& name##_kernels();
