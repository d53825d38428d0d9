#include "autograd/error.h"

namespace bertie {

void fail_formatted(const char* where, fmt::string_view format, fmt::format_args arguments) {
  throw Error(fmt::format("[{}] {}", where, fmt::vformat(format, arguments)));
}

}  // namespace bertie
