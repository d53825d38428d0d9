// The smallest training there is: a pretrained BERT, one sentence, one masked word. What next_word does with
// a toy.
#include <cmath>

#include "apps/console/options.h"
#include "apps/console/program.h"
#include "apps/encoded_text.h"
#include "apps/run/model_folder.h"
#include "bertie/autograd/backward.h"
#include "bertie/models/bert_heads.h"
#include "bertie/models/pretrained.h"
#include "bertie/nn/optimizer.h"
#include "bertie/ops/loss.h"
#include "bertie/ops/softmax.h"

using namespace bertie;

int main(int argc, char** argv) {
  CLI::App app{
      "Trains a pretrained BERT on one masked word and shows what the step did.\n\n"
      "  mlm_step --model bert-base-uncased\n"
      "  mlm_step --model my_bert --text \"the [MASK] sat on the mat .\" --target cat \\\n"
      "    --steps 3 --output tuned\n",
      "mlm_step"};
  std::string directory, text = "I love [MASK] soccer.", target = "playing", output;
  PretrainedOptions load;
  int64_t steps = 1;
  double learning_rate = 1e-3;
  bool overwrite = false;
  app.add_option("--model", directory, "Model directory, as bert_pretrain or transformers writes it")
      ->check(check_folder_name)
      ->required();
  app.add_option("--text", text, "A sentence with one [MASK]")->capture_default_str();
  app.add_option("--target", target, "The word that belongs there: one token of the vocabulary")
      ->capture_default_str();
  app.add_option("--steps", steps, "Updates of the weights")
      ->transform(integer_in(1, 1'000'000))
      ->capture_default_str();
  app.add_option("--learning-rate", learning_rate, "Adam's")->check(number_in(0, 1e3))->capture_default_str();
  app.add_flag("--allow-new-head", load.allow_new_head, "A head that the weights lack starts at random");
  auto* output_option = app.add_option("--output", output, "Writes the trained model to this directory")
                            ->check(check_folder_name);
  app.add_flag("--overwrite", overwrite, "Replace a model that is there already, and what its training left")
      ->needs(output_option);

  return run_program(app, argc, argv, [&] {
    std::optional<ModelFolder> folder;
    if (!output.empty()) folder.emplace(output, overwrite);
    // A pretrained model comes in eval mode, so dropout doesn't act, and the same input gives the same
    // output.
    auto [model, tokenizer, max_length, notes] = load_pretrained<BertForMaskedLM>(directory, load);
    for (const LoadNote& note : notes) message("Note: {}", note.str());
    const Vocabulary& vocabulary = tokenizer.vocabulary();

    // Text to token ids: [CLS] i love [MASK] soccer . [SEP]
    Encoding encoding;
    tokenizer.encode({text}, {.max_length = max_length}, encoding);
    if (encoding.cut_off > 0)
      message("Note: the text is cut to {} tokens, {} are lost", max_length, encoding.cut_off);
    if (encoding.replaced > 0) message("Note: the text has invalid UTF-8, read as U+FFFD");
    std::vector<int64_t> masked;
    for (size_t i = 0; i < encoding.ids.size(); ++i)
      if (encoding.ids[i] == vocabulary.mask_id()) masked.push_back(static_cast<int64_t>(i));
    BERTIE_CHECK(masked.size() == 1, "text", "needs one [MASK], got {} in '{}'", masked.size(), text);
    int32_t label = single_token(tokenizer, "target", target);

    // The batch is one sequence; the loss looks at the row of [MASK] alone.
    BertInput input{Array::from(encoding.ids), Array::from(encoding.token_type_ids), {}};
    input.pass.packing.offsets = {0, static_cast<int64_t>(encoding.ids.size())};
    Array row = Array::from(masked), labels = Array::from(std::vector<int32_t>{label});

    auto probability = [&, &model = model] {
      NoGrad no_grad;
      return softmax(model->logits(input, row)).array().item(label);
    };
    auto show = [&](const char* when, double loss) {
      result("{}: loss {:.4f}, probability of '{}' {:.4g}", when, loss, target, probability());
    };

    ParameterBlock parameters(*model);
    if (folder) folder->reserve(parameters.values().bytes());
    if (folder) folder->begin();
    Adam optimizer(parameters);
    int64_t step = 0;
    for (; step < steps && !interrupted(); ++step) {
      Tensor logits = model->logits(input, row);    // forward: scores of all words at [MASK], [1, V]
      Tensor loss = cross_entropy(logits, labels);  // − log of the probability of the target
      BERTIE_CHECK(step > 0 || std::isfinite(loss.item()), "model",
                   "its results aren't finite: are its weights broken?");
      if (step == 0) show("before", loss.item());
      parameters.zero_grad();         // gradients of the step before would be added to
      backward(loss);                 // ∂loss/∂w of every weight w
      optimizer.step(learning_rate);  // each weight a little against its gradient
    }
    NoGrad no_grad;
    double after = cross_entropy(model->logits(input, row), labels).item();
    BERTIE_CHECK(std::isfinite(after), "training",
                 "the loss became {}: a smaller --learning-rate may help; nothing is saved", after);
    if (folder && step > 0) folder->save(*model, tokenizer, {step, steps}, max_length);
    show("after", after);
  });
}
