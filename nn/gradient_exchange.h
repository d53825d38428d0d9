// Adds up the gradients of a step's parts over all processes, in the tree of nn/part_tree.h, while the
// backward pass goes on.
//
// The block of gradients is cut into buckets, the same on every process. As soon as all of a bucket is final,
// a thread of its own sends it off, from the end of the block to its beginning, as backward passes go: each
// process gets from all others a slice of the bucket, adds up what they send of it, and gives the sum to all
// (a reduce-scatter and an all-gather, in which an order of the sums can be chosen). So everything travels
// twice, however many processes there are.
#pragma once
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "bertie/nn/part_gradients.h"
#include "bertie/nn/processes.h"

namespace bertie {

// The parts of each process, by rank: consecutive ones, as evenly as can be. Throws where there are fewer
// parts than processes.
std::vector<PartRange> parts_of_processes(int64_t parts, int count);

class GradientExchange {
 public:
  // Both must outlive this. bucket_bytes: at least so many per bucket, but for the one at the block's
  // beginning.
  GradientExchange(Processes& processes, ParameterBlock& parameters, int64_t bucket_bytes = int64_t{4} << 20);
  ~GradientExchange();
  GradientExchange(const GradientExchange&) = delete;
  GradientExchange& operator=(const GradientExchange&) = delete;

  // Everyone's. A step of so many parts begins; `gradients` gets those of this process.
  void begin(const PartTree& tree, const PartGradients& gradients);
  // All of this process's parts have given their gradient of the parameter.
  void is_final(const Tensor& parameter);
  // Everyone's: all parts of this process are done. Afterwards the sums are in parameters.gradients().
  // Returns whether a loss of any process reached the parameter, by number of the segment.
  std::vector<bool> finish();

 private:
  struct Bucket {
    int64_t begin, end;           // elements
    int64_t segments_left = 0;    // that aren't final yet
    std::vector<int64_t> slices;  // begin of each process's slice, and the end of the last
  };
  // Of this process: its nodes, where their sums lie, and which segments they have.
  using Sums = std::vector<PartGradients::Sum>;

  void run();
  void mark_final(size_t segment, const Sums& sums);
  template <class T>
  void reduce(const Bucket& bucket);

  Processes& processes_;
  ParameterBlock& parameters_;
  std::unordered_map<const Node*, size_t> segment_of_;
  std::vector<Bucket> buckets_;                    // from the end of the block to its beginning
  std::vector<std::pair<size_t, size_t>> within_;  // the buckets that a segment lies in: first, end
  std::vector<std::byte> sent_, received_;
  std::vector<bool> final_;  // segments of this step
  void* result_ = nullptr;   // of parameters_.gradients()

  PartTree tree_{1};
  std::vector<std::vector<PartRange>> nodes_;  // of each process
  const PartGradients* gradients_ = nullptr;
  Sums sums_;

  std::mutex mutex_;
  std::condition_variable changed_;
  size_t ready_ = 0;  // buckets that are final, and all before them
  size_t done_ = 0;   // that were exchanged
  bool ends_ = false;
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace bertie
