// Errors. Every message reads "[operation] the rule, then what came":
//   [matmul] inner dimensions must agree: a is [4, 3], b is [5, 2]
#pragma once
#include <fmt/core.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace bertie {

// What every function of this library throws. A program prints what() and exits with 1.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A text from anywhere as a message may hold it: control characters and bytes that aren't UTF-8 as \x1b, and
// of more than 200 characters the first and the last 100.
std::string shown(std::string_view text);

// A list in a message: its first ten entries, and how many more there are. An entry of foreign text must be
// shown().
class Listing {
 public:
  explicit Listing(std::string before_each) : before_each_(std::move(before_each)) {}
  void add(std::string_view entry);
  bool empty() const { return count_ == 0; }
  std::string str() const;  // "\n  a\n  b\n  and 7 more"

 private:
  std::string before_each_, text_;
  int64_t count_ = 0;
};

[[noreturn]] void fail_formatted(const char* where, fmt::string_view format, fmt::format_args arguments);

namespace detail {

// Any text may come out of a file, so all are shown(); a Listing is made of such.
template <class T>
decltype(auto) argument(const T& value) {
  if constexpr (std::is_convertible_v<const T&, std::string_view>)
    return shown(value);
  else if constexpr (std::is_same_v<T, Listing>)
    return value.str();
  else
    return (value);
}

}  // namespace detail

// Throws Error("[where] " + the formatted message). Texts among the arguments become what shown() makes of
// them.
template <class... Arguments>
[[noreturn]] void fail(const char* where, fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  [&](const auto&... shown_arguments) {
    fail_formatted(where, format, fmt::make_format_args(shown_arguments...));
  }(detail::argument(arguments)...);
  __builtin_unreachable();
}

}  // namespace bertie

template <>
struct fmt::formatter<bertie::Listing> {
  constexpr auto parse(fmt::format_parse_context& context) { return context.begin(); }
  template <class Context>
  auto format(const bertie::Listing& list, Context& context) const {
    return fmt::format_to(context.out(), "{}", list.str());
  }
};

// BERTIE_CHECK(rule, where, format, arguments …): fail() unless `rule` holds. A macro, since only then the
// arguments are left alone where it does.
#define BERTIE_CHECK(rule, ...)    \
  do {                             \
    if (!(rule)) [[unlikely]]      \
      ::bertie::fail(__VA_ARGS__); \
  } while (false)
