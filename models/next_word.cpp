#include "bertie/models/next_word.h"

namespace bertie {

NextWordModel::NextWordModel(int64_t vocab_size, Initializer init)
    : embedding_(vocab_size, 10, init), hidden_(10, 20, init), output_(20, vocab_size, init) {
  add_module("embedding", embedding_);
  add_module("hidden", hidden_);
  add_module("output", output_);
}

Tensor NextWordModel::forward(const Array& ids) const {
  return output_.forward(hidden_.forward(embedding_.forward(ids)));
}

}  // namespace bertie
