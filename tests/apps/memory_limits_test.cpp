#include "apps/console/memory_limits.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/temporary_folder.h"

namespace bertie {
namespace {

namespace fs = std::filesystem;

// What the kernel would show, in a folder.
class Machine {
 public:
  Machine() { write("/proc/meminfo", "MemTotal: 4000 kB\nMemAvailable:    3000 kB\nSwapFree: 1000 kB\n"); }
  void write(const std::string& path, const std::string& text) {
    fs::path place = root() + path;
    fs::create_directories(place.parent_path());
    std::ofstream(place) << text;
  }
  std::string root() const { return folder_.path(); }
  // Those of cgroups, as "name resident".
  std::vector<std::string> cgroup_limits() const {
    std::vector<std::string> found;
    for (const MemoryLimit& limit : memory_limits(root()))
      if (limit.name.find("cgroup") != std::string::npos)
        found.push_back(limit.name + " " + std::to_string(limit.resident));
    return found;
  }

 private:
  TemporaryFolder folder_;
};

TEST(MemoryLimits, OfACgroupAndThoseAroundIt) {
  Machine machine;
  machine.write("/proc/self/cgroup", "0::/a/b/c\n");
  machine.write("/proc/self/mountinfo",
                "22 1 0:20 / /proc rw - proc proc rw\n"
                "30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n");
  machine.write("/sys/fs/cgroup/a/memory.max", "3000000000\n");
  machine.write("/sys/fs/cgroup/a/b/memory.max", "max\n");
  machine.write("/sys/fs/cgroup/a/b/c/memory.max", "2000000000\n");
  EXPECT_EQ(machine.cgroup_limits(),
            (std::vector<std::string>{"memory.max of the cgroup /a/b/c, 2.00 GB, 2000000000",
                                      "memory.max of the cgroup /a, 3.00 GB, 3000000000"}));
}

// Of the first version, and of a container that sees a part of the tree alone.
TEST(MemoryLimits, OfVersionOneInAContainer) {
  Machine machine;
  machine.write("/proc/self/cgroup", "5:cpu,cpuacct:/other\n4:memory:/docker/f00\n0::/\n");
  machine.write("/proc/self/mountinfo",
                "31 22 0:27 /docker/f00 /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
                "32 22 0:28 /docker/f00 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
  machine.write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "500000000\n");
  machine.write("/sys/fs/cgroup/cpu/memory.limit_in_bytes", "1\n");
  EXPECT_EQ(machine.cgroup_limits(),
            std::vector<std::string>{"memory.limit_in_bytes of the cgroup /, 500 MB, 500000000"});
  machine.write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");  // none
  EXPECT_EQ(machine.cgroup_limits(), std::vector<std::string>{});
}

TEST(MemoryLimits, OfTheMachineIsWhatItHasLeft) {
  Machine machine;
  int64_t before = process_memory().resident;
  std::vector<MemoryLimit> limits = memory_limits(machine.root());
  ASSERT_FALSE(limits.empty());
  EXPECT_EQ(limits.back().name, "the machine");
  EXPECT_GE(limits.back().resident, before + 4000 * 1024);
  EXPECT_LE(limits.back().resident, process_memory().resident + 4000 * 1024);
}

TEST(MemoryLimits, OfAProcessWithoutAny) {
  Machine machine;
  EXPECT_EQ(machine.cgroup_limits(), std::vector<std::string>{});  // neither file is there
  EXPECT_GT(process_memory().resident, 1 << 20);
  EXPECT_GE(process_memory().peak_resident, process_memory().resident_files);
  EXPECT_GT(process_memory().addresses, process_memory().resident);
}

TEST(MemoryLimits, InWords) {
  EXPECT_EQ(memory_text(640'400'000), "640 MB");
  EXPECT_EQ(memory_text(1'934'000'000), "1.93 GB");
  EXPECT_EQ((MemoryLimit{-5, "it"}.str()), "it leaves room for 0 MB");
}

}  // namespace
}  // namespace bertie
