// What a pretrained directory computes, whatever head its configuration names, for
// tests/proofs/prove_pretrained.py; and the directory written again.
//   bert_outputs MODEL BATCH.safetensors OUTPUTS.safetensors COPY
// BATCH holds ids and token_type_ids [T] i32 and offsets [N+1] i64. COPY is a folder to write, MODEL itself
// perhaps.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "bertie/data/files/mapped_file.h"
#include "bertie/models/bert_heads.h"
#include "bertie/models/pretrained.h"

using namespace bertie;

namespace {

using Outputs = std::vector<NamedArray>;

Array all_rows(const BertInput& input) {
  std::vector<int64_t> rows(input.pass.packing.tokens());
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int64_t>(i);
  return Array::from(rows);
}

Outputs outputs(const BertModel& model, const BertInput& input) {
  Tensor hidden = model.last_hidden_state(input);
  return {{"last_hidden_state", hidden.array()},
          {"pooler_output", model.pooler_output(hidden, input.pass.packing).array()}};
}
Outputs outputs(const BertForMaskedLM& model, const BertInput& input) {
  return {{"logits", model.logits(input, all_rows(input)).array()}};
}
Outputs outputs(const BertForPreTraining& model, const BertInput& input) {
  auto logits = model.logits(input, all_rows(input));
  return {{"prediction_logits", logits.prediction_logits.array()},
          {"seq_relationship_logits", logits.seq_relationship_logits.array()}};
}
Outputs outputs(const BertForQuestionAnswering& model, const BertInput& input) {
  auto logits = model.logits(input);
  return {{"start_logits", logits.start_logits.array()}, {"end_logits", logits.end_logits.array()}};
}
Outputs outputs(const BertForMultipleChoice& model, const BertInput& input) {
  return {{"logits", model.logits(input, 2).array()}};
}
template <class Model>
Outputs outputs(const Model& model, const BertInput& input) {
  return {{"logits", model.logits(input).array()}};
}

template <class Model>
bool run(const std::string& architecture, char** arguments) {
  if (architecture != Model::architecture) return false;
  auto pretrained = load_pretrained<Model>(arguments[1]);
  for (const LoadNote& note : pretrained.notes) std::printf("%s\n", note.str().c_str());
  Safetensors batch = read_safetensors(arguments[2]);
  BertInput input{*batch.find("ids"), *batch.find("token_type_ids"), {}};
  input.pass.packing.offsets = batch.find("offsets")->to_vector<int64_t>();
  NoGrad no_grad;
  write_safetensors(arguments[3], outputs(*pretrained.model, input));
  save_pretrained(*pretrained.model, pretrained.tokenizer, arguments[4], pretrained.max_length);
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: bert_outputs MODEL BATCH OUTPUTS COPY\n");
    return 2;
  }
  try {
    auto config = nlohmann::json::parse(read_file(std::string(argv[1]) + "/config.json"));
    std::string name = config.at("architectures").at(0);
    bool known = run<BertModel>(name, argv) || run<BertForPreTraining>(name, argv) ||
                 run<BertForMaskedLM>(name, argv) || run<BertForNextSentencePrediction>(name, argv) ||
                 run<BertForSequenceClassification>(name, argv) ||
                 run<BertForTokenClassification>(name, argv) || run<BertForQuestionAnswering>(name, argv) ||
                 run<BertForMultipleChoice>(name, argv);
    BERTIE_CHECK(known, "bert_outputs", "doesn't know {}", name);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bert_outputs: %s\n", error.what());
    return 1;
  }
  return 0;
}
