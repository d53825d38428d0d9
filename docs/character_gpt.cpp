// A GPT that learns a text by heart, character by character.
#include <algorithm>
#include <cstdio>
#include <set>
#include <string>

#include <bertie/autograd/random.h>
#include <bertie/nn/layers.h>
#include <bertie/nn/multi_head_attention.h>
#include <bertie/nn/sequential.h>
#include <bertie/nn/training.h>
#include <bertie/ops/elementwise.h>
#include <bertie/ops/loss.h>
#include <bertie/ops/reduce.h>

using namespace bertie;

const std::string text =
    "Nell keeps a clock that runs on rain. When clouds come over the hill, its wheels begin to turn, and the "
    "small brass fox on top lifts one paw. On dry days the fox sleeps, and nobody in the village knows how "
    "late it is. They bake when they are hungry, they mend the nets when the boats are in, and they go home "
    "when the lamps look warm. Nell has been asked to build a better one. She says that she will, as soon as "
    "it has rained long enough for her to know what time it was.";
const std::string alphabet = [] {  // a character's id is its place here
  std::set<char> all(text.begin(), text.end());
  return std::string(all.begin(), all.end());
}();

constexpr int64_t hidden = 64, heads = 4, layers = 2, context = 32, sequences = 8;

// x ← x + attention(norm(x)), then x ← x + W₂ gelu(W₁ norm(x))    [T, H] → [T, H]
class Block : public Layer {
 public:
  explicit Block(Initializer& init) {
    attention_.add<LayerNorm>("norm", hidden, 1e-5, init);
    attention_.add<MultiHeadAttention>(
        "attention", MultiHeadAttention::Options{.hidden_size = hidden, .heads = heads, .causal = true},
        init);
    mlp_.add<LayerNorm>("norm", hidden, 1e-5, init);
    mlp_.add<Linear>("up", hidden, 4 * hidden, init);
    mlp_.add<Activation>("gelu", "gelu");
    mlp_.add<Linear>("down", 4 * hidden, hidden, init);
    add_module("attention", attention_);
    add_module("mlp", mlp_);
  }
  Tensor forward(const Tensor& x, const Pass& pass) const override {
    Tensor y = x + attention_.forward(x, pass);
    return y + mlp_.forward(y, pass);
  }

 private:
  Sequential attention_, mlp_;
};

class CharacterGpt : public Module {
 public:
  explicit CharacterGpt(Initializer init)
      : characters_(std::ssize(alphabet), hidden, init), positions_(context, hidden, init) {
    for (int64_t i = 0; i < layers; ++i) body_.add<Block>(std::to_string(i), init);
    body_.add<LayerNorm>("norm", hidden, 1e-5, init);
    add_module("characters", characters_);
    add_module("positions", positions_);
    add_module("body", body_);
  }
  // A score for each character to come next    ids and their positions in their sequences [T] → [T, V]
  Tensor logits(const Array& ids, const Array& positions, const Pass& pass) const {
    Tensor x = characters_.forward(ids) + positions_.forward(positions);
    return linear(body_.forward(x, pass), characters_.weight());  // the decoder is tied
  }

 private:
  Embedding characters_, positions_;
  Sequential body_;
};

// Pieces of text in a row, packed.
struct Batch {
  std::vector<int32_t> ids, positions;
  Pass pass;
  void add(const std::string& piece) {
    for (size_t i = 0; i < piece.size(); ++i) {
      ids.push_back(static_cast<int32_t>(alphabet.find(piece[i])));
      positions.push_back(static_cast<int32_t>(i));
    }
    pass.packing.offsets.push_back(std::ssize(ids));
  }
};

int main() {
  CharacterGpt model(Initializer::normal(0.05, 1));
  ParameterBlock parameters(model);
  AdamW optimizer(parameters, {.weight_decay = 0.01});
  TrainingOptions options{.steps = 401, .schedule = {.peak = 4e-3, .warmup = 0.05}};
  LossOfStep objective([&](int64_t step) {
    Random random(1, static_cast<uint64_t>(step));
    Batch batch, next;
    for (int64_t n = 0; n < sequences; ++n) {
      size_t begin = random.below(text.size() - context);
      batch.add(text.substr(begin, context));
      next.add(text.substr(begin + 1, context));
    }
    return cross_entropy(model.logits(Array::from(batch.ids), Array::from(batch.positions), batch.pass),
                         Array::from(next.ids));
  });
  train(parameters, optimizer, options, objective, [](const StepReport& report) {
    if (report.step % 100 == 0)
      std::printf("step %3d: loss %.2f\n", static_cast<int>(report.step), report.loss);
    return true;
  });

  NoGrad no_grad;
  std::string sample = "They bake";
  while (sample.size() < 90) {  // always the most probable character
    Batch batch;
    batch.add(sample.substr(sample.size() - std::min<size_t>(sample.size(), context)));
    Tensor logits = model.logits(Array::from(batch.ids), Array::from(batch.positions), batch.pass);
    Array best = argmax(logits.array());
    sample += alphabet[static_cast<size_t>(best.item(best.size() - 1))];
  }
  std::printf("%s\n", sample.c_str());
  return 0;
}
