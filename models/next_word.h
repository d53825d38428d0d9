#pragma once
#include "bertie/nn/layers.h"

namespace bertie {

// The smallest language model: each word predicts the next (Bengio et al., 2003, with a context of one word).
//   logits = W₂ (W₁ E[word] + b₁) + b₂    ids [T] → [T, V], with an embedding of 10 and a hidden layer of 20
class NextWordModel : public Module {
 public:
  NextWordModel(int64_t vocab_size, Initializer init);
  Tensor forward(const Array& ids) const;

 private:
  Embedding embedding_;
  Linear hidden_, output_;
};

}  // namespace bertie
