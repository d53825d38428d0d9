// Chooses among the tables of inner loops that cmake/VectorKernels.cmake compiles, one per instruction set
// and element type.
#pragma once
#include <type_traits>

#include "bertie/autograd/bfloat16.h"
#include "bertie/autograd/isa.h"

#define BERTIE_DECLARE_TABLES(isa, Table, name)       \
  namespace isa {                                     \
  extern const Table<float> name##_f32;               \
  extern const Table<double> name##_f64;              \
  extern const Table<::bertie::bfloat16> name##_bf16; \
  }
#define BERTIE_RETURN_TABLE(isa, T, name)         \
  {                                               \
    if constexpr (std::is_same_v<T, float>)       \
      return isa::name##_f32;                     \
    else if constexpr (std::is_same_v<T, double>) \
      return isa::name##_f64;                     \
    else                                          \
      return isa::name##_bf16;                    \
  }
#ifdef BERTIE_HAS_AVX
#define BERTIE_DECLARE_ALL_TABLES(Table, name) \
  BERTIE_DECLARE_TABLES(baseline, Table, name) \
  BERTIE_DECLARE_TABLES(avx2, Table, name)     \
  BERTIE_DECLARE_TABLES(avx512, Table, name)
#define BERTIE_CHOOSE_TABLE(T, name)                             \
  if (isa() == Isa::avx512) BERTIE_RETURN_TABLE(avx512, T, name) \
  if (isa() == Isa::avx2) BERTIE_RETURN_TABLE(avx2, T, name)
#else
#define BERTIE_DECLARE_ALL_TABLES(Table, name) BERTIE_DECLARE_TABLES(baseline, Table, name)
#define BERTIE_CHOOSE_TABLE(T, name)
#endif

// Within namespace bertie: defines  template <class T> const Table<T>& name_kernels()  for float and double,
// where the kernel file defines name_f32 and name_f64: loops over what is never stored as bfloat16.
#define BERTIE_DEFINE_COMPUTE_KERNELS(Table, name) \
  BERTIE_DECLARE_ALL_TABLES(Table, name)           \
  template <class T>                               \
  const Table<T>& name##_kernels() {               \
    BERTIE_CHOOSE_TABLE(T, name)                   \
    BERTIE_RETURN_TABLE(baseline, T, name)         \
  }                                                \
  template const Table<float>& name##_kernels();   \
  template const Table<double>& name##_kernels();

// And for float alone: defines  const Table& name_kernels(),  where the kernel file defines name.
#ifdef BERTIE_HAS_AVX
#define BERTIE_DEFINE_F32_KERNELS(Table, name)               \
  namespace baseline {                                       \
  extern const Table name;                                   \
  }                                                          \
  namespace avx2 {                                           \
  extern const Table name;                                   \
  }                                                          \
  namespace avx512 {                                         \
  extern const Table name;                                   \
  }                                                          \
  const Table& name##_kernels() {                            \
    if (isa() == Isa::avx512) return avx512::name;           \
    return isa() == Isa::avx2 ? avx2::name : baseline::name; \
  }
#else
#define BERTIE_DEFINE_F32_KERNELS(Table, name) \
  namespace baseline {                         \
  extern const Table name;                     \
  }                                            \
  const Table& name##_kernels() { return baseline::name; }
#endif

// And for bfloat16, where it defines name_bf16 as well.
#define BERTIE_DEFINE_KERNELS(Table, name)   \
  BERTIE_DEFINE_COMPUTE_KERNELS(Table, name) \
  template const Table<bfloat16>& name##_kernels();
