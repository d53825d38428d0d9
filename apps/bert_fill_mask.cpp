// What a BERT thinks stands at [MASK].
#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "apps/program.h"
#include "models/bert_heads.h"
#include "models/pretrained.h"
#include "ops/softmax.h"

using namespace bertie;

int main(int argc, char** argv) {
  CLI::App app{
      "Fills the [MASK]s of a text with the words that the model finds most probable.\n\n"
      "  bert_fill_mask --model out --text \"the [MASK] is good .\"\n"
      "  bert_fill_mask --model out --text \"the [MASK] is [MASK] .\" --top-k 3 --json\n",
      "bert_fill_mask"};
  std::string directory, text;
  int64_t top_k = 5;
  bool json = false;
  app.add_option("--model", directory, "Model directory, as bert_pretrain or transformers writes it")
      ->required();
  app.add_option("--text", text, "A text with one or more [MASK]")->required();
  app.add_option("--top-k", top_k, "Words per [MASK]")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app.add_flag("--json", json, "One JSON object per [MASK]");

  return run_program(app, argc, argv, [&] {
    auto pretrained = load_pretrained<BertForMaskedLM>(directory);
    for (const std::string& note : pretrained.notes) message("Note: {}", note);
    const Vocabulary& vocabulary = pretrained.tokenizer.vocabulary();
    Encoding encoding;
    pretrained.tokenizer.encode({text}, {}, encoding);
    if (encoding.replaced > 0) message("{} invalid UTF-8 sequences were read as U+FFFD", encoding.replaced);
    std::vector<int64_t> masks;
    for (size_t i = 0; i < encoding.ids.size(); ++i)
      if (encoding.ids[i] == vocabulary.mask_id()) masks.push_back(static_cast<int64_t>(i));
    check(!masks.empty(), "text", "there is no [MASK] in '{}'", text);

    NoGrad no_grad;
    BertInput input{Array::from(encoding.ids), Array(), {}};
    input.pass.packing.offsets = {0, static_cast<int64_t>(encoding.ids.size())};
    Array probabilities = softmax(pretrained.model->logits(input, Array::from(masks))).array();
    int64_t words = std::min<int64_t>(vocabulary.size(), probabilities.shape()[1]);
    std::vector<int32_t> order(words);
    for (size_t m = 0; m < masks.size(); ++m) {
      const float* p = probabilities.data<float>() + static_cast<int64_t>(m) * probabilities.shape()[1];
      std::iota(order.begin(), order.end(), 0);
      int64_t count = std::min(top_k, words);
      std::partial_sort(order.begin(), order.begin() + count, order.end(),
                        [p](int32_t a, int32_t b) { return p[a] != p[b] ? p[a] > p[b] : a < b; });
      nlohmann::ordered_json candidates = nlohmann::ordered_json::array();
      if (!json && masks.size() > 1) result("[MASK] {}:", m + 1);
      for (int64_t k = 0; k < count; ++k) {
        std::string token(vocabulary.token(order[k]));
        if (json)
          candidates.push_back({{"token", token}, {"id", order[k]}, {"probability", p[order[k]]}});
        else
          result("{:<20} {:.4f}", token, p[order[k]]);
      }
      if (json)
        result("{}", nlohmann::ordered_json{{"position", masks[m]}, {"candidates", candidates}}.dump());
    }
  });
}
