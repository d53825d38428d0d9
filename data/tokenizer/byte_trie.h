// A map from byte strings to numbers that also finds the longest key at the start of a text, byte by byte,
// without allocating. Edges lie in one open-addressed hash table: (node, byte) → node.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

namespace bertie {

class ByteTrie {
 public:
  static constexpr int32_t root = 0;

  struct Match {
    int32_t value = -1;  // -1: no key begins the text
    int32_t length = 0;  // bytes
  };

  ByteTrie();
  // Returns false, changing nothing, where the key is there already. Values are ≥ 0. Throws where the keys
  // have more than 2^28 different beginnings.
  bool insert(std::string_view key, int32_t value);
  // The node that the bytes lead to from the root, or -1.
  int32_t find_node(std::string_view bytes) const;
  // The value of the key, or -1.
  int32_t find(std::string_view key) const;
  // The longest non-empty path from `node` that ends a key and begins the text. No match from node -1.
  Match longest_match(int32_t node, std::string_view text) const;

 private:
  // 28 bits each for the node and its child, 8 for the byte: half the size means half the misses of the
  // cache. A child is never the root, so no edge is 0, which marks a free slot.
  using Edge = uint64_t;
  static constexpr int node_bits = 28;
  static uint64_t edge_key(int32_t node, char byte) {
    return static_cast<uint64_t>(node) << 8 | static_cast<uint8_t>(byte);
  }
  static uint64_t key_of(Edge edge) { return edge >> node_bits; }
  static int32_t child_of(Edge edge) { return static_cast<int32_t>(edge & ((1 << node_bits) - 1)); }
  size_t slot(uint64_t key) const;  // where the key is, or the free slot where it would go
  int32_t child(int32_t node, char byte) const {
    Edge edge = edges_[slot(edge_key(node, byte))];
    return edge ? child_of(edge) : -1;
  }
  void grow();

  std::vector<Edge> edges_;      // its size is a power of two, at most half of it in use
  int shift_;                    // 64 - log2 of that size
  std::vector<int32_t> values_;  // of each node, -1: no key ends here
};

}  // namespace bertie
