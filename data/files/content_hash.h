// A fast hash of 128 bits to tell contents apart. It isn't made to withstand somebody who looks for two
// contents of one hash.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace bertie {

class ContentHash {
 public:
  // Adds bytes; how they are cut into calls makes no difference.
  void add(std::string_view bytes);
  // Adds a text or a number as one thing: {"ab", "c"} differs from {"a", "bc"}.
  void add_item(std::string_view item);
  void add_item(int64_t item);

  std::string hex() const;  // of all that was added: 32 digits

 private:
  void add_word(uint64_t word);

  std::array<uint64_t, 2> state_{0x243f6a8885a308d3, 0x13198a2e03707344};  // digits of π
  uint64_t rest_ = 0;                                                      // the last bytes % 8
  uint64_t bytes_ = 0;
};

}  // namespace bertie
