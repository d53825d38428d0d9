// What this machine reaches at most, to stand beside what is measured.
#pragma once
#include <string>

namespace bertie {

struct MachineRates {
  double sgemm_gflops;        // GFLOP/s of one f32 product of 2048³ by the better of OpenBLAS and oneDNN
  std::string sgemm_library;  // which one that was
  double bf16_gflops;         // the same of bf16 by oneDNN; 0 where the CPU has no instructions for it
  double bandwidth_gbs;       // GB/s, (bytes read + bytes written) / time of scaling 1 GiB of f32 in place
};

// Measured by the program machine_rates, which lies beside the calling one. A process of its own, because
// OpenBLAS takes its core type at its start only, and so that neither its memory nor its settings show in the
// caller's figures. Takes a second or two. Throws Error when the program can't be run.
MachineRates measure_machine(int threads);

}  // namespace bertie
