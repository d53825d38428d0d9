#include "bertie/data/tokenizer/byte_trie.h"

#include "bertie/autograd/error.h"

namespace bertie {

ByteTrie::ByteTrie() : edges_(16), shift_(64 - 4), values_(1, -1) {}

size_t ByteTrie::slot(uint64_t key) const {
  // Fibonacci hashing (Knuth, "The art of computer programming", volume 3, section 6.4), then linear probing.
  size_t at = key * 0x9E3779B97F4A7C15u >> shift_;
  while (edges_[at] && key_of(edges_[at]) != key) at = (at + 1) & (edges_.size() - 1);
  return at;
}

void ByteTrie::grow() {
  std::vector<Edge> old(edges_.size() * 2);
  old.swap(edges_);
  --shift_;
  for (Edge edge : old) {
    if (edge) edges_[slot(key_of(edge))] = edge;
  }
}

bool ByteTrie::insert(std::string_view key, int32_t value) {
  int32_t node = root;
  for (char byte : key) {
    size_t at = slot(edge_key(node, byte));
    if (!edges_[at]) {
      BERTIE_CHECK(values_.size() < size_t{1} << node_bits, "trie", "keys may have 2^{} different beginnings",
                   node_bits);
      if (2 * values_.size() >= edges_.size()) {  // one edge leads to each node but the root
        grow();
        at = slot(edge_key(node, byte));
      }
      edges_[at] = edge_key(node, byte) << node_bits | values_.size();
      values_.push_back(-1);
    }
    node = child_of(edges_[at]);
  }
  if (values_[node] >= 0) return false;
  values_[node] = value;
  return true;
}

int32_t ByteTrie::find_node(std::string_view bytes) const {
  int32_t node = root;
  for (char byte : bytes) {
    node = child(node, byte);
    if (node < 0) break;
  }
  return node;
}

int32_t ByteTrie::find(std::string_view key) const {
  int32_t node = find_node(key);
  return node < 0 ? -1 : values_[node];
}

ByteTrie::Match ByteTrie::longest_match(int32_t node, std::string_view text) const {
  Match best;
  for (size_t i = 0; i < text.size() && node >= 0; ++i) {
    node = child(node, text[i]);
    if (node >= 0 && values_[node] >= 0) best = {values_[node], static_cast<int32_t>(i + 1)};
  }
  return best;
}

}  // namespace bertie
