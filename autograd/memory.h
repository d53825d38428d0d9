// Where arrays live. The allocator reserves large regions and splits and merges blocks within them, so that
// steps of changing size ask the system for nothing once the largest has been seen. In the sanitize build
// every block is a malloc of its own, so that the sanitizer sees each overrun.
#pragma once
#include <cstdint>

namespace bertie {

struct MemoryCounters {
  int64_t live_bytes;       // in arrays now
  int64_t peak_bytes;       // the most since the start
  int64_t reserved_bytes;   // of regions that the system made usable
  int64_t system_requests;  // how often it was asked for one
};

MemoryCounters memory_counters();

// 64-byte aligned; throws Error where the system refuses the address space.
void* allocate(int64_t bytes);
void release(void* block);  // nullptr is allowed

}  // namespace bertie
