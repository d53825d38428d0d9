// What a BERT thinks stands at [MASK].
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "apps/console/options.h"
#include "apps/console/program.h"
#include "apps/encoded_text.h"
#include "apps/inference_precision.h"
#include "bertie/models/bert_heads.h"
#include "bertie/models/pretrained.h"
#include "bertie/ops/reduce.h"
#include "bertie/ops/softmax.h"

using namespace bertie;

namespace {

// The best of `choices`, by probability, then by id.
std::vector<int32_t> best(std::vector<int32_t> choices, const float* probabilities, int64_t count) {
  auto end = choices.begin() + std::min<int64_t>(count, static_cast<int64_t>(choices.size()));
  std::partial_sort(choices.begin(), end, choices.end(),
                    [p = probabilities](int32_t a, int32_t b) { return p[a] != p[b] ? p[a] > p[b] : a < b; });
  choices.erase(end, choices.end());
  return choices;
}

struct Candidate {
  int32_t id;
  float probability, logit;
};

// The candidates for one [MASK], the most probable first.
struct FilledMask {
  int64_t position;  // of the token in its line
  std::vector<Candidate> candidates;
};

// Of each line of the block its masks, in order.
std::vector<std::vector<FilledMask>> fill(const BertForMaskedLM& model, int32_t mask_id,
                                          const EncodedLines& block, const std::vector<int32_t>& choices,
                                          int64_t count) {
  NoGrad no_grad;
  std::vector<std::vector<FilledMask>> filled(block.lines.size());
  for (int64_t b = 0; b < block.batches.size(); ++b) {
    BertInput input = block.input(b);
    std::vector<int64_t> rows;
    std::vector<FilledMask*> places;
    for (int64_t n = 0; n < input.pass.packing.sequences(); ++n) {
      int64_t line = block.batches[b][n], begin = input.pass.packing.offsets[n];
      const std::vector<int32_t>& ids = block.lines[line].ids;
      for (size_t t = 0; t < ids.size(); ++t) {
        if (ids[t] != mask_id) continue;
        rows.push_back(begin + static_cast<int64_t>(t));
        filled[line].push_back({static_cast<int64_t>(t), {}});
      }
    }
    if (rows.empty()) continue;
    for (int64_t line : block.batches[b])
      for (FilledMask& mask : filled[line]) places.push_back(&mask);
    Tensor logits = model.logits(input, Array::from(rows));
    BERTIE_CHECK(std::isfinite(sum(logits).item()), "model",
                 "its results aren't finite: are its weights broken?");
    Array probabilities = softmax(logits).array();
    for (size_t m = 0; m < places.size(); ++m) {
      int64_t begin = static_cast<int64_t>(m) * probabilities.shape()[1];
      const float *p = probabilities.data<float>() + begin, *z = logits.array().data<float>() + begin;
      for (int32_t id : best(choices, p, count)) places[m]->candidates.push_back({id, p[id], z[id]});
    }
  }
  return filled;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Fills the [MASK]s of a text with the words that the model finds most probable.\n\n"
      "  bert_fill_mask --model out --text \"the [MASK] is good .\"\n"
      "  bert_fill_mask --model out --text \"the [MASK] is [MASK] .\" --top-k 3 --json\n"
      "  bert_fill_mask --model out --input lines.txt --targets good,bad\n",
      "bert_fill_mask"};
  std::string directory;
  TextOptions text;
  PretrainedOptions load;
  std::string targets;
  InferencePrecision precision;
  int64_t top_k = 5;
  bool json = false;
  app.add_option("--model", directory, "Model directory, as bert_pretrain or transformers writes it")
      ->check(check_folder_name)
      ->required();
  add_text_options(app, text);
  app.add_option("--targets", targets,
                 "Only these words, separated by commas: each one token of the vocabulary")
      ->check(check_file_name);
  app.add_option("--top-k", top_k, "Words per [MASK]")
      ->transform(integer_in(1, 1'000'000))
      ->capture_default_str();
  app.add_flag("--allow-new-head", load.allow_new_head, "A head that the weights lack starts at random");
  declare_inference_precision(app, precision);
  app.add_flag("--json", json, "One JSON object per [MASK]");

  return run_program(app, argc, argv, [&] {
    auto [model, tokenizer, max_length, notes] = load_pretrained<BertForMaskedLM>(directory, load);
    for (const LoadNote& note : notes) message("Note: {}", note.str());
    set_precision(model->bert(), precision, text.input.empty());
    const Vocabulary& vocabulary = tokenizer.vocabulary();
    std::vector<int32_t> choices;
    for (size_t begin = 0, end; !targets.empty() && begin <= targets.size(); begin = end + 1) {
      end = std::min(targets.find(',', begin), targets.size());
      choices.push_back(single_token(tokenizer, "targets", targets.substr(begin, end - begin)));
    }
    if (targets.empty()) {
      choices.resize(vocabulary.size());
      std::iota(choices.begin(), choices.end(), 0);
    }
    std::sort(choices.begin(), choices.end());
    choices.erase(std::unique(choices.begin(), choices.end()), choices.end());

    EncodedText lines(text, tokenizer, {true, max_length});
    EncodedLines block;
    bool told_unmasked = false;
    while (lines.next(block)) {
      auto filled = fill(*model, vocabulary.mask_id(), block, choices, top_k);
      for (size_t i = 0; i < filled.size(); ++i) {
        int64_t line = block.first_line + static_cast<int64_t>(i);
        if (filled[i].empty()) {
          bool cut = block.lines[i].cut_off > 0;
          BERTIE_CHECK(!text.input.empty(), "text", "there is no [MASK] in {}'{}'",
                       cut ? "what is left of " : "", text.text);
          if (!std::exchange(told_unmasked, true)) message("Note: line {} has no [MASK] (said once)", line);
        }
        for (size_t m = 0; m < filled[i].size(); ++m) {
          const FilledMask& mask = filled[i][m];
          nlohmann::ordered_json candidates = nlohmann::ordered_json::array();
          if (!json && !text.input.empty())
            result("line {}, [MASK] {}:", line, m + 1);
          else if (!json && filled[i].size() > 1)
            result("[MASK] {}:", m + 1);
          for (const Candidate& candidate : mask.candidates) {
            std::string_view token = vocabulary.token(candidate.id);
            if (json)
              candidates.push_back({{"token", token},
                                    {"id", candidate.id},
                                    {"probability", candidate.probability},
                                    {"logit", candidate.logit}});
            else
              result("{:<20} {:.4g}", token, candidate.probability);
          }
          if (json)
            result("{}",
                   nlohmann::ordered_json{
                       {"line", line}, {"position", mask.position}, {"candidates", candidates}}
                       .dump());
        }
      }
    }
  });
}
