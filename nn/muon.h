// Muon: momentum whose matrices are orthogonalized before they are applied (Jordan 2024, "Muon: An optimizer
// for hidden layers in neural networks"), as torch.optim.Muon has it. AdamW turns each number of a gradient
// into a step of about the same size; Muon does so with each direction: of a matrix U S Vᵀ all singular
// values become about 1.
#pragma once
#include <optional>

#include "bertie/nn/optimizer.h"
#include "bertie/nn/orthogonalized.h"
#include "bertie/nn/processes.h"

namespace bertie {

// What a model's matrices of f32 are multiplied in where nobody says: in bf16 where the model is in bf16, or
// where products of it take less time (bf16_products_gain(), ops/gemm.h). Steps needn't be exact: as
// published, Muon multiplies in bf16 always.
DType orthogonalizing_products(bool model_in_bf16);

struct MuonOptions {
  double momentum = 0.9;  // torch.optim.Muon's is 0.95
  NewtonSchulz orthogonalization = two_iterations;
  std::optional<DType> products = {};  // of f32 matrices, f32 or bf16; none: see orthogonalizing_products()
  double step_size = 0.4;              // s; torch.optim.Muon's, scaled to match AdamW, is 0.2
  AdamOptions rest = {};               // of all other parameters; its weight decay is the matrices', too
};

// For the parameters of two axes within one module, such as an encoder; one of several names is as many
// matrices. With their gradient g, m ← μ m + (1 − μ) g; the step is along (1 − μ) g + μ m (Nesterov's):
//
//   θ ← θ − η λ θ − η · s √max(r, c) · orthogonalized((1 − μ) g + μ m)
//
// with s: the root mean square of a step's elements at rate 1 where all singular values are 1. AdamW's is
// about 0.2, and Muon bears about twice as much (docs/learning_per_hour.md); so one rate serves both (Liu et
// al., 2025, "Muon is scalable for LLM training", section 2.2). All other parameters are AdamW's. A matrix
// has m alone, in first_moment; second_moment leaves it out.
class Muon : public AdamW {
 public:
  // Of several processes each orthogonalizes its share of the matrices, and all get them; step() is
  // everyone's then. `processes` must outlive this. Throws where `within` has no such parameters in the
  // block.
  Muon(ParameterBlock& parameters, const Module& within, const MuonOptions& options = {},
       Processes& processes = this_process());
  std::string str() const override;

 private:
  // Those of one shape, which are orthogonalized together.
  struct Matrices {
    int64_t rows, columns;
    std::vector<int64_t> begins;  // in the block
  };
  Muon(ParameterBlock& parameters, const std::vector<size_t>& segments, const Module& within,
       const MuonOptions& options, Processes& processes);
  static std::vector<Gap> gaps_of(const ParameterBlock& parameters, const std::vector<size_t>& segments);
  void update_others(double learning_rate, double gradient_scale, double weight_decay) override;
  void update_matrices(const Matrices& matrices, size_t first, size_t count, double learning_rate,
                       double gradient_scale, double weight_decay);
  void orthogonalize(Array& directions) const;

  MuonOptions muon_;
  DType products_;
  Processes& processes_;
  std::string within_;
  std::vector<Matrices> matrices_;
};

// Of `all` matrices alike, how many are orthogonalized at a time: it takes memory for each.
int64_t orthogonalized_together(int64_t rows, int64_t columns, int64_t all, int processes = 1);
// The most bytes that a step takes for them in one of the processes, of f32, beside parameters and moments.
int64_t muon_memory(int64_t rows, int64_t columns, int64_t all, DType products, int processes = 1);

}  // namespace bertie
