// A GPT that learns a text by heart, character by character.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <set>
#include <string>

#include <bertie/autograd/random.h>
#include <bertie/nn/layers.h>
#include <bertie/nn/multi_head_attention.h>
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
  explicit Block(Initializer& init)
      : norm1_(hidden, 1e-5, init),
        attention_({.hidden_size = hidden, .heads = heads, .causal = true}, init),
        norm2_(hidden, 1e-5, init),
        up_(hidden, 4 * hidden, init),
        down_(4 * hidden, hidden, init) {
    add_module("norm1", norm1_);
    add_module("attention", attention_);
    add_module("norm2", norm2_);
    add_module("up", up_);
    add_module("down", down_);
  }
  Tensor forward(const Tensor& x, const Pass& pass) const override {
    Tensor y = x + attention_.forward(norm1_.forward(x), pass);
    return y + down_.forward_of(Activation("gelu"), up_.forward(norm2_.forward(y)));
  }

 private:
  LayerNorm norm1_;
  MultiHeadAttention attention_;
  LayerNorm norm2_;
  Linear up_, down_;
};

class CharacterGpt : public Module {
 public:
  explicit CharacterGpt(Initializer init)
      : characters_(std::ssize(alphabet), hidden, init),
        positions_(context, hidden, init),
        norm_(hidden, 1e-5, init) {
    add_module("characters", characters_);
    add_module("positions", positions_);
    for (int64_t i = 0; i < layers; ++i)
      add_module("block" + std::to_string(i), *blocks_.emplace_back(std::make_unique<Block>(init)));
    add_module("norm", norm_);
  }
  // A score for each character to come next    ids and their positions in their sequences [T] → [T, V]
  Tensor logits(const Array& ids, const Array& positions, const Pass& pass) const {
    Tensor x = characters_.forward(ids) + positions_.forward(positions);
    for (const auto& block : blocks_) x = block->forward(x, pass);
    return linear(norm_.forward(x), characters_.weight());  // the decoder is tied
  }

 private:
  Embedding characters_, positions_;
  std::vector<std::unique_ptr<Block>> blocks_;
  LayerNorm norm_;
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
  TrainingOptions options{.steps = 401, .schedule = {.peak = 4e-3, .warmup_steps = 20, .total_steps = 401}};
  train(
      parameters, optimizer, options,
      [&](int64_t step) {
        Random random(1, static_cast<uint64_t>(step));
        Batch batch, next;
        for (int64_t n = 0; n < sequences; ++n) {
          size_t begin = random.below(text.size() - context);
          batch.add(text.substr(begin, context));
          next.add(text.substr(begin + 1, context));
        }
        return cross_entropy(model.logits(Array::from(batch.ids), Array::from(batch.positions), batch.pass),
                             Array::from(next.ids));
      },
      [](const StepReport& report) {
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
