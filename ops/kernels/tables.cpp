#include "bertie/autograd/kernel_table.h"
#include "bertie/ops/kernels/attention.h"
#include "bertie/ops/kernels/dropout.h"
#include "bertie/ops/kernels/elementwise.h"
#include "bertie/ops/kernels/layer_norm.h"
#include "bertie/ops/kernels/newton_schulz.h"
#include "bertie/ops/kernels/optimizer.h"
#include "bertie/ops/kernels/quantization.h"
#include "bertie/ops/kernels/softmax.h"

namespace bertie {

BERTIE_DEFINE_COMPUTE_KERNELS(AttentionKernels, attention)
BERTIE_DEFINE_KERNELS(DropoutKernels, dropout)
BERTIE_DEFINE_KERNELS(ElementwiseKernels, elementwise)
BERTIE_DEFINE_KERNELS(LayerNormKernels, layer_norm)
BERTIE_DEFINE_KERNELS(NewtonSchulzKernels, newton_schulz)
BERTIE_DEFINE_COMPUTE_KERNELS(OptimizerKernels, optimizer)
BERTIE_DEFINE_KERNELS(SoftmaxKernels, softmax)
BERTIE_DEFINE_F32_KERNELS(QuantizationKernels, quantization)

}  // namespace bertie
