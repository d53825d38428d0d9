#pragma once
#include <memory>
#include <utility>
#include <vector>

#include "bertie/nn/module.h"

namespace bertie {

// Layers one after the other, each made in its place under a name:
//   Sequential net;
//   net.add<Linear>("hidden", 3, 4, init);
//   net.add<Activation>("activation", "relu");
// Without layers it returns x itself.
class Sequential : public Layer {
 public:
  // Makes an L of the arguments and returns it; it belongs to this.
  template <class L, class... Arguments>
  L& add(std::string name, Arguments&&... arguments) {
    auto layer = std::make_unique<L>(std::forward<Arguments>(arguments)...);
    L& result = *layer;
    add_module(std::move(name), result);
    layers_.push_back(std::move(layer));
    return result;
  }

  Tensor forward(const Tensor& x, const Pass& pass = {}) const override {
    Tensor y = x;
    for (const std::unique_ptr<Layer>& layer : layers_) y = layer->forward(y, pass);
    return y;
  }

 private:
  std::vector<std::unique_ptr<Layer>> layers_;
};

}  // namespace bertie
