#include "bertie/autograd/version.h"

namespace bertie {

const char* version() { return BERTIE_VERSION; }

}  // namespace bertie
