#include "autograd/kernel_table.h"
#include "ops/kernels/attention.h"
#include "ops/kernels/dropout.h"
#include "ops/kernels/elementwise.h"
#include "ops/kernels/layer_norm.h"
#include "ops/kernels/optimizer.h"
#include "ops/kernels/softmax.h"

namespace bertie {

BERTIE_DEFINE_KERNELS(AttentionKernels, attention)
BERTIE_DEFINE_KERNELS(DropoutKernels, dropout)
BERTIE_DEFINE_KERNELS(ElementwiseKernels, elementwise)
BERTIE_DEFINE_KERNELS(LayerNormKernels, layer_norm)
BERTIE_DEFINE_KERNELS(OptimizerKernels, optimizer)
BERTIE_DEFINE_KERNELS(SoftmaxKernels, softmax)

}  // namespace bertie
