#include "bertie/models/bert_memory.h"

#include <algorithm>

#include "bertie/autograd/error.h"
#include "bertie/models/bert.h"
#include "bertie/nn/muon.h"
#include "bertie/ops/kernels/attention.h"

namespace bertie {
namespace {

constexpr int64_t number = 4;  // bytes of an f32

// The letters of the header, and what all moments are made of, in bytes.
struct Sizes {
  Sizes(const BertConfig& config, const BatchSize& batch, bool next_sentence, Precision precision)
      : T(batch.tokens),
        M(batch.scored),
        N(next_sentence ? batch.sequences : 0),
        V(config.vocab_size),
        H(config.hidden_size),
        I(config.intermediate_size),
        A(config.num_attention_heads),
        L(config.num_hidden_layers),
        rounds(precision == Precision::bf16),
        active(rounds ? 2 : number) {
    bool is_gelu = config.hidden_act == "gelu" || config.hidden_act == "gelu_new";
    norm_again = rounds ? active * T * H : 0;
    inner_again = rounds && is_gelu ? active * T * I : 0;
    int64_t keeping = layers_keeping_inner(L, T, I);
    layers = L * (T * (active * (8 * H + I) + number * 2 * A) - 2 * norm_again) + norm_again -
             (L - keeping) * inner_again + number * T * (H + 3);
    if (keeping > 0) inner_again = 0;
    // These find their gradient from their result, which LayerNorm saves anyway.
    bool one_saved = config.hidden_act == "relu" || config.hidden_act == "tanh";
    unsaved = one_saved ? active * M * H : 0;
    head = M * (active * (4 * H + V) + number * 2) - unsaved + number * 2 * N * H;
    D = config.hidden_dropout_prob > 0 ? 1 : 0;
    if (rounds && config.hidden_act == "tanh") {
      layers += number * L * T * I;  // by way of f32, with that result saved
      head += number * M * H;
    }
  }
  int64_t T, M, N, V, H, I, A, L;
  bool rounds;           // what is stored isn't what is computed in
  int64_t active;        // bytes of an activation
  int64_t layers, head;  // all that is saved
  // What the last layer computes again instead: a LayerNorm's result, and that of the feed-forward part's
  // first product.
  int64_t norm_again, inner_again;
  int64_t unsaved;  // of what the head computes before its activation
  int64_t D;        // dropout's gradient needs memory of its own where the residual shares it
};

// Those of words, token types and positions, the sum of two and of all, and three ids of each token.
int64_t embeddings(const Sizes& s) { return number * (5 * s.T * s.H + 3 * s.T); }

// The sums of column_sum(): a gradient of a bias, and those of blocks of rows before it.
int64_t bias_sums(int64_t rows, int64_t columns) {
  return number * columns * (rows > 64 ? 1 + (rows + 63) / 64 : 1);
}

// That of all threads in attention: GroupTask in ops/attention.cpp; forward without dropout. (What products
// of few rows need, few_rows() in ops/gemm_call.cpp, isn't counted: at most 1.5 MB a thread.)
int64_t attention_scratch(const BertConfig& config, const BatchSize& batch, int threads, bool rounds,
                          bool backward) {
  auto chunks = [](int64_t n) { return (n + attention_chunk - 1) / attention_chunk * attention_chunk; };
  int64_t S = batch.longest, A = config.num_attention_heads, D = config.hidden_size / A;
  int64_t tasks = batch.sequences * (S > 256 ? A : (A + 3) / 4);
  int64_t rows = std::min<int64_t>(S, 64), width = chunks(D);
  int64_t stride = (chunks(S) / attention_chunk | 1) * attention_chunk;
  int64_t words = backward && config.attention_probs_dropout_prob > 0 ? rows * (chunks(S) + 64) : 0;
  int64_t own = backward ? 2 * (D + rows) * stride + 3 * S * width : (D + rows) * stride + S * width;
  if (rounds) own += backward ? 4 * S * width : (2 * S + rows) * width;
  return number * std::min<int64_t>(threads, tasks) * (own + words);
}

}  // namespace

int64_t pretraining_parameters(const BertConfig& config, bool next_sentence) {
  int64_t H = config.hidden_size, V = config.vocab_size, square = H * (H + 1);
  int64_t head = square + 2 * H + V + (config.tie_word_embeddings ? 0 : V * H);
  return config.parameter_count() - (next_sentence ? 0 : square) + head + (next_sentence ? 2 * H + 2 : 0);
}

int64_t encoder_matrix_parameters(const BertConfig& config) {
  int64_t H = config.hidden_size;
  return config.num_hidden_layers * (4 * H * H + 2 * H * config.intermediate_size);
}

std::vector<MemoryMoment> training_moments(const BertConfig& config, const BatchSize& batch,
                                           const BertMemoryOptions& options) {
  const Sizes s(config, batch, options.next_sentence, options.precision);
  int64_t TH = s.active * s.T * s.H, TI = s.active * s.T * s.I, MH = s.active * s.M * s.H;
  int64_t all = s.layers + s.head;
  // What isn't saved is there while it is used: within a layer its input, but for the first layer, and the
  // feed-forward part's.
  int64_t input = s.L > 1 ? s.norm_again : 0, middle = s.norm_again, inner = s.inner_again;
  // A weight's gradient beside that of a part before. That of the decoder, where the word embeddings are its
  // weight, waits for theirs until the end.
  auto weight = [&](int64_t size) { return options.in_parts ? number * size : 0; };
  int64_t waits = config.tie_word_embeddings ? weight(s.V * s.H) : 0;
  int64_t scratch = attention_scratch(config, batch, options.threads, s.rounds, true);
  auto orthogonalizing = [&](int64_t rows, int64_t columns, int64_t matrices) {
    return muon_memory(rows, columns, matrices, orthogonalizing_products(s.rounds), options.processes);
  };
  int64_t squares = s.H == s.I ? 6 * s.L : 4 * s.L;  // of the shape [H, H]
  int64_t update = options.muon ? std::max({orthogonalizing(s.H, s.H, squares),
                                            orthogonalizing(s.I, s.H, s.L), orthogonalizing(s.H, s.I, s.L)})
                                : 0;
  // Backward, the last layer is the first to come, while all of the others' is still there. So each moment
  // within a layer has its largest memory there, and what the head saved is gone.
  return {
      {"the embeddings", embeddings(s)},
      {"the last layer's feed-forward part", s.layers + TH + TI + input + middle + inner},
      {"the last layer's end", s.layers + (3 + s.D) * TH + input + middle},
      // Behind the last layer the hidden states are there until the head has computed its logits.
      {"the head", all + TH + s.unsaved},
      {"backward through the logits", all + (options.next_sentence ? TH : 0)},
      // The gradient of the head's input, and where the pooler was first, that of all hidden states.
      {"backward through the decoder",
       all + MH + weight(s.V * s.H) + bias_sums(s.M, s.V) + (options.next_sentence ? TH : 0)},
      {"backward into the last layer", s.layers + TH + MH + waits},
      // s₂, before LayerNorm, has been used: −TH. Its gradient goes on beside the feed-forward part and,
      // through dropout, into it, where each of the I inner channels gets one.
      {"backward through the feed-forward part's second product",
       s.layers + s.D * TH + TI + inner + weight(s.H * s.I) + bias_sums(s.T, s.H) + waits},
      {"backward through its first product",
       s.layers + TH + middle + inner + weight(s.H * s.I) + bias_sums(s.T, s.I) + waits},
      // −3TH: both sums and the feed-forward part's input have been used; the gradients of the layer's
      // input, of attention's result, and of queries, keys and values make 5.
      {"backward through attention", s.layers - 3 * TH - TI + middle + inner + 5 * TH + scratch + waits},
      // Attention's 4TH and its sums have been used, too.
      {"backward through queries, keys and values",
       s.layers - 7 * TH - TI + middle + inner - number * 2 * s.T * s.A + 5 * TH + input +
           weight(3 * s.H * s.H) + bias_sums(s.T, 3 * s.H) + waits},
      {"the update of the weights", update},
  };
}

std::vector<MemoryMoment> evaluation_moments(const BertConfig& config, const BatchSize& batch, int threads,
                                             Precision precision) {
  const Sizes s(config, batch, false, precision);
  int64_t TH = s.active * s.T * s.H, MV = s.M * s.V;
  int64_t scratch = attention_scratch(config, batch, threads, s.rounds, false);
  // The embeddings are there until the last layer has ended; of a single one they are the input.
  int64_t first = s.L > 1 ? TH : 0;
  return {
      {"the embeddings", embeddings(s)},
      {"attention", first + 5 * TH + number * 2 * s.T * s.A + scratch},
      {"the feed-forward part", first + 4 * TH + 2 * s.active * s.T * s.I},
      {"a layer's end", first + 6 * TH},
      {"the head", TH + s.active * s.M * 4 * s.H + (s.rounds ? s.active : 0) * MV + number * MV},
      {"the words' log-probabilities", number * 2 * MV},
  };
}

const MemoryMoment& peak_of(const std::vector<MemoryMoment>& moments) {
  BERTIE_CHECK(!moments.empty(), "memory", "there is no peak of no moments");
  return *std::max_element(moments.begin(), moments.end(),
                           [](const MemoryMoment& a, const MemoryMoment& b) { return a.bytes < b.bytes; });
}

}  // namespace bertie
