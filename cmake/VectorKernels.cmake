# add_vector_kernels(target files…): compiles each *.kernel.cpp once per instruction set, into a namespace of its own
# (BERTIE_ISA_NAMESPACE), and adds the objects to the target. Which one runs is chosen at run time (autograd/isa.h).
# Kernel files include nothing that defines inline functions outside that namespace: the linker keeps one copy of such a
# function, and an AVX-512 one must not end up in the baseline's path.
# Without threaded jumps a bound stays one instruction: else the compiler follows its constant through the rest of the
# loop, where the vectorizer has to blend it in at every step.
# A table of loops that lacks one is an error in every build: it would be a null pointer.
set(BERTIE_ISA_LIST baseline)
set(BERTIE_FLAGS_baseline "")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  list(APPEND BERTIE_ISA_LIST avx2 avx512)
  set(BERTIE_FLAGS_avx2 -mavx2 -mfma)
  set(BERTIE_FLAGS_avx512 -mavx2 -mfma -mavx512f -mavx512dq -mavx512bw -mavx512vl -mprefer-vector-width=512)
endif()

function(add_vector_kernels target)
  if(avx2 IN_LIST BERTIE_ISA_LIST)
    target_compile_definitions(${target} PRIVATE BERTIE_HAS_AVX)
  endif()
  foreach(isa ${BERTIE_ISA_LIST})
    add_library(${target}_${isa} OBJECT ${ARGN})
    target_compile_options(${target}_${isa} PRIVATE -O3 -fno-math-errno -fno-trapping-math
                           -Werror=missing-field-initializers ${BERTIE_FLAGS_${isa}}
                           $<$<CXX_COMPILER_ID:GNU>:-fno-thread-jumps;-fno-loop-unroll-and-jam>)
    set_target_properties(${target}_${isa} PROPERTIES UNITY_BUILD OFF)  # the same code in each kind of build
    target_compile_definitions(${target}_${isa} PRIVATE BERTIE_ISA_NAMESPACE=${isa})
    target_include_directories(${target}_${isa} PRIVATE ${BERTIE_INCLUDE_DIR})
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:${target}_${isa}>)
  endforeach()
endfunction()
