#include "bertie/nn/mpi/mpi_processes.h"

namespace bertie {

std::unique_ptr<Processes> join_mpi(const Launched& by, double /*peer_timeout*/) {
  fail("processes",
       "a launcher started {} processes, but bertie was built without MPI; scripts/install_dependencies.sh "
       "mpi "
       "installs it",
       by.count);
}

std::string mpi_version() { return {}; }

}  // namespace bertie
