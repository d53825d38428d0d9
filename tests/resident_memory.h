// What of this process is in memory now.
#pragma once
#include <cstdint>
#include <fstream>
#include <string>

namespace bertie {

// In bytes, mapped files' pages too.
inline int64_t resident_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) return std::stoll(line.substr(6)) * 1024;
  return -1;
}

}  // namespace bertie
