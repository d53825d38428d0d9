#include "bertie/ops/attention.h"

#include <algorithm>
#include <cmath>

#include "bertie/autograd/conversion_table.h"
#include "bertie/autograd/threads.h"
#include "bertie/ops/kernels/attention.h"
#include "bertie/ops/kernels/dropout.h"
#include "bertie/ops/kernels/softmax.h"

namespace bertie {
namespace {

// How the tensors of one call lie in memory, and what all of its tasks share.
struct Setup {
  Packing packing;
  int64_t heads, H, D;
  DropoutMask dropout;
  bool causal;
};

// A few heads of one sequence.
struct Group {
  int64_t sequence;
  int64_t first, S;  // its tokens: rows first … first + S - 1
  int64_t head, end;
};

// Calls work(group) for groups that together are every head of every sequence; long sequences first, so that
// no thread is left with one at the end, and short ones several in a task.
template <class Work>
void for_each_group(const Setup& setup, Work&& work) {
  constexpr int64_t least_work = int64_t{1} << 19;  // of a task, in multiplications of one product
  std::vector<Group> groups;
  for (int64_t n = 0; n < setup.packing.sequences(); ++n) {
    int64_t first = setup.packing.offsets[n], S = setup.packing.offsets[n + 1] - first;
    int64_t heads = S > 256 ? 1 : 4;  // several: one head's rows are fetched while another is computed
    for (int64_t head = 0; head < setup.heads && S > 0; head += heads)
      groups.push_back({n, first, S, head, std::min(head + heads, setup.heads)});
  }
  std::stable_sort(groups.begin(), groups.end(), [](const Group& a, const Group& b) { return a.S > b.S; });
  std::vector<int64_t> ends = {0};  // of the tasks
  int64_t done = 0;
  for (int64_t i = 0, count = std::ssize(groups); i < count; ++i) {
    const Group& group = groups[i];
    done += (group.end - group.head) * group.S * group.S * setup.D;
    if (done < least_work && i + 1 < count) continue;
    ends.push_back(i + 1);
    done = 0;
  }
  parallel_tasks(std::ssize(ends) - 1, [&](int64_t task) {
    for (int64_t i = ends[task]; i < ends[task + 1]; ++i) work(groups[i]);
  });
}

int64_t whole_chunks(int64_t n) { return (n + attention_chunk - 1) / attention_chunk * attention_chunk; }

// Asks the caches for n numbers that will be read, or written.
template <bool write, class T>
void fetch(const T* row, int64_t n) {
  for (int64_t i = 0; i < n; i += 64 / sizeof(T)) __builtin_prefetch(row + i, write, 2);
}

// Some heads of one sequence, one after the other, on one thread. A head's matrices are copied to scratch, K
// and V also transposed: the products then read rows that lie side by side. Scores exist for one block of
// queries at a time, and where attention is causal, for the keys up to the block's last query; those after a
// query of the block are computed and then set to 0. What is stored as T is computed in C: where they differ,
// what the products read and write are copies.
template <class T>
class GroupTask {
  using C = Compute<T>;
  static constexpr bool in_place = std::is_same_v<T, C>;

 public:
  GroupTask(const Setup& setup, const Group& group, const T* qkv)
      : setup_(setup), group_(group), qkv_(qkv + group.first * 3 * setup.H) {
    blocks_ = (S_ + most_rows - 1) / most_rows;
    rows_ = (S_ + blocks_ - 1) / blocks_;
  }

  // y [T, H], sums [T, A]
  void forward(T* y, ScoreSum<C>* sums) const {
    int64_t copies = in_place ? 0 : 2 * S_ * width_ + rows_ * width_;
    Array scratch = Array::empty({(D_ + rows_) * stride_ + S_ * width_ + copies}, dtype_of<C>());
    C *kt = scratch.mutable_data<C>(), *p = kt + D_ * stride_, *v = p + rows_ * stride_;
    C *q_copy = v + S_ * width_, *k_copy = q_copy + S_ * width_, *y_copy = k_copy + S_ * width_;
    Array room = Array::empty({rows_ * words_stride_}, DType::i32);
    for (int64_t head = group_.head; head < group_.end; ++head) {
      const T* from = qkv_ + head * D_;
      Rows q = readable(from, q_copy), k = readable(from + H_, k_copy);
      kernels_.transpose(k.data, k.stride, S_, D_, kt, stride_);
      pack(from + 2 * H_, 3 * H_, v);
      bool apart = rows_apart({v});
      for (int64_t begin = 0; begin < S_; begin += rows_) {
        int64_t count = std::min(rows_, S_ - begin), keys = seen_by(begin + count - 1);
        T* out = output(y, head, begin);
        C shares[most_rows];
        scores(q, kt, begin, count, keys, p);
        const uint32_t* words = draw(head, begin, count, keys, room);
        for (int64_t i = 0; i < count; ++i) {
          if (head + 1 < group_.end) {
            for (int64_t part = 0; part < 3; ++part)
              fetch<false>(from + (begin + i) * 3 * H_ + part * H_ + D_, D_);
            fetch<true>(out + i * H_ + D_, D_);
          }
          C* row = p + i * stride_;
          int64_t seen = seen_by(begin + i);
          ScoreSum<C> sum = kernels_.softmax_row(row, seen, scale_, words + i * words_stride_, threshold_);
          std::fill(row + seen, row + keys, C(0));
          sums[(group_.first + begin + i) * setup_.heads + head] = sum;
          shares[i] = kept_ / sum.sum;
        }
        Place place = writable(out, H_, y_copy);
        if (apart)
          for (int64_t i = 0; i < count; ++i)
            kernels_.multiply({1, D_, seen_by(begin + i), p + i * stride_, stride_, 1, v, width_,
                               place.data + i * place.stride, place.stride});
        else
          kernels_.multiply({count, D_, keys, p, stride_, 1, v, width_, place.data, place.stride});
        for (int64_t i = 0; i < count; ++i)
          conversions_.store_scaled(place.data + i * place.stride, shares[i], out + i * H_, D_);
      }
    }
  }

  // y and sums as forward() left them, dy [T, H], dqkv [T, 3H].
  //
  // With P = softmax(s), s = scale · Q Kᵀ, the mask M (which contains 1 / (1 − rate)) and y = (M ∘ P) V:
  //   dV = (M ∘ P)ᵀ dy,   dP = M ∘ (dy Vᵀ),   ds = P ∘ (dP − δ),   dQ = scale · ds K,   dK = scale · dsᵀ Q,
  // where δ_i = Σ_j P_ij dP_ij = Σ_j M_ij P_ij Σ_d dy_id V_jd = Σ_d dy_id y_id needs no row of P.
  void backward(const T* y, const ScoreSum<C>* sums, const T* dy, T* dqkv) const {
    int64_t copies = in_place ? 0 : 4 * S_ * width_;
    Array scratch = Array::empty({2 * (D_ + rows_) * stride_ + 3 * S_ * width_ + copies}, dtype_of<C>());
    C *kt = scratch.mutable_data<C>(), *vt = kt + D_ * stride_;
    C *p = vt + D_ * stride_, *ds = p + rows_ * stride_;
    C *q = ds + rows_ * stride_, *k = q + S_ * width_, *d = k + S_ * width_;
    C *v_copy = d + S_ * width_, *dq_copy = v_copy + S_ * width_;
    C *dk_copy = dq_copy + S_ * width_, *dv_copy = dk_copy + S_ * width_;
    Array room = Array::empty({rows_ * words_stride_}, DType::i32);
    for (int64_t head = group_.head; head < group_.end; ++head) {
      const T* from = qkv_ + head * D_;
      T* to = dqkv + group_.first * 3 * H_ + head * D_;
      pack(from, 3 * H_, q);
      pack(from + H_, 3 * H_, k);
      pack(output(dy, head, 0), H_, d);
      Rows v = readable(from + 2 * H_, v_copy);
      kernels_.transpose(k, width_, S_, D_, kt, stride_);
      kernels_.transpose(v.data, v.stride, S_, D_, vt, stride_);
      Place dq = writable(to, 3 * H_, dq_copy), dk = writable(to + H_, 3 * H_, dk_copy),
            dv = writable(to + 2 * H_, 3 * H_, dv_copy);
      bool apart = rows_apart({q, k, d});
      for (int64_t block = 0; block < blocks_; ++block) {
        // dK and dV collect a term from each block of queries. The first one writes all of their rows: where
        // attention is causal, that is the last block.
        bool more = block > 0;
        int64_t begin = (setup_.causal ? blocks_ - 1 - block : block) * rows_, next = begin * width_;
        int64_t count = std::min(rows_, S_ - begin), keys = seen_by(begin + count - 1);
        scores({q, width_}, kt, begin, count, keys, p);
        const uint32_t* words = draw(head, begin, count, keys, room);
        kernels_.multiply({count, whole_chunks(keys), D_, d + next, width_, 1, vt, stride_, ds, stride_});
        for (int64_t i = 0; i < count; ++i) {
          const T *y_row = output(y, head, begin + i), *dy_row = output(dy, head, begin + i);
          if (head + 1 < group_.end) {
            for (int64_t part = 0; part < 3; ++part) {
              fetch<false>(from + (begin + i) * 3 * H_ + part * H_ + D_, D_);
              fetch<true>(to + (begin + i) * 3 * H_ + part * H_ + D_, D_);
            }
            fetch<false>(y_row + D_, D_);
            fetch<false>(dy_row + D_, D_);
          }
          ScoreSum<C> sum = sums[(group_.first + begin + i) * setup_.heads + head];
          C *p_row = p + i * stride_, *ds_row = ds + i * stride_;
          int64_t seen = seen_by(begin + i);
          // Rounded, y would bring δ an error beside which ds is small where attention is spread.
          C delta = in_place ? softmax_kernels<T>().dot(y_row, dy_row, D_) : C(0);
          kernels_.softmax_backward_row(p_row, ds_row, seen, scale_, sum, in_place ? &delta : nullptr,
                                        words + i * words_stride_, threshold_, kept_);
          std::fill(p_row + seen, p_row + keys, C(0));
          std::fill(ds_row + seen, ds_row + keys, C(0));
        }
        C* dq_rows = dq.data + begin * dq.stride;
        if (!apart) {
          kernels_.multiply({keys, D_, count, p, 1, stride_, d + next, width_, dv.data, dv.stride, more});
          kernels_.multiply({keys, D_, count, ds, 1, stride_, q + next, width_, dk.data, dk.stride, more});
          kernels_.multiply({count, D_, keys, ds, stride_, 1, k, width_, dq_rows, dq.stride});
          continue;
        }
        for (int64_t i = count; i-- > 0; more = true) {  // the last query sees all keys of the block
          int64_t seen = seen_by(begin + i), at = next + i * width_;
          const C *p_row = p + i * stride_, *ds_row = ds + i * stride_;
          kernels_.multiply({seen, D_, 1, p_row, 1, stride_, d + at, width_, dv.data, dv.stride, more});
          kernels_.multiply({seen, D_, 1, ds_row, 1, stride_, q + at, width_, dk.data, dk.stride, more});
          kernels_.multiply({1, D_, seen, ds_row, stride_, 1, k, width_, dq_rows + i * dq.stride, dq.stride});
        }
      }
      store(dq, to);
      store(dk, to + H_);
      store(dv, to + 2 * H_);
    }
  }

 private:
  static constexpr int64_t most_rows = 64;  // of a block: with 128 keys its scores stay in the first cache

  struct Rows {
    const C* data;
    int64_t stride;
  };
  struct Place {
    C* data;
    int64_t stride;
  };

  // A head's rows of q, k or v, as they are or copied.
  Rows readable(const T* from, C* copy) const {
    if constexpr (in_place)
      return {from, 3 * H_};
    else
      return pack(from, 3 * H_, copy), Rows{copy, width_};
  }
  // A copy of a head's rows, side by side, filled up with 0.
  void pack(const T* from, int64_t stride, C* to) const {
    if constexpr (in_place) return kernels_.copy(from, stride, S_, D_, to, width_);
    for (int64_t i = 0; i < S_; ++i, from += stride, to += width_) {
      conversions_.load(from, to, D_);
      std::fill(to + D_, to + width_, C(0));
    }
  }
  // Where products write what belongs to `to`: there, or into a copy, which store() brings there.
  Place writable(T* to, int64_t stride, C* copy) const {
    if constexpr (in_place)
      return {to, stride};
    else
      return {copy, width_};
  }
  void store(Place from, T* to) const {
    if constexpr (!in_place)
      for (int64_t i = 0; i < S_; ++i) conversions_.store(from.data + i * width_, to + i * 3 * H_, D_);
  }

  // Where a head's part of a row of y [T, H] begins.
  template <class Pointer>
  Pointer output(Pointer y, int64_t head, int64_t query) const {
    return y + (group_.first + query) * H_ + head * D_;
  }

  // How many keys, from the first on, a query attends to.
  int64_t seen_by(int64_t query) const { return setup_.causal ? query + 1 : S_; }

  // Where attention is causal, products over a block of queries multiply what a query doesn't see with 0.
  // That is the wrong thing to do with NaN and ∞, which are rare: then each query has products of its own.
  // `factors`: [S, width_]
  bool rows_apart(std::initializer_list<const C*> factors) const {
    return setup_.causal && std::any_of(factors.begin(), factors.end(), [&](const C* factor) {
             return !std::isfinite(softmax_kernels<C>().dot(factor, factor, S_ * width_));
           });
  }

  // Q Kᵀ for a block of queries → p [count, keys]
  void scores(Rows q, const C* kt, int64_t begin, int64_t count, int64_t keys, C* p) const {
    kernels_.multiply(
        {count, whole_chunks(keys), D_, q.data + begin * q.stride, q.stride, 1, kt, stride_, p, stride_});
  }

  // The random words of a block of queries, for keys 0 … keys-1; null where nothing is dropped.
  const uint32_t* draw(int64_t head, int64_t begin, int64_t count, int64_t keys, Array& room) const {
    if (words_stride_ == 0) return nullptr;
    uint32_t* words = reinterpret_cast<uint32_t*>(room.mutable_data<int32_t>());
    dropout_.random_words(count, keys, setup_.dropout.key(), static_cast<uint32_t>(begin),
                          static_cast<uint32_t>(setup_.packing.first_sequence + group_.sequence),
                          static_cast<uint32_t>(head + 1), words, words_stride_);
    return words;
  }

  const Setup& setup_;
  Group group_;
  const T* qkv_;  // of the sequence
  int64_t S_ = group_.S, H_ = setup_.H, D_ = setup_.D;
  int64_t width_ = whole_chunks(D_);  // of scratch rows of D numbers
  // And of S numbers: an odd number of chunks, so that a column uses all of a cache's sets.
  int64_t stride_ = (whole_chunks(S_) / attention_chunk | 1) * attention_chunk;
  int64_t blocks_, rows_;  // of queries, and queries in each
  C scale_ = 1 / std::sqrt(static_cast<C>(D_));
  C kept_ = static_cast<C>(1 / (1 - setup_.dropout.rate));
  int64_t words_stride_ = setup_.dropout.rate > 0
                              ? (S_ + dropout_block - 1) / dropout_block* dropout_block + 16
                              : 0;
  uint32_t threshold_ = setup_.dropout.threshold();
  const DropoutKernels<T>& dropout_ = dropout_kernels<T>();
  const ConversionKernels<T>& conversions_ = conversion_kernels<T>();
  const AttentionKernels<C>& kernels_ = attention_kernels<C>();
};

}  // namespace

Tensor attention(const Tensor& qkv, const Packing& packing, int64_t heads, const AttentionOptions& options) {
  check_value("attention", qkv);
  BERTIE_CHECK(qkv.shape().rank() == 2 && qkv.shape()[1] % 3 == 0, "attention", "qkv must be [T, 3H], got {}",
               qkv.shape());
  int64_t T = qkv.shape()[0], H = qkv.shape()[1] / 3;
  BERTIE_CHECK(heads >= 1 && H >= heads && H % heads == 0, "attention",
               "the number of heads must divide H: H = {}, heads = {}", H, heads);
  check_packing("attention", packing, T);
  check_dropout("attention", options.dropout);
  Setup setup{packing, heads, H, H / heads, options.dropout, options.causal};
  Array y = Array::empty({T, H}, qkv.dtype()), sums = Array::empty({T, heads, 2}, compute_type(qkv.dtype()));
  dispatch("attention", qkv.dtype(), [&](auto zero) {
    using Number = decltype(zero);
    const Number* from = qkv.array().data<Number>();
    Number* to = y.mutable_data<Number>();
    auto* row_sums = static_cast<ScoreSum<Compute<Number>>*>(sums.mutable_bytes());
    for_each_group(setup,
                   [&](const Group& group) { GroupTask<Number>(setup, group, from).forward(to, row_sums); });
  });

  bool save = qkv.requires_grad();
  return record("attention", y, {qkv},
                [setup, qkv = save_if(save, qkv.array()), y = save_if(save, y), sums = save_if(save, sums)](
                    Array dy, const Needs&) -> Gradients {
                  Array dqkv = Array::empty(qkv.shape(), qkv.dtype());
                  dispatch("attention", qkv.dtype(), [&](auto zero) {
                    using Number = decltype(zero);
                    const Number *from = qkv.data<Number>(), *out = y.data<Number>(), *d = dy.data<Number>();
                    const auto* row_sums = static_cast<const ScoreSum<Compute<Number>>*>(sums.bytes_begin());
                    Number* to = dqkv.mutable_data<Number>();
                    for_each_group(setup, [&](const Group& group) {
                      GroupTask<Number>(setup, group, from).backward(out, row_sums, d, to);
                    });
                  });
                  return {dqkv};
                });
}

}  // namespace bertie
