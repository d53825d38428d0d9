#include "ops/attention.h"

#include <algorithm>
#include <cmath>

#include "autograd/threads.h"
#include "ops/gemm.h"
#include "ops/kernels/dropout.h"
#include "ops/kernels/softmax.h"

namespace bertie {
namespace {

// How the tensors of one call lie in memory, and what all of its tasks share.
struct Setup {
  Packing packing;
  int64_t heads, H, D;
  DropoutMask dropout;
};

// One head of one sequence.
struct Place {
  int64_t sequence, head;
  int64_t first, S;  // its tokens: rows first … first + S - 1
};

// Calls task(place) for every head of every sequence; several in a row where they are small.
template <class Task>
void for_each_place(const Setup& setup, Task&& task) {
  const std::vector<int64_t>& offsets = setup.packing.offsets;
  int64_t work = 0;  // multiplications of one product, for one head
  for (int64_t n = 0; n < setup.packing.sequences(); ++n) {
    int64_t S = offsets[n + 1] - offsets[n];
    work += S * S * setup.D;
  }
  constexpr int64_t least_work = int64_t{1} << 19;
  int64_t grain = 1 + least_work / (work / std::max<int64_t>(1, setup.packing.sequences()) + 1);
  parallel_ranges(setup.packing.sequences() * setup.heads, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      int64_t sequence = i / setup.heads, first = offsets[sequence];
      if (int64_t S = offsets[sequence + 1] - first; S > 0) task(Place{sequence, i % setup.heads, first, S});
    }
  });
}

// The scratch of a task is a few blocks of this many queries, evened out, by all keys.
int64_t rows_per_block(int64_t S) {
  constexpr int64_t most = 128;
  int64_t blocks = (S + most - 1) / most;
  return (S + blocks - 1) / blocks;
}

// One head of one sequence, on one thread.
template <class T>
class HeadTask {
 public:
  HeadTask(const Setup& setup, const Place& place, const T* qkv)
      : setup_(setup),
        place_(place),
        scale_(1 / std::sqrt(static_cast<T>(setup.D))),
        start_(place.first * 3 * setup.H + place.head * setup.D),
        q_(qkv + start_),
        k_(q_ + setup.H),
        v_(k_ + setup.H) {}

  // y [T, H], log_sums [T, A]
  void forward(T* y, T* log_sums) const {
    int64_t S = place_.S, rows = rows_per_block(S), D = setup_.D;
    Array scratch = Array::empty({rows, S}, dtype_of<T>());
    T* p = scratch.mutable_data<T>();
    for (int64_t begin = 0; begin < S; begin += rows) {
      int64_t count = std::min(rows, S - begin);
      scores(begin, count, p);
      for (int64_t i = 0; i < count; ++i) {
        T* row = p + i * S;
        T shift = softmax_.row_max(row, S) * scale_;
        T sum = softmax_.exp_shifted(row, shift, scale_, row, S);
        if (setup_.dropout.rate == 0)
          softmax_.scale(row, 1 / sum, S);
        else
          drop(row, row, begin + i, 1 / sum);
        log_sums[(place_.first + begin + i) * setup_.heads + place_.head] = shift + std::log(sum);
      }
      multiply(count, D, S, {p, S}, {v_, 3 * setup_.H}, output(y, begin), setup_.H);
    }
  }

  // y and log_sums as forward() left them, dy [T, H], dqkv [T, 3H].
  //
  // With P = softmax(s), s = scale · Q Kᵀ, the mask M (which contains 1 / (1 − rate)) and y = (M ∘ P) V:
  //   dV = (M ∘ P)ᵀ dy,   dP = M ∘ (dy Vᵀ),   ds = P ∘ (dP − δ),   dQ = scale · ds K,   dK = scale · dsᵀ Q,
  // where δ_i = Σ_j P_ij dP_ij = Σ_j M_ij P_ij Σ_d dy_id V_jd = Σ_d dy_id y_id needs no row of P.
  void backward(const T* y, const T* log_sums, const T* dy, T* dqkv) const {
    int64_t S = place_.S, rows = rows_per_block(S), D = setup_.D, H = setup_.H;
    T *dq = dqkv + start_, *dk = dq + H, *dv = dk + H;
    bool drops = setup_.dropout.rate > 0;
    Array scratch = Array::empty({2, rows, S}, dtype_of<T>());
    T *p = scratch.mutable_data<T>(), *other = p + rows * S;
    for (int64_t begin = 0; begin < S; begin += rows) {
      int64_t count = std::min(rows, S - begin);
      const T* dy_block = output(dy, begin);
      T beta = begin == 0 ? 0 : 1;  // dK and dV collect a term from each block of queries
      scores(begin, count, p);
      for (int64_t i = 0; i < count; ++i) {
        T log_sum = log_sums[(place_.first + begin + i) * setup_.heads + place_.head];
        softmax_.exp_shifted(p + i * S, log_sum, scale_, p + i * S, S);
        if (drops) drop(p + i * S, other + i * S, begin + i, 1);
      }
      multiply(S, D, count, {drops ? other : p, S, true}, {dy_block, H}, dv, 3 * H, beta);
      multiply(count, S, D, {dy_block, H}, {v_, 3 * H, true}, other, S);  // dP, but for M
      for (int64_t i = 0; i < count; ++i) {
        T* row = other + i * S;
        if (drops) drop(row, row, begin + i, 1);
        T delta = softmax_.dot(dy_block + i * H, output(y, begin + i), D);
        softmax_.backward(p + i * S, row, delta, scale_, row, S);  // scale · ds
      }
      multiply(count, D, S, {other, S}, {k_, 3 * H}, dq + begin * 3 * H, 3 * H);
      multiply(S, D, count, {other, S, true}, {q_ + begin * 3 * H, 3 * H}, dk, 3 * H, beta);
    }
  }

 private:
  // Where this head's part of a row of y [T, H] begins.
  template <class Pointer>
  Pointer output(Pointer y, int64_t query) const {
    return y + (place_.first + query) * setup_.H + place_.head * setup_.D;
  }

  // Q Kᵀ for a block of queries → p [count, S]
  void scores(int64_t begin, int64_t count, T* p) const {
    multiply(count, place_.S, setup_.D, {q_ + begin * 3 * setup_.H, 3 * setup_.H}, {k_, 3 * setup_.H, true},
             p, place_.S);
  }

  void multiply(int64_t M, int64_t N, int64_t K, const Factor<T>& a, const Factor<T>& b, T* c,
                int64_t c_stride, T beta = 0) const {
    gemm_tile(Product<T>{.M = M, .N = N, .K = K, .a = a, .b = b, .c = c, .c_stride = c_stride, .beta = beta});
  }

  // to = M ∘ from · factor, for one query's row
  void drop(const T* from, T* to, int64_t query, T factor) const {
    dropout_.dropout_row(from, to, place_.S, setup_.dropout.key(), static_cast<uint32_t>(query),
                         static_cast<uint32_t>(setup_.packing.first_sequence + place_.sequence),
                         static_cast<uint32_t>(place_.head + 1), setup_.dropout.threshold(),
                         factor / static_cast<T>(1 - setup_.dropout.rate));
  }

  const Setup& setup_;
  Place place_;
  T scale_;
  int64_t start_;  // of this head's queries within qkv
  const T *q_, *k_, *v_;
  const SoftmaxKernels<T>& softmax_ = softmax_kernels<T>();
  const DropoutKernels<T>& dropout_ = dropout_kernels<T>();
};

}  // namespace

Tensor attention(const Tensor& qkv, const Packing& packing, int64_t heads, const DropoutMask& dropout) {
  check(static_cast<bool>(qkv), "attention", "needs a tensor with a value");
  check(qkv.shape().rank() == 2 && qkv.shape()[1] % 3 == 0, "attention", "qkv must be [T, 3H], got {}",
        qkv.shape());
  int64_t T = qkv.shape()[0], H = qkv.shape()[1] / 3;
  check(heads >= 1 && H >= heads && H % heads == 0, "attention",
        "the number of heads must divide H: H = {}, heads = {}", H, heads);
  check_packing("attention", packing, T);
  check_dropout("attention", dropout);
  Setup setup{packing, heads, H, H / heads, dropout};
  Array y = Array::empty({T, H}, qkv.dtype()), log_sums = Array::empty({T, heads}, qkv.dtype());
  dispatch("attention", qkv.dtype(), [&](auto zero) {
    using Number = decltype(zero);
    const Number* from = qkv.array().data<Number>();
    Number *to = y.mutable_data<Number>(), *sums = log_sums.mutable_data<Number>();
    for_each_place(setup,
                   [&](const Place& place) { HeadTask<Number>(setup, place, from).forward(to, sums); });
  });

  bool save = qkv.requires_grad();
  return record("attention", y, {qkv},
                [setup, qkv = save_if(save, qkv.array()), y = save_if(save, y),
                 log_sums = save_if(save, log_sums)](Array dy, const Needs&) -> Gradients {
                  Array dqkv = Array::empty(qkv.shape(), qkv.dtype());
                  dispatch("attention", qkv.dtype(), [&](auto zero) {
                    using Number = decltype(zero);
                    const Number *from = qkv.data<Number>(), *out = y.data<Number>(), *d = dy.data<Number>();
                    const Number* sums = log_sums.data<Number>();
                    Number* to = dqkv.mutable_data<Number>();
                    for_each_place(setup, [&](const Place& place) {
                      HeadTask<Number>(setup, place, from).backward(out, sums, d, to);
                    });
                  });
                  return {dqkv};
                });
}

}  // namespace bertie
