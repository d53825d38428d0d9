#include "bertie/autograd/error.h"

#include <algorithm>

namespace bertie {

void fail_formatted(const char* where, fmt::string_view format, fmt::format_args arguments) {
  std::string message = fmt::format("[{}] {}", where, fmt::vformat(format, arguments));
  std::replace(message.begin(), message.end(), '\0', '?');  // what() would end there
  throw Error(message);
}

}  // namespace bertie
