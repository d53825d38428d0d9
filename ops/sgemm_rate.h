#pragma once

namespace bertie {

// GFLOP/s that gemm() reaches on this machine with the calling thread's threads: 2·1024³ per second of the
// fastest of some f32 products of 1024³, run for a fifth of a second, one at least. What the speed of a
// training is held against while it runs. (bench/machine_rates asks each library for its own best instead, in
// a process of its own, which takes seconds.)
double measure_sgemm_gflops();

}  // namespace bertie
