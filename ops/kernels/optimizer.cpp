#include "ops/kernels/optimizer.h"

#include "autograd/kernel_table.h"

namespace bertie {

BERTIE_DEFINE_KERNELS(OptimizerKernels, optimizer)

}  // namespace bertie
