#include "bertie/data/files/content_hash.h"

#include <gtest/gtest.h>

#include <set>

#include "bertie/autograd/random.h"

namespace bertie {
namespace {

std::string hash_of(std::string_view bytes) {
  ContentHash hash;
  hash.add(bytes);
  return hash.hex();
}

std::string some_bytes(size_t count, uint64_t seed) {
  Random random(seed);
  std::string bytes;
  while (bytes.size() < count) bytes += static_cast<char>(random.next());
  return bytes;
}

TEST(ContentHash, CutsMakeNoDifference) {
  std::string bytes = some_bytes(1000, 1), whole = hash_of(bytes);
  EXPECT_EQ(whole.size(), 32u);
  for (size_t step : {1, 3, 7, 8, 9, 64, 999}) {
    ContentHash hash;
    for (size_t at = 0; at < bytes.size(); at += step) {
      hash.add(std::string_view(bytes).substr(at, step));
      hash.add("");
    }
    EXPECT_EQ(hash.hex(), whole) << step;
  }
}

TEST(ContentHash, ItemsAreNotCutElsewhere) {
  ContentHash a, b;
  a.add_item("ab");
  a.add_item("c");
  b.add_item("a");
  b.add_item("bc");
  EXPECT_NE(a.hex(), b.hex());
}

// Of different contents no two have the same, not even in one of its halves: among n of them that happens
// by chance with probability n² / 2^65 per half, here 2e-10.
TEST(ContentHash, TellsContentsApart) {
  std::set<std::string> first, second;
  size_t contents = 0;
  auto add = [&](const std::string& bytes) {
    std::string hash = hash_of(bytes);
    first.insert(hash.substr(0, 16));
    second.insert(hash.substr(16));
    ++contents;
  };
  for (size_t length = 0; length < 100; ++length) add(std::string(length, '\0'));
  for (size_t length = 1; length < 100; ++length) add(std::string(length, 'a'));
  std::string bytes = some_bytes(4096, 2);
  add(bytes);
  for (size_t at = 0; at < bytes.size(); ++at) {  // each bit
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = bytes;
      changed[at] = static_cast<char>(changed[at] ^ (1 << bit));
      add(changed);
    }
  }
  for (size_t a = 0; a < bytes.size(); a += 8) {  // words that change places
    std::string changed = bytes;
    for (size_t i = 0; i < 8; ++i) std::swap(changed[a + i], changed[(a + 8 + i) % bytes.size()]);
    add(changed);
  }
  for (int i = 0; i < 40'000; ++i) add("document number " + std::to_string(i));
  EXPECT_EQ(first.size(), contents);
  EXPECT_EQ(second.size(), contents);
}

}  // namespace
}  // namespace bertie
