#include "ops/kernels/elementwise.h"

#include "autograd/kernel_table.h"

namespace bertie {

BERTIE_DEFINE_KERNELS(ElementwiseKernels, elementwise)

}  // namespace bertie
