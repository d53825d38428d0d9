// What a BERT is made of, under the names of transformers' config.json.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bertie/data/files/load_note.h"

namespace bertie {

struct BertConfig {
  int64_t vocab_size = 30522;
  int64_t hidden_size = 768;
  int64_t num_hidden_layers = 12;
  int64_t num_attention_heads = 12;
  int64_t intermediate_size = 3072;
  int64_t max_position_embeddings = 512;
  int64_t type_vocab_size = 2;
  std::string hidden_act = "gelu";
  double hidden_dropout_prob = 0.1;
  double attention_probs_dropout_prob = 0.1;
  double initializer_range = 0.02;
  double layer_norm_eps = 1e-12;
  int64_t pad_token_id = 0;
  std::optional<double> classifier_dropout;  // of a head; none: hidden_dropout_prob
  bool tie_word_embeddings = true;           // the MLM head's decoder is the word embeddings' table
  std::string architecture;                  // the class whose weights it was of; empty: not told
  std::string problem_type;                  // of BertForSequenceClassification, or empty: see there
  std::vector<std::string> labels{"LABEL_0", "LABEL_1"};  // id2label; label2id is its inverse
  std::string
      labels_problem;  // why config.json has none, though it names some; empty: there is nothing wrong

  int64_t num_labels() const;       // throws where there is a labels_problem: only some heads care
  int64_t parameter_count() const;  // of embeddings, encoder and pooler

  // Throws on a size below 1 or beyond reason, or of which the parameters don't fit into this machine's
  // memory, rates outside 0 … 1, heads that don't divide the hidden size, and unknown names. What only a head
  // needs (labels, problem_type, classifier_dropout) is judged where that is made.
  void check_values(const std::string& where) const;
};

// The published sizes (Turc et al., 2019; Devlin et al., 2018). tiny, mini, small, medium and base have 2, 4,
// 4, 8 and 12 layers of hidden size 128, 256, 512, 512 and 768, a head per 64 channels, and an intermediate
// size of four times the hidden size.
BertConfig bert_preset(const std::string& name);  // throws on another name
const std::vector<std::string>& bert_preset_names();

// config.json. Keys that are missing have transformers' defaults, except the sizes, which must be there;
// unknown keys are ignored, and named in a note. Throws, naming the file and the key, on what bertie doesn't
// compute (first of all another model_type; relative positions, decoder mode) and on wrong types and values.
BertConfig read_bert_config(const std::string& path, std::vector<LoadNote>* notes = nullptr);
// What is written there: all of the configuration. `architecture` is the class that transformers will make of
// it, e.g. "BertForMaskedLM".
std::string bert_config_json(const BertConfig& config, const std::string& architecture);
void write_bert_config(const std::string& path, const BertConfig& config, const std::string& architecture);

}  // namespace bertie
