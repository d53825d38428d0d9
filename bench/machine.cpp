#include "bench/machine.h"

#include <array>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "bertie/autograd/error.h"

namespace bertie {
namespace {

std::string shell_quoted(const std::string& word) {
  std::string text = "'";
  for (char c : word) text += c == '\'' ? "'\\''" : std::string(1, c);
  return text + "'";
}

}  // namespace

MachineRates measure_machine(int threads) {
  std::string program = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "machine_rates";
  FILE* pipe = popen(fmt::format("{} --json --threads {}", shell_quoted(program), threads).c_str(), "r");
  BERTIE_CHECK(pipe != nullptr, "machine", "{} can't be run", program);
  std::string output;
  std::array<char, 4096> buffer;
  while (size_t n = fread(buffer.data(), 1, buffer.size(), pipe)) output.append(buffer.data(), n);
  int status = pclose(pipe);
  nlohmann::json rates = nlohmann::json::parse(output, nullptr, false);
  BERTIE_CHECK(status == 0 && rates.is_object(), "machine", "{} failed", program);
  return {rates.at("sgemm_gflops"), rates.at("sgemm_library"), rates.at("bf16_gflops"),
          rates.at("bandwidth_gbs")};
}

}  // namespace bertie
