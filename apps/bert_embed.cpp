// Contextual embeddings: what a BERT makes of each token of a text, or of the text as a whole.
#include <fmt/ranges.h>

#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <tuple>

#include "apps/console/options.h"
#include "apps/console/program.h"
#include "apps/encoded_text.h"
#include "apps/inference_precision.h"
#include "bertie/data/files/embedding_file.h"
#include "bertie/models/bert.h"
#include "bertie/models/pretrained.h"
#include "bertie/models/sentence_modules.h"
#include "bertie/ops/cast.h"
#include "bertie/ops/elementwise.h"
#include "bertie/ops/layout.h"
#include "bertie/ops/reduce.h"

using namespace bertie;

namespace {

// From which layers the hidden states are taken, and what becomes of several.
struct Layers {
  int64_t first, last;
  std::string combine;

  Tensor hidden(const BertModel& model, const BertInput& input) const {
    std::vector<Tensor> states = model.hidden_states(input, first, last);
    for (Tensor& state : states) state = unrounded(state);
    if (combine == "concatenate") return concatenate(states, 1);
    Tensor sum = states[0];
    for (size_t i = 1; i < states.size(); ++i) sum = sum + states[i];
    return combine == "mean" ? sum / static_cast<double>(states.size()) : sum;
  }
};

// "-1", "0" or "-4..-1": layers of so many, counted from the input embeddings or, below 0, from the last one.
std::pair<int64_t, int64_t> parse_layers(const std::string& text, int64_t layers) {
  auto number = [&](std::string_view part) {
    int64_t value = 0;
    auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    BERTIE_CHECK(error == std::errc() && end == part.data() + part.size(), "layer",
                 "must be a number or two, as in -4..-1, got '{}'", text);
    BERTIE_CHECK(value >= -layers - 1 && value <= layers, "layer",
                 "this model has {} layers, so {} … {} are there, got {}", layers, -layers - 1, layers,
                 value);
    return value < 0 ? layers + 1 + value : value;
  };
  size_t dots = text.find("..");
  int64_t first = number(std::string_view(text).substr(0, dots)),
          last = dots == std::string::npos ? first : number(std::string_view(text).substr(dots + 2));
  BERTIE_CHECK(first <= last, "layer", "the first one must not be behind the last one, got '{}'", text);
  return {first, last};
}

struct Embedder {
  const BertModel& model;
  std::string pool;                        // empty: as the modules say
  std::optional<SentenceModules> modules;  // of sentence-transformers
  int64_t prompt_tokens;
  Layers layers;
  bool normalize;

  // Of each line of the block: [its tokens, H], or [1, H] where they are pooled.
  std::vector<Array> operator()(const EncodedLines& block) const {
    NoGrad no_grad;
    std::vector<Array> results(block.lines.size());
    for (int64_t b = 0; b < block.batches.size(); ++b) {
      BertInput input = block.input(b);
      const Packing& packing = input.pass.packing;
      Tensor hidden = layers.hidden(model, input);
      BERTIE_CHECK(std::isfinite(sum(hidden).item()), "model",
                   "its results aren't finite: are its weights broken?");
      Array rows = hidden.array();
      if (pool.empty())
        rows = modules->apply(rows, packing, prompt_tokens);
      else if (pool == "pooler")
        rows = model.pooler_output(hidden, packing).array();
      else if (pool != "tokens")
        rows = bertie::pool(rows, packing, {pool});
      if (normalize) rows = normalize_rows(rows);
      for (int64_t n = 0; n < packing.sequences(); ++n) {
        Array& result = results[block.batches[b][n]];
        result =
            pool == "tokens" ? rows.rows(packing.offsets[n], packing.offsets[n + 1]) : rows.rows(n, n + 1);
      }
    }
    return results;
  }
};

// The same tokenizer on texts that are lower-cased before; accents stay where they would have stayed.
Tokenizer lower_casing(const Tokenizer& tokenizer) {
  TokenizerOptions options = tokenizer.options();
  options.words.strip_accents = options.words.strips_accents();
  options.words.do_lower_case = true;
  return Tokenizer(tokenizer.vocabulary(), options);
}

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
      "  bert_embed --model my_bert --input lines.txt --pool mean --normalize \\\n"
      "    --output lines.npy\n"
      "  bert_embed --model my_bert --input lines.txt --pool cls --json\n"
      "  bert_embed --model all-MiniLM-L6-v2 --input lines.txt --output lines.npy\n",
      "bert_embed"};
  std::string directory, output;
  InferencePrecision precision;
  TextOptions text;
  PretrainedOptions load;
  std::string pool, layer = "-1", combine = "mean";
  std::optional<int64_t> max_length;
  bool normalize = false, no_special_tokens = false, json = false;
  app.add_option("--model", directory, "Model directory, as bert_pretrain or transformers writes it")
      ->check(check_folder_name)
      ->required();
  add_text_options(app, text);
  app.add_flag("--pairs", text.pairs, "A tab separates two segments");
  app.add_option(
         "--pool", pool,
         "tokens: one embedding per token; or one per text: cls (of its first token), mean, max, pooler "
         "(default: what modules.json of sentence-transformers says, or else tokens)")
      ->check(CLI::IsMember({"tokens", "cls", "mean", "max", "pooler"}));
  app.add_option(
         "--layer", layer,
         "Take this layer's output; 0: the input embeddings, -1: the last layer; or several, as -4..-1")
      ->capture_default_str();
  app.add_option("--combine", combine, "What becomes of several layers: sum, mean or concatenate")
      ->check(CLI::IsMember({"sum", "mean", "concatenate"}))
      ->capture_default_str();
  app.add_flag("--normalize", normalize, "Scales every embedding to length 1");
  app.add_flag("--no-special-tokens", no_special_tokens, "No [CLS] in front, no [SEP] behind");
  app.add_option("--max-length", max_length, "Cut texts to this many tokens (default: what the model takes)")
      ->transform(integer_in(1, 1'000'000));
  app.add_flag("--allow-new-head", load.allow_new_head, "A head that the weights lack starts at random");
  declare_inference_precision(app, precision);
  auto* json_flag = app.add_flag("--json", json, "One JSON object per text");
  app.add_option("--output", output, "Write the embeddings to a .npy or .safetensors file")
      ->check(check_file_name)
      ->excludes(json_flag);

  return run_program(app, argc, argv, [&] {
    std::optional<SentenceModules> modules = read_sentence_modules(directory);
    auto [model, tokenizer, longest, notes] =
        load_pretrained<BertModel>(modules ? modules->transformer : directory, load, pool == "pooler");
    if (modules) notes.insert(notes.end(), modules->notes.begin(), modules->notes.end());
    for (const LoadNote& note : notes) message("Note: {}", note.str());
    set_precision(*model, precision, text.input.empty());
    int64_t last = model->config().num_hidden_layers;
    Layers layers{0, 0, combine};
    std::tie(layers.first, layers.last) = parse_layers(layer, last);
    int64_t wide = combine == "concatenate" ? layers.last - layers.first + 1 : 1;
    BERTIE_CHECK(pool != "pooler" || layers.first == last, "layer", "the pooler sees the last layer only");
    std::string prompt;
    if (modules) {
      longest = std::min(modules->max_seq_length.value_or(longest), model->config().max_position_embeddings);
      prompt = modules->prompt;
      if (modules->do_lower_case) tokenizer = lower_casing(tokenizer);
      if (pool.empty())
        message("As sentence-transformers' modules.json says: {}, at most {} tokens{}", modules->description,
                max_length.value_or(longest),
                prompt.empty() ? "" : fmt::format(", '{}' before each text", shown(prompt)));
    } else if (pool.empty()) {
      pool = "tokens";
    }
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

    int64_t prompt_tokens =
        prompt.empty() ? 0 : static_cast<int64_t>(tokenizer.ids(prompt).size()) + (no_special_tokens ? 0 : 1);
    int64_t width = wide * model->config().hidden_size;
    if (pool.empty()) width = modules->width(width);
    std::optional<EmbeddingFile> file;
    if (!output.empty()) file.emplace(output, width);
    std::vector<int32_t> ids, offsets{0};  // of the file

    EncodedText lines(text, tokenizer, {!no_special_tokens, max_length.value_or(longest)}, prompt);
    Embedder embed{*model, pool, modules, prompt_tokens, layers, normalize};
    EncodedLines block;
    while (lines.next(block)) {
      std::vector<Array> embeddings = embed(block);
      for (size_t i = 0; i < block.lines.size(); ++i) {
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
    if (!file) return;
    std::vector<NamedArray> more;
    if (!pooled && !npy) more = {{"ids", Array::from(ids)}, {"offsets", Array::from(offsets)}};
    file->commit(more);
    message("{} embeddings of {} elements in {}", file->rows(), width, output);
  });
}
