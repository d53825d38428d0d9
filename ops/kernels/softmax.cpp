#include "ops/kernels/softmax.h"

#include "autograd/kernel_table.h"

namespace bertie {

BERTIE_DEFINE_KERNELS(SoftmaxKernels, softmax)

}  // namespace bertie
