// What this process has of the machine's memory, and how much it may have.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace bertie {

// In bytes, as /proc/self/status has them.
struct ProcessMemory {
  int64_t resident = 0;  // VmRSS: what is in memory now
  int64_t resident_files =
      0;                      // RssFile: of that, pages of mapped files, the program's and its libraries' too
  int64_t peak_resident = 0;  // VmHWM
  int64_t addresses = 0;      // VmSize
  int64_t data = 0;           // VmData: addresses that can be written to
};
ProcessMemory process_memory();

// A limit as the resident memory that the process may reach under it, from what it has now: one of addresses
// (ulimit -v) is less of it, since some of what is addressed never becomes memory.
struct MemoryLimit {
  int64_t resident;
  std::string name;         // "the limit of address space (ulimit -v), 2.00 GB,"
  std::string str() const;  // "the limit of address space (ulimit -v), 2.00 GB, leaves room for 1.62 GB"
};

// All that hold for this process: of addresses and of data, of its cgroup and those around it (version 1 or
// 2), and what the machine has left, swap included. `root` stands before /proc and /sys, for tests.
std::vector<MemoryLimit> memory_limits(const std::string& root = "");
// The one that leaves the least.
MemoryLimit smallest_memory_limit();

// "1.93 GB", "640 MB"
std::string memory_text(int64_t bytes);

// "Memory at the peak: 1.93 GB of arrays, 2.02 GB resident": what it came to so far.
std::string measured_memory();

}  // namespace bertie
