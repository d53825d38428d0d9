// Where arrays live. The allocator reserves large regions and splits and merges blocks within them, so that
// steps of changing size ask the system for nothing once the largest has been seen. In the sanitize build
// every block is a malloc of its own, so that the sanitizer sees each overrun.
#pragma once
#include <cstdint>

namespace bertie {

struct MemoryCounters {
  int64_t live_bytes;       // in arrays now
  int64_t peak_bytes;       // the most since the start, or since reset_peak()
  int64_t reserved_bytes;   // of regions that the system made usable
  int64_t system_requests;  // how often it was asked for one
};

MemoryCounters memory_counters();
void reset_peak();  // to what is live now

// What concerns the whole process, also the code in it that isn't bertie's. It happens with the first array.
struct MemoryOptions {
  // glibc's malloc keeps what is freed instead of giving it back to the system (mallopt: M_MMAP_THRESHOLD of
  // 32 MiB, M_TRIM_THRESHOLD of 1 GiB, M_TOP_PAD of 64 MiB), since oneDNN frees in each product what it needs
  // again in the next.
  bool tune_malloc = true;
  // One TiB of addresses is reserved, of which the arrays' regions are made usable as they are needed; the
  // process looks that large to tools that print addresses (VIRT, VmSize), and takes no memory for it.
  // Without it, regions lie anywhere and may not merge.
  bool reserve_addresses = true;
};

// To decline them: throws once there has been an array. The sanitize build reserves nothing in any case.
void set_memory_options(const MemoryOptions& options);

// What arrays have left becomes the system's again, until it is wanted. For after the loading of a model, of
// which more was alive than what it keeps; a training step would get it back page by page.
void give_back_free_memory();

// 64-byte aligned; throws Error where the system refuses the address space.
void* allocate(int64_t bytes);
void release(void* block);  // nullptr is allowed

}  // namespace bertie
