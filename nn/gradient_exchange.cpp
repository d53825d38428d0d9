#include "bertie/nn/gradient_exchange.h"

#include <algorithm>
#include <cstring>

#include "bertie/autograd/array.h"

namespace bertie {
namespace {

// Elements of a slice are a multiple of so many, so that no cache line is two processes'.
constexpr int64_t slice_unit = 16;

}  // namespace

std::vector<PartRange> parts_of_processes(int64_t parts, int count) {
  BERTIE_CHECK(count >= 1 && parts >= count, "processes",
               "{} parts of a step can't be divided among {} processes", parts, count);
  std::vector<PartRange> ranges;
  for (int64_t r = 0; r < count; ++r) ranges.push_back({parts * r / count, parts * (r + 1) / count});
  return ranges;
}

GradientExchange::GradientExchange(Processes& processes, ParameterBlock& parameters, int64_t bucket_bytes)
    : processes_(processes), parameters_(parameters) {
  const auto& segments = parameters.segments();
  for (size_t i = 0; i < segments.size(); ++i) segment_of_[segments[i].parameter.tensor.node().get()] = i;
  int64_t at_least = std::max<int64_t>(1, bucket_bytes / element_size(parameters.dtype()));
  within_.resize(segments.size());
  // A segment that is larger than a bucket becomes several, of smaller ones several become one.
  int64_t end = parameters.size();
  for (size_t i = segments.size(); i-- > 0;) {
    while (end - segments[i].begin >= at_least || (i == 0 && end > 0)) {
      int64_t begin = end - segments[i].begin >= 2 * at_least ? end - at_least : segments[i].begin;
      Bucket& bucket = buckets_.emplace_back(Bucket{begin, end, 0, {}});
      int64_t count = processes.count(), units = (end - begin + slice_unit - 1) / slice_unit;
      for (int64_t r = 0; r <= count; ++r)
        bucket.slices.push_back(begin + std::min(end - begin, units * r / count * slice_unit));
      end = begin;
    }
  }
  for (size_t i = 0; i < segments.size(); ++i) {
    auto overlaps = [&](const Bucket& b) { return b.begin < segments[i].end && b.end > segments[i].begin; };
    auto first = std::find_if(buckets_.begin(), buckets_.end(), overlaps);
    auto last = std::find_if_not(first, buckets_.end(), overlaps);
    within_[i] = {first - buckets_.begin(), last - buckets_.begin()};
  }
  thread_ = std::thread([this] { run(); });
}

GradientExchange::~GradientExchange() {
  {
    std::lock_guard lock(mutex_);
    ends_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void GradientExchange::begin(const PartTree& tree, const PartGradients& gradients) {
  std::lock_guard lock(mutex_);
  tree_ = tree;
  gradients_ = &gradients;
  sums_.clear();
  nodes_.clear();
  for (const PartRange& owned : parts_of_processes(tree.root().end, processes_.count()))
    nodes_.push_back(tree.within(owned));
  for (Bucket& bucket : buckets_) bucket.segments_left = 0;
  for (const auto& [first, end] : within_)
    for (size_t b = first; b < end; ++b) ++buckets_[b].segments_left;
  final_.assign(within_.size(), false);
  ready_ = done_ = 0;
  Array result = parameters_.gradients();
  result_ = result.mutable_bytes();  // here, as only this thread may count the changes of an array
}

// What no loss reached counts as zeros from here on.
void GradientExchange::mark_final(size_t segment, const Sums& sums) {
  const ParameterBlock::Segment& of = parameters_.segments()[segment];
  for (const PartGradients::Sum& sum : sums)
    if (!sum.holds[segment]) sum.block.flat(of.begin, {of.end - of.begin}).fill_zero();
  std::lock_guard lock(mutex_);
  final_[segment] = true;
  for (size_t b = within_[segment].first; b < within_[segment].second; ++b) --buckets_[b].segments_left;
  while (ready_ < buckets_.size() && buckets_[ready_].segments_left == 0) ++ready_;
  changed_.notify_all();
}

void GradientExchange::is_final(const Tensor& parameter) {
  auto found = segment_of_.find(parameter.node().get());
  if (found == segment_of_.end()) return;
  if (sums_.empty()) {
    sums_ = gradients_->sums();
    // The last one's are becoming final now.
    if (!sums_.empty()) sums_.back().holds.assign(within_.size(), true);
  }
  mark_final(found->second, sums_);
}

std::vector<bool> GradientExchange::finish() {
  Sums sums = gradients_->sums();
  if (sums_.empty()) sums_ = sums;
  std::vector<char> reached(within_.size() * processes_.count(), 0);
  for (size_t i = 0; i < within_.size(); ++i) {
    for (const PartGradients::Sum& sum : sums)
      if (sum.holds[i]) reached[within_.size() * processes_.rank() + i] = 1;
    if (!final_[i]) mark_final(i, sums);
  }
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return done_ == buckets_.size() || failure_; });
    if (failure_) std::rethrow_exception(failure_);
  }
  processes_.gather(std::as_writable_bytes(std::span(reached)),
                    std::vector<int64_t>(processes_.count(), std::ssize(within_)));
  std::vector<bool> holds(within_.size());
  for (size_t i = 0; i < reached.size(); ++i)
    if (reached[i]) holds[i % within_.size()] = true;
  return holds;
}

void GradientExchange::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return ends_ || (done_ < ready_ && !failure_); });
    if (ends_) return;
    const Bucket& bucket = buckets_[done_];
    lock.unlock();
    std::exception_ptr failure;
    try {
      dispatch_compute("gradient_exchange", parameters_.dtype(),
                       [&](auto zero) { reduce<decltype(zero)>(bucket); });
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    ++done_;
    failure_ = failure;
    changed_.notify_all();
  }
}

template <class T>
void GradientExchange::reduce(const Bucket& bucket) {
  auto rank = static_cast<size_t>(processes_.rank());
  size_t count = nodes_.size();
  int64_t own = bucket.slices[rank + 1] - bucket.slices[rank];
  // To each process its slice of all of this one's nodes.
  std::vector<int64_t> to, from;
  sent_.resize((bucket.end - bucket.begin) * nodes_[rank].size() * sizeof(T));
  std::byte* at = sent_.data();
  for (size_t r = 0; r < count; ++r) {
    int64_t bytes = (bucket.slices[r + 1] - bucket.slices[r]) * static_cast<int64_t>(sizeof(T));
    for (const PartGradients::Sum& sum : sums_) {
      std::memcpy(at, sum.block.data<T>() + bucket.slices[r], bytes);
      at += bytes;
    }
    to.push_back(bytes * std::ssize(nodes_[rank]));
    from.push_back(own * static_cast<int64_t>(sizeof(T)) * std::ssize(nodes_[r]));
  }
  int64_t total = 0;
  for (int64_t bytes : from) total += bytes;
  received_.resize(total);
  processes_.exchange(sent_, to, received_, from);

  // The places of PartSums lie one after the other at the beginning of what was received: a node never goes
  // to a place behind the one where it came.
  T* slices = reinterpret_cast<T*>(received_.data());
  auto add = [own](T* into, const T* from_there) {
    for (int64_t i = 0; i < own; ++i) into[i] += from_there[i];
  };
  PartSums sums(tree_);
  T* next = slices;
  for (const auto& of_process : nodes_) {
    for (const PartRange& node : of_process) {
      PartSums::Place place = sums.next(node);
      T* into = slices + place.place * own;
      if (place.adds)
        add(into, next);
      else if (into != next)
        std::copy(next, next + own, into);
      for (int64_t p = place.place; p > place.place - place.merges; --p)
        add(slices + (p - 1) * own, slices + p * own);
      next += own;
    }
  }
  T* result = static_cast<T*>(result_);
  std::copy(slices, slices + own, result + bucket.slices[rank]);
  std::vector<int64_t> sizes;
  for (size_t r = 0; r < count; ++r)
    sizes.push_back((bucket.slices[r + 1] - bucket.slices[r]) * static_cast<int64_t>(sizeof(T)));
  processes_.gather(std::as_writable_bytes(std::span(result + bucket.begin, bucket.end - bucket.begin)),
                    sizes);
}

}  // namespace bertie
