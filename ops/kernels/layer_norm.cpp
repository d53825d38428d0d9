#include "ops/kernels/layer_norm.h"

#include "autograd/kernel_table.h"

namespace bertie {

BERTIE_DEFINE_KERNELS(LayerNormKernels, layer_norm)

}  // namespace bertie
