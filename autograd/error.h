// Errors. Every message reads "[operation] the rule, then what came":
//   [matmul] inner dimensions must agree: a is [4, 3], b is [5, 2]
#pragma once
#include <fmt/core.h>

#include <stdexcept>
#include <string>

namespace bertie {

// What every function of this library throws. A program prints what() and exits with 1.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

[[noreturn]] void fail_formatted(const char* where, fmt::string_view format, fmt::format_args arguments);

// Throws Error("[where] " + the formatted message).
template <class... Arguments>
[[noreturn]] void fail(const char* where, fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  fail_formatted(where, format, fmt::make_format_args(arguments...));
}

}  // namespace bertie

// BERTIE_CHECK(rule, where, format, arguments …): fail() unless `rule` holds. A macro, since only then the
// arguments are left alone where it does.
#define BERTIE_CHECK(rule, ...)    \
  do {                             \
    if (!(rule)) [[unlikely]]      \
      ::bertie::fail(__VA_ARGS__); \
  } while (false)
