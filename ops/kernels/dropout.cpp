#include "ops/kernels/dropout.h"

#include "autograd/kernel_table.h"

namespace bertie {

BERTIE_DEFINE_KERNELS(DropoutKernels, dropout)

}  // namespace bertie
