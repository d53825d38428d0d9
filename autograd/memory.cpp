#include "bertie/autograd/memory.h"

#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>
#include <set>
#include <unordered_map>

#include "bertie/autograd/error.h"

namespace bertie {
namespace {

constexpr int64_t alignment = 64;
constexpr int64_t region_bytes = int64_t{256} << 20;        // pages become memory when they are written
constexpr int64_t scarce_region_bytes = int64_t{16} << 20;  // where addresses are limited
constexpr int64_t arena_bytes = int64_t{1} << 40;  // address space, so that each region joins the one before

// Free blocks by address (to merge neighbors) and by size (best fit, lowest address first).
class Allocator {
 public:
  void set_options(const MemoryOptions& options) {
    std::lock_guard lock(mutex_);
    BERTIE_CHECK(!started_, "memory", "options must be set before the first array");
    options_ = options;
  }

  void* allocate(int64_t bytes) {
    int64_t size = std::max(alignment, (bytes + alignment - 1) / alignment * alignment);
    std::lock_guard lock(mutex_);
    start();
    char* block = take(size);
    used_.emplace(block, size);
    counters_.live_bytes += size;
    counters_.peak_bytes = std::max(counters_.peak_bytes, counters_.live_bytes);
    return block;
  }

  void release(void* pointer) {
    std::lock_guard lock(mutex_);
    auto found = used_.find(static_cast<char*>(pointer));
    if (found == used_.end()) return;
    auto [block, size] = *found;
    used_.erase(found);
    counters_.live_bytes -= size;
    give_back(block, size);
  }

  MemoryCounters counters() {
    std::lock_guard lock(mutex_);
    return counters_;
  }

  void give_back_free_memory() {
#ifndef BERTIE_SANITIZE
    std::lock_guard lock(mutex_);
    static const uintptr_t page = sysconf(_SC_PAGESIZE);
    for (auto [block, size] : by_address_) {
      auto begin = reinterpret_cast<uintptr_t>(block), end = begin + size;
      begin = (begin + page - 1) / page * page;
      end = end / page * page;
      if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
    }
#endif
  }

  void reset_peak() {
    std::lock_guard lock(mutex_);
    counters_.peak_bytes = counters_.live_bytes;
  }

 private:
  // Whatever isn't an array comes from malloc, above all the copies of factors that oneDNN makes in each
  // product. By default glibc gives such blocks back to the system each time, to fault all their pages in
  // again: it shall keep them, also where they fill a heap (of 64 MiB) of their own.
  void start() {
    if (started_) return;
    started_ = true;
    if (!options_.tune_malloc) return;
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    mallopt(M_TOP_PAD, 64 << 20);
  }

#ifdef BERTIE_SANITIZE
  char* take(int64_t size) {
    void* block = std::aligned_alloc(alignment, size);
    BERTIE_CHECK(block != nullptr, "memory", "the system has no {} bytes more", size);
    return static_cast<char*>(block);
  }
  void give_back(char* block, int64_t) { std::free(block); }
#else
  char* take(int64_t size) {
    auto fit = by_size_.lower_bound({size, nullptr});
    if (fit == by_size_.end()) {
      reserve(size);
      fit = by_size_.lower_bound({size, nullptr});
    }
    auto [free_size, block] = *fit;
    by_size_.erase(fit);
    by_address_.erase(block);
    if (free_size > size) add_free(block + size, free_size - size);
    return block;
  }

  void give_back(char* block, int64_t size) {
    auto next = by_address_.lower_bound(block);
    if (next != by_address_.end() && block + size == next->first) {
      size += next->second;
      by_size_.erase({next->second, next->first});
      next = by_address_.erase(next);
    }
    if (next != by_address_.begin()) {
      auto previous = std::prev(next);
      if (previous->first + previous->second == block) {
        block = previous->first;
        size += previous->second;
        by_size_.erase({previous->second, previous->first});
        by_address_.erase(previous);
      }
    }
    add_free(block, size);
  }

  void add_free(char* block, int64_t size) {
    by_address_.emplace(block, size);
    by_size_.emplace(size, block);
  }

  void reserve(int64_t size) {
    int64_t unit = has_arena() ? region_bytes : scarce_region_bytes;
    int64_t bytes = (size + unit - 1) / unit * unit;
    char* region = next_region(bytes);
    BERTIE_CHECK(region != nullptr, "memory", "the system has no {} bytes more ({} are live)", bytes,
                 counters_.live_bytes);
    // Where few rows meet a large weight, looking up its pages takes 2 to 4 % of the time. May be refused.
    madvise(region, bytes, MADV_HUGEPAGE);
    counters_.reserved_bytes += bytes;
    ++counters_.system_requests;
    give_back(region, bytes);
  }

  bool has_arena() {
    if (!arena_ && options_.reserve_addresses)
      arena_ = static_cast<char*>(mmap(nullptr, arena_bytes, PROT_NONE, region_kind, -1, 0));
    return arena_ && arena_ != MAP_FAILED;
  }

  // From the arena, or, where it was declined or a limit of address space doesn't let it exist, from
  // anywhere.
  char* next_region(int64_t bytes) {
    if (has_arena() && counters_.reserved_bytes + bytes <= arena_bytes) {
      char* region = arena_ + counters_.reserved_bytes;
      return mprotect(region, bytes, PROT_READ | PROT_WRITE) == 0 ? region : nullptr;
    }
    void* region = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, region_kind, -1, 0);
    return region == MAP_FAILED ? nullptr : static_cast<char*>(region);
  }

  static constexpr int region_kind = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  char* arena_ = nullptr;

  std::map<char*, int64_t> by_address_;
  std::set<std::pair<int64_t, char*> > by_size_;
#endif
  std::mutex mutex_;
  MemoryOptions options_;
  bool started_ = false;  // with the first array
  std::unordered_map<char*, int64_t> used_;
  MemoryCounters counters_{};
};

Allocator& allocator() {
  static Allocator& instance = *new Allocator;  // never destroyed: arrays of other statics may outlive it
  return instance;
}

}  // namespace

MemoryCounters memory_counters() { return allocator().counters(); }

void give_back_free_memory() { allocator().give_back_free_memory(); }

void reset_peak() { allocator().reset_peak(); }

void set_memory_options(const MemoryOptions& options) { allocator().set_options(options); }

void* allocate(int64_t bytes) {
  BERTIE_CHECK(bytes >= 0 && bytes < int64_t{1} << 56, "memory", "can't allocate {} bytes", bytes);
  return allocator().allocate(bytes);
}

void release(void* block) {
  if (block) allocator().release(block);
}

}  // namespace bertie
