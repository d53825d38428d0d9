// Contextual embeddings: what a BERT makes of each token of a text, or of the text as a whole.
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/encoded_text.h"
#include "apps/program.h"
#include "bertie/data/files/embedding_file.h"
#include "bertie/models/bert.h"
#include "bertie/models/pretrained.h"
#include "bertie/ops/reduce.h"

using namespace bertie;

namespace {

// The mean of each sequence's rows.    x [T, H] → [N, H]
Array mean_rows(const Array& x, const Packing& packing) {
  int64_t width = x.shape()[1];
  Array y = Array::zeros({packing.sequences(), width}, DType::f32);
  const float* in = x.data<float>();
  float* out = y.mutable_data<float>();
  for (int64_t n = 0; n < packing.sequences(); ++n, out += width) {
    for (int64_t t = packing.offsets[n]; t < packing.offsets[n + 1]; ++t)
      for (int64_t i = 0; i < width; ++i) out[i] += in[t * width + i];
    auto length = static_cast<float>(packing.offsets[n + 1] - packing.offsets[n]);
    for (int64_t i = 0; i < width; ++i) out[i] /= length;
  }
  return y;
}

// Each row to length 1; a row of zeros stays.
void normalize_rows(Array& x) {
  int64_t width = x.shape()[1];
  float* row = x.mutable_data<float>();
  for (int64_t r = 0; r < x.shape()[0]; ++r, row += width) {
    double squares = 0;
    for (int64_t i = 0; i < width; ++i) squares += double{row[i]} * row[i];
    if (squares == 0) continue;
    auto factor = static_cast<float>(1 / std::sqrt(squares));
    for (int64_t i = 0; i < width; ++i) row[i] *= factor;
  }
}

struct Embedder {
  const BertModel& model;
  std::string pool;
  int64_t layer;
  bool normalize;

  // Of each line of the block: [its tokens, H], or [1, H] where they are pooled.
  std::vector<Array> operator()(const EncodedLines& block) const {
    NoGrad no_grad;
    std::vector<Array> results(block.lines.size());
    for (int64_t b = 0; b < block.batches.size() && !interrupted(); ++b) {
      BertInput input = block.input(b);
      const Packing& packing = input.pass.packing;
      Tensor hidden = model.hidden_state(input, layer);
      BERTIE_CHECK(std::isfinite(sum(hidden).item()), "model",
                   "its results aren't finite: are its weights broken?");
      Array rows = hidden.array();
      if (pool == "pooler") rows = model.pooler_output(hidden, packing).array();
      if (pool == "mean") rows = mean_rows(rows, packing);
      if (normalize) normalize_rows(rows);
      for (int64_t n = 0; n < packing.sequences(); ++n) {
        Array& result = results[block.batches[b][n]];
        int64_t begin = packing.offsets[n];
        result = pool == "tokens" ? rows.rows(begin, packing.offsets[n + 1])
                 : pool == "cls"  ? rows.rows(begin, begin + 1)
                                  : rows.rows(n, n + 1);
      }
    }
    return results;
  }
};

std::span<const float> row_of(const Array& x, int64_t row) {
  return {x.data<float>() + row * x.shape()[1], static_cast<size_t>(x.shape()[1])};
}

std::string components(std::span<const float> row) {
  constexpr size_t shown = 8;
  std::string text;
  for (float x : row.first(std::min(shown, row.size()))) text += fmt::format(" {:9.5f}", x);
  return text + (row.size() > shown ? " …" : "");
}

// Numbers as short as they can be while giving the same f32 again.
std::string json_of(const std::vector<std::string_view>& tokens, const Array& embeddings, bool pooled) {
  std::string text = "{\"tokens\":" + nlohmann::json(tokens).dump();
  if (pooled && !embeddings) return text + ",\"embedding\":null}";  // there was nothing to pool
  text += pooled ? ",\"embedding\":" : ",\"embeddings\":[";
  int64_t rows = embeddings ? embeddings.shape()[0] : 0;
  for (int64_t r = 0; r < rows; ++r)
    text += fmt::format("{}[{}]", r > 0 ? "," : "", fmt::join(row_of(embeddings, r), ","));
  return text + (pooled ? "}" : "]}");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Writes the embeddings that a BERT gives to a text's tokens, or to the text as a whole.\n\n"
      "  bert_embed --model bert-base-uncased --text \"Hello, how are you?\"\n"
      "  bert_embed --model my_bert --input lines.txt --pool mean --normalize --output lines.npy\n"
      "  bert_embed --model my_bert --input lines.txt --pool cls --json\n",
      "bert_embed"};
  std::string directory, output;
  TextOptions text;
  PretrainedOptions load;
  std::string pool = "tokens";
  std::optional<int64_t> layer, max_length;
  bool normalize = false, no_special_tokens = false, json = false;
  app.add_option("--model", directory, "Model directory, as bert_pretrain or transformers writes it")
      ->check(check_file_name)
      ->required();
  add_text_options(app, text);
  app.add_flag("--pairs", text.pairs, "A tab separates two segments");
  app.add_option("--pool", pool,
                 "tokens: one embedding per token; or one per text: cls (of its first token), mean, pooler")
      ->check(CLI::IsMember({"tokens", "cls", "mean", "pooler"}))
      ->capture_default_str();
  app.add_option("--layer", layer,
                 "Take this layer's output; 0: the input embeddings (default: the last layer)")
      ->check(CLI::Range(0, 1000));
  app.add_flag("--normalize", normalize, "Scales every embedding to length 1");
  app.add_flag("--no-special-tokens", no_special_tokens, "No [CLS] in front, no [SEP] behind");
  app.add_option("--max-length", max_length, "Cut texts to this many tokens (default: what the model takes)")
      ->check(CLI::Range(1, 1'000'000));
  app.add_flag("--allow-new-head", load.allow_new_head, "A head that the weights lack starts at random");
  auto* json_flag = app.add_flag("--json", json, "One JSON object per text");
  app.add_option("--output", output, "Write the embeddings to a .npy or .safetensors file")
      ->check(check_file_name)
      ->excludes(json_flag);

  return run_program(app, argc, argv, [&] {
    auto [model, tokenizer, longest, notes] = load_pretrained<BertModel>(directory, load, pool == "pooler");
    for (const std::string& note : notes) message("Note: {}", note);
    int64_t last = model->config().num_hidden_layers, width = model->config().hidden_size;
    BERTIE_CHECK(layer.value_or(0) <= last, "layer", "this model has {} layers, got {}", last, *layer);
    BERTIE_CHECK(pool != "pooler" || layer.value_or(last) == last, "layer",
                 "the pooler sees the last layer only");
    BERTIE_CHECK(max_length.value_or(1) <= longest, "max-length", "this model takes {} tokens, got {}",
                 longest, *max_length);
    BERTIE_CHECK(!text.pairs || model->config().type_vocab_size >= 2, "pairs",
                 "this model has one type of segment only");
    int64_t room = no_special_tokens ? 1 : text.pairs ? 3 : 2;
    BERTIE_CHECK(max_length.value_or(longest) >= room, "max-length", "needs room for {} tokens, got {}", room,
                 max_length.value_or(longest));
    bool pooled = pool != "tokens", npy = output.ends_with(".npy");
    BERTIE_CHECK(
        pooled || !npy || text.input.empty(), "output",
        "embeddings of the tokens of several texts need a .safetensors file, which also holds their offsets");

    std::optional<EmbeddingFile> file;
    if (!output.empty()) file.emplace(output, width);
    std::vector<int32_t> ids, offsets{0};  // of the file

    EncodedText lines(text, tokenizer, {!no_special_tokens, max_length.value_or(longest)});
    Embedder embed{*model, pool, layer.value_or(last), normalize};
    EncodedLines block;
    while (lines.next(block)) {
      std::vector<Array> embeddings = embed(block);
      for (size_t i = 0; i < block.lines.size() && !interrupted(); ++i) {
        const Encoding& line = block.lines[i];
        const Array& rows = embeddings[i];
        int64_t number = block.first_line + static_cast<int64_t>(i);
        BERTIE_CHECK(!pooled || rows || json, "text", "line {} has no tokens, so there is nothing to pool",
                     number);
        std::vector<std::string_view> tokens;
        for (int32_t id : line.ids) tokens.push_back(tokenizer.vocabulary().token(id));
        if (file) {
          if (rows) file->add(rows.data<float>(), rows.shape()[0]);
          if (pooled || npy) continue;
          ids.insert(ids.end(), line.ids.begin(), line.ids.end());
          BERTIE_CHECK(ids.size() <= INT32_MAX, "output", "the file's offsets can't count over 2^31 tokens");
          offsets.push_back(static_cast<int32_t>(ids.size()));
        } else if (json) {
          print_result(json_of(tokens, rows, pooled));
        } else if (pooled) {
          print_result(components(row_of(rows, 0)));
        } else {
          if (number > 1) print_result("");
          for (size_t t = 0; t < tokens.size(); ++t)
            result("{:<16}{}", tokens[t], components(row_of(rows, static_cast<int64_t>(t))));
        }
      }
    }
    if (!file || interrupted()) return;
    std::vector<NamedArray> more;
    if (!pooled && !npy) more = {{"ids", Array::from(ids)}, {"offsets", Array::from(offsets)}};
    file->commit(more);
    message("{} embeddings of {} elements in {}", file->rows(), width, output);
  });
}
