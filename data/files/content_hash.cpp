#include "bertie/data/files/content_hash.h"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace bertie {
namespace {

constexpr uint64_t multipliers[] = {0x9e3779b97f4a7c15, 0xd1b54a32d192ed03};  // odd, half of the bits set

// All bits of both go into each bit of the result: the halves of their product, folded.
uint64_t folded_product(uint64_t a, uint64_t b) {
  auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

}  // namespace

// The two halves go their own ways. Each is turned before it takes up the next word, so that order counts.
void ContentHash::add_word(uint64_t word) {
  for (size_t i = 0; i < 2; ++i)
    state_[i] = folded_product(std::rotl(state_[i], 23) ^ word, multipliers[i]) + (word ^ multipliers[1 - i]);
}

void ContentHash::add(std::string_view bytes) {
  static_assert(std::endian::native == std::endian::little);
  if (bytes.empty()) return;
  size_t held = bytes_ % sizeof(uint64_t);
  bytes_ += bytes.size();
  if (held > 0) {
    size_t taken = std::min(bytes.size(), sizeof(uint64_t) - held);
    std::memcpy(reinterpret_cast<char*>(&rest_) + held, bytes.data(), taken);
    bytes.remove_prefix(taken);
    if (held + taken < sizeof(uint64_t)) return;
    add_word(rest_);
    rest_ = 0;
  }
  for (; bytes.size() >= sizeof(uint64_t); bytes.remove_prefix(sizeof(uint64_t))) {
    uint64_t word;
    std::memcpy(&word, bytes.data(), sizeof(word));
    add_word(word);
  }
  if (!bytes.empty()) std::memcpy(&rest_, bytes.data(), bytes.size());
}

void ContentHash::add_item(std::string_view item) {
  add_item(static_cast<int64_t>(item.size()));
  add(item);
}

void ContentHash::add_item(int64_t item) { add({reinterpret_cast<const char*>(&item), sizeof(item)}); }

std::string ContentHash::hex() const {
  ContentHash end = *this;
  end.add_word(rest_);
  end.add_word(bytes_);
  end.add_word(end.state_[0] ^ std::rotl(end.state_[1], 32));
  return fmt::format("{:016x}{:016x}", end.state_[0], end.state_[1]);
}

}  // namespace bertie
