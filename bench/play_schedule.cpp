// Plays what a process sends in a training step, as bench/step_schedule recorded it: the same calls of MPI
// with the same sizes in the same order, none before its moment, with waiting in place of computing. One
// thread does, as one does in nn/gradient_exchange, which waits for each.
//   mpirun -n 4 play_schedule 4.txt       each line: exchange|gather, ready, work, bytes for each process
// A call begins `work` seconds after both the one before it has ended and the step is `ready` seconds old.
// Printed is when each call ended, in seconds of the step, in the slowest process.
//
// scripts/simulate_scaling.sh builds it for SimGrid's SMPI, where MPI can only be called by a process's one
// thread, and says so: nn/mpi refuses such an MPI. Hence a program without bertie. On a real network: mpicxx
// -std=c++20 -O2.
#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#ifndef SMPI_SHARED_MALLOC
#define SMPI_SHARED_MALLOC std::malloc
#endif

namespace {

struct Call {
  std::string name;
  double ready, work;
  std::vector<int> sizes, places;
  int bytes = 0;
};

std::vector<Call> read(const char* path, int processes) {
  std::ifstream file(path);
  std::vector<Call> calls;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    Call& call = calls.emplace_back();
    words >> call.name >> call.ready >> call.work;
    for (int size; words >> size; call.bytes += size) {
      call.places.push_back(call.bytes);
      call.sizes.push_back(size);
    }
    if (call.sizes.size() != static_cast<size_t>(processes)) return {};
  }
  return calls;
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0, count = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &count);
  std::vector<Call> calls = read(argc > 1 ? argv[1] : "", count);
  if (calls.empty()) {
    std::fprintf(stderr, "play_schedule: expected a file of calls among %d processes\n", count);
    MPI_Abort(MPI_COMM_WORLD, 2);
  }
  int most = 0;
  for (const Call& call : calls) most = std::max(most, call.bytes + count * call.sizes[rank]);
  auto* sent = static_cast<char*>(SMPI_SHARED_MALLOC(most));
  auto* received = static_cast<char*>(SMPI_SHARED_MALLOC(most));

  MPI_Barrier(MPI_COMM_WORLD);
  double start = MPI_Wtime();
  std::vector<double> ends, slowest(calls.size());
  for (const Call& call : calls) {
    MPI_Request request = MPI_REQUEST_NULL;
    double now = MPI_Wtime() - start, begin = std::max(now, call.ready) + call.work;
    if (begin > now) usleep(static_cast<useconds_t>(1e6 * (begin - now)));
    if (call.name == "exchange") {
      std::vector<int> own(count, call.sizes[rank]), places;
      for (int r = 0; r < count; ++r) places.push_back(r * call.sizes[rank]);
      MPI_Ialltoallv(sent, call.sizes.data(), call.places.data(), MPI_BYTE, received, own.data(),
                     places.data(), MPI_BYTE, MPI_COMM_WORLD, &request);
    } else {
      MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, received, call.sizes.data(), call.places.data(),
                      MPI_BYTE, MPI_COMM_WORLD, &request);
    }
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    ends.push_back(MPI_Wtime() - start);
  }
  int number = static_cast<int>(ends.size());
  MPI_Reduce(ends.data(), slowest.data(), number, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
  if (rank == 0)
    for (double end : slowest) std::printf("%.6f\n", end);
  MPI_Finalize();
}
