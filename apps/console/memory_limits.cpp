#include "apps/console/memory_limits.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>

#include "bertie/autograd/memory.h"

namespace bertie {
namespace {

// What each further thread takes of addresses: its stack, and malloc's heap for it.
constexpr int64_t thread_addresses = int64_t{136} << 20;
constexpr int64_t beyond_reason = int64_t{1} << 40;  // such a limit is none

// The numbers of lines like "VmRSS:   1234 kB", in bytes.
std::map<std::string, int64_t> sizes_in(const std::string& path) {
  std::map<std::string, int64_t> sizes;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name, unit;
    int64_t number = 0;
    if (words >> name >> number >> unit && unit == "kB")
      sizes[name.substr(0, name.find(':'))] = 1024 * number;
  }
  return sizes;
}

// The number that a file holds; none where it holds a word ("max"), or isn't there.
std::optional<int64_t> number_in_file(const std::string& path) {
  std::ifstream file(path);
  int64_t number = 0;
  if (file >> number) return number;
  return {};
}

// Where a hierarchy of cgroups is mounted, and what of it.
struct Mount {
  std::string root, point;
};

// That of version 2 (an empty controller) or of a controller of version 1.
std::optional<Mount> mount_of(const std::string& root, const std::string& controller) {
  std::ifstream file(root + "/proc/self/mountinfo");  // see proc(5)
  for (std::string line; std::getline(file, line);) {
    size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    std::istringstream before(line.substr(0, dash)), after(line.substr(dash + 3));
    std::string word, type, options;
    Mount mount;
    before >> word >> word >> word >> mount.root >> mount.point;
    after >> type >> word >> options;
    bool wanted =
        controller.empty()
            ? type == "cgroup2"
            : type == "cgroup" && ("," + options + ",").find("," + controller + ",") != std::string::npos;
    if (wanted) return mount;
  }
  return {};
}

void add_cgroup_limits(const std::string& root, std::vector<MemoryLimit>& limits) {
  std::ifstream file(root + "/proc/self/cgroup");  // 4:memory:/a/b, of version 2: 0::/a/b
  for (std::string line; std::getline(file, line);) {
    size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    std::string controllers = line.substr(first + 1, second - first - 1), path = line.substr(second + 1);
    bool unified = controllers.empty();
    if (!unified && ("," + controllers + ",").find(",memory,") == std::string::npos) continue;
    std::optional<Mount> mount = mount_of(root, unified ? "" : "memory");
    if (!mount) continue;
    // What is above the mounted part can't be seen.
    if (mount->root != "/" && path.starts_with(mount->root)) path = path.substr(mount->root.size());
    const char* name = unified ? "memory.max" : "memory.limit_in_bytes";
    for (;; path.resize(path.find_last_of('/'))) {
      if (path == "/") path.clear();
      std::optional<int64_t> bytes = number_in_file(root + mount->point + path + "/" + name);
      if (bytes && *bytes < beyond_reason)
        limits.push_back({*bytes, fmt::format("{} of the cgroup {}, {},", name, path.empty() ? "/" : path,
                                              memory_text(*bytes))});
      if (path.find('/') == std::string::npos) break;
    }
  }
}

}  // namespace

ProcessMemory process_memory() {
  std::map<std::string, int64_t> sizes = sizes_in("/proc/self/status");
  return {sizes["VmRSS"], sizes["RssFile"], sizes["VmHWM"], sizes["VmSize"], sizes["VmData"]};
}

std::vector<MemoryLimit> memory_limits(const std::string& root) {
  std::vector<MemoryLimit> limits;
  ProcessMemory now = process_memory();
  // Addresses that are the arrays' already, though not all in use.
  MemoryCounters arrays = memory_counters();
  int64_t ready = arrays.reserved_bytes - arrays.live_bytes;
  auto add_limit = [&](auto resource, int64_t taken, const char* name) {
    rlimit limit{};
    if (getrlimit(resource, &limit) != 0 || limit.rlim_cur >= static_cast<rlim_t>(beyond_reason)) return;
    auto bytes = static_cast<int64_t>(limit.rlim_cur);
    limits.push_back({now.resident + bytes - taken + ready - thread_addresses,
                      fmt::format("the limit of {}, {},", name, memory_text(bytes))});
  };
  add_limit(RLIMIT_AS, now.addresses, "address space (ulimit -v)");
  add_limit(RLIMIT_DATA, now.data, "data (ulimit -d)");
  add_cgroup_limits(root, limits);
  std::map<std::string, int64_t> machine = sizes_in(root + "/proc/meminfo");
  if (machine.contains("MemAvailable")) {
    int64_t free = machine["MemAvailable"] + machine["SwapFree"];
    limits.push_back({now.resident + free, "the machine"});
  }
  return limits;
}

MemoryLimit smallest_memory_limit() {
  std::vector<MemoryLimit> limits = memory_limits();
  auto least = std::min_element(limits.begin(), limits.end(), [](const MemoryLimit& a, const MemoryLimit& b) {
    return a.resident < b.resident;
  });
  return least == limits.end() ? MemoryLimit{beyond_reason, "the machine"} : *least;
}

std::string MemoryLimit::str() const {
  return fmt::format("{} leaves room for {}", name, memory_text(std::max<int64_t>(0, resident)));
}

std::string memory_text(int64_t bytes) {
  auto size = static_cast<double>(bytes);
  return size < 1e9 ? fmt::format("{:.0f} MB", size / 1e6) : fmt::format("{:.2f} GB", size / 1e9);
}

std::string measured_memory() {
  return fmt::format("Memory at the peak: {} of arrays, {} resident",
                     memory_text(memory_counters().peak_bytes), memory_text(process_memory().peak_resident));
}

}  // namespace bertie
