// The processes that MPI knows. One of two sources is built: mpi_processes.cpp where MPI was found, else
// without_mpi.cpp.
#pragma once
#include "bertie/nn/processes.h"

namespace bertie {

// Of a process that a launcher started; throws as join_processes() does.
std::unique_ptr<Processes> join_mpi(const Launched& by, double peer_timeout);
// Throws where sizes aren't one for each process that add up to so many bytes.
void check_sizes(const Processes& processes, size_t bytes, std::span<const int64_t> sizes);

}  // namespace bertie
