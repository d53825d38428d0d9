// The processes that a test program was started in.
#pragma once
#include "bertie/nn/processes.h"

namespace bertie {

Processes& everyone();

}  // namespace bertie
