// The toy model: each word of a sentence learns to predict the next one.
#include <algorithm>
#include <sstream>

#include "apps/console/options.h"
#include "apps/console/program.h"
#include "bertie/models/next_word.h"
#include "bertie/nn/training.h"
#include "bertie/ops/loss.h"
#include "bertie/ops/reduce.h"

using namespace bertie;

namespace {

std::vector<std::string> split(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Trains the smallest language model on one sentence: each word predicts the next.\n\n"
      "  next_word\n"
      "  next_word --sentence \"the cat sat on the mat\" --prompt \"sat on\"\n",
      "next_word"};
  std::string sentence = "I love playing soccer.", prompt = "I love";
  int64_t seed = 1;
  app.add_option("--sentence", sentence, "The sentence to learn; words are split at white space")
      ->capture_default_str();
  app.add_option("--prompt", prompt, "What to continue; its last word counts")->capture_default_str();
  app.add_option("--seed", seed, "Seed of the initial weights")
      ->transform(integer_in(0, int64_t{1} << 62))
      ->capture_default_str();

  return run_program(app, argc, argv, [&] {
    // Words get ids in order of appearance.
    std::vector<std::string> words = split(sentence), vocabulary;
    std::vector<int32_t> ids;
    for (const std::string& word : words) {
      auto found = std::find(vocabulary.begin(), vocabulary.end(), word);
      ids.push_back(static_cast<int32_t>(found - vocabulary.begin()));
      if (found == vocabulary.end()) vocabulary.push_back(word);
    }
    BERTIE_CHECK(words.size() >= 2, "sentence", "needs at least two words, got {}", words.size());
    std::vector<std::string> prompt_words = split(prompt);
    BERTIE_CHECK(!prompt_words.empty(), "prompt", "needs at least one word");
    for (const std::string& word : prompt_words)
      BERTIE_CHECK(std::find(vocabulary.begin(), vocabulary.end(), word) != vocabulary.end(), "prompt",
                   "the sentence has no word '{}'", word);

    NextWordModel model(static_cast<int64_t>(vocabulary.size()), Initializer::fan_in(seed));
    ParameterBlock parameters(model);
    SGD optimizer(parameters);
    TrainingOptions options;
    options.steps = 100;  // epochs: all pairs are one batch
    options.schedule = {0.1, 0, Schedule::Decay::constant};
    options.max_gradient_norm = 0;

    Array inputs = Array::from(std::vector<int32_t>(ids.begin(), ids.end() - 1));
    Array targets = Array::from(std::vector<int32_t>(ids.begin() + 1, ids.end()));
    LossOfStep objective([&](int64_t) { return cross_entropy(model.forward(inputs), targets); });
    train(parameters, optimizer, options, objective, [&](const StepReport& report) {
      if ((report.step + 1) % 10 == 0) result("Epoch {}, Loss: {:.4f}", report.step + 1, report.loss);
      return true;
    });

    NoGrad no_grad;
    auto last = std::find(vocabulary.begin(), vocabulary.end(), prompt_words.back()) - vocabulary.begin();
    Tensor logits = model.forward(Array::from(std::vector<int32_t>{static_cast<int32_t>(last)}));
    result("Predicted Word: {}", vocabulary[static_cast<size_t>(argmax(logits.array()).item())]);
  });
}
