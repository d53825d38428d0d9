// Where the memory of pre-training goes: the bytes of arrays that a BERT has alive at a training step's peak,
// known before the first step from the sizes alone. A step with AdamW holds, in numbers of 4 bytes,
//
//   P          weights, in one block (nn/parameter_block.h)
//   P          their gradients; of a step in several logical parts as many such blocks as places_for() of
//              nn/part_tree.h says
//   2 P        the optimizer's two moments; with Muon, its matrices have one alone
//   S          what the forward pass saves for the backward pass, grown to its whole size where that begins
//   and what is needed at one moment besides.
//
// For T tokens, of which M are scored, in L layers of H channels, A heads and I inner channels:
//
//   S = L T (8 H + 2 A + I) + T (H + 3)    of a layer: its input, queries, keys and values, attention's
//                                          result, the sums before both LayerNorms, the feed-forward part's
//                                          input: 1 + 3 + 1 + 2 + 1 = 8 times H; the sums of attention's
//                                          rows, which stand for its probabilities; I numbers before the
//                                          activation. Then the sum of the embeddings, and three ids
//   M (4 H + V + 2)                        the head's: its rows, before the activation, behind it, behind
//                                          LayerNorm; the logits, in whose place their gradient is written
//
// In bf16 what is saved takes 2 bytes a number, but for the sums of the embeddings and of attention's rows,
// and the weights 2 P bytes more. And a layer saves fewer numbers, 6 H: neither its input, but for that of
// the first layer, nor that of the feed-forward part, which are results of LayerNorm, nor, where GELU is the
// activation and unless it is one of the last layers_keeping_inner() (models/bert.h), the I numbers before
// it. The backward pass computes them again when it comes to the layer.
//
// Dropout saves nothing, since its masks are drawn again. So for base, a batch of 8,192 tokens takes 12 ·
// 8192 · (8 · 768 + 24 + 3072) · 4 bytes = 3.6 GB, in bf16 12 · 8192 · (6 · 768 · 2 + 24 · 4) = 0.9 GB and
// one layer's inner numbers 0.05 GB; weights and the like 1.8 GB, 1,229 rows of logits 0.15 GB.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "bertie/models/bert_config.h"
#include "bertie/nn/precision.h"

namespace bertie {

// What is computed at a time: a batch, or a part of one.
struct BatchSize {
  int64_t tokens = 0;
  int64_t scored = 0;  // rows of the masked language model's head
  int64_t sequences = 0;
  int64_t longest = 0;  // tokens of the longest sequence
};

struct BertMemoryOptions {
  bool next_sentence = false;  // BertForPreTraining, else BertForMaskedLM
  // One of several parts of a step, which makes each weight's gradient beside that of a part before.
  bool in_parts = false;
  int threads = 1;                                 // each has rows of attention's scores of its own
  Precision precision = Precision::of_parameters;  // f32, or bf16
  bool muon = false;                               // orthogonalizes the encoder's matrices, else AdamW
  int processes = 1;                               // that do so together
};

// A moment at which the most may be alive.
struct MemoryMoment {
  std::string name;  // "backward through the decoder"
  int64_t bytes;     // of activations and what else there is beside weights, gradients and moments
};

// Parameters of BertForMaskedLM, or of BertForPreTraining.
int64_t pretraining_parameters(const BertConfig& config, bool next_sentence);
// Of them, those of two axes within the encoder.
int64_t encoder_matrix_parameters(const BertConfig& config);

// The candidates of a training step. Which is the largest depends on the sizes.
std::vector<MemoryMoment> training_moments(const BertConfig& config, const BatchSize& batch,
                                           const BertMemoryOptions& options);
// The same of a forward pass that records nothing, and the words' log-probabilities of it: what an evaluation
// takes.
std::vector<MemoryMoment> evaluation_moments(const BertConfig& config, const BatchSize& batch, int threads,
                                             Precision precision = Precision::of_parameters);

// The largest; the first of equal ones. There must be one.
const MemoryMoment& peak_of(const std::vector<MemoryMoment>& moments);

}  // namespace bertie
