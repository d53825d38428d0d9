#include "ops/kernels/attention.h"

#include "autograd/kernel_table.h"

namespace bertie {

BERTIE_DEFINE_KERNELS(AttentionKernels, attention)

}  // namespace bertie
