#include "bertie/data/tokenizer/wordpiece_trainer.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <unordered_map>

#include "bertie/autograd/error.h"
#include "bertie/autograd/threads.h"
#include "bertie/data/tokenizer/byte_trie.h"
#include "bertie/data/tokenizer/utf8.h"

namespace bertie {
namespace {

constexpr size_t most = std::numeric_limits<int32_t>::max();
constexpr size_t longest_word = 16 << 10;  // bytes

// Lets a map of strings be searched by string_view.
struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};
using CountMap = std::unordered_map<std::string, int64_t, StringHash, std::equal_to<>>;

struct CountingSink {
  CountMap counts;
  std::string word;

  void add(const char* bytes, int32_t length, int64_t) {
    if (word.size() <= longest_word) word.append(bytes, length);
  }
  void end_word() {
    if (!word.empty() && word.size() <= longest_word) {
      if (auto known = counts.find(word); known != counts.end()) {
        ++known->second;
      } else {
        counts.emplace(word, 1);
      }
    }
    word.clear();
  }
};

// The words as sequences of pieces, and the merging of pairs.
class Trainer {
 public:
  Trainer(const WordCounts& words, const WordPieceTrainerOptions& options)
      : words_(words), options_(options) {
    for (std::string_view token : special_tokens) add_token(std::string(token));
    split_into_characters();
    BERTIE_CHECK(options.size >= static_cast<int32_t>(tokens_.size()), "train_wordpiece",
                 "size must be at least {}, the number of special tokens and characters: got {}",
                 tokens_.size(), options.size);
  }

  std::vector<std::string> train();

 private:
  // A pair of neighboring pieces.
  struct Pair {
    int32_t left, right;
    int64_t count = 0;
    std::vector<int32_t> new_words;  // that it has appeared in since it was last queued
  };
  // A pair in the queue, with the count that it had when it was queued.
  struct Candidate {
    int64_t count;
    int32_t left, right;
    int32_t pair;
    std::vector<int32_t> words;  // that may contain it
    // The heap's top is the most frequent candidate; of equal ones the one of the lowest ids.
    bool operator<(const Candidate& other) const {
      if (count != other.count) return count < other.count;
      return std::pair(left, right) > std::pair(other.left, other.right);
    }
  };
  struct Span {
    size_t begin;
    int32_t size;
  };

  int32_t add_token(std::string token);
  std::vector<char32_t> alphabet() const;
  void split_into_characters();
  void count_pair(int32_t left, int32_t right, int32_t word, int64_t sign);
  void queue_new_pairs();
  void merge(const Candidate& candidate, int32_t merged);

  const WordCounts& words_;
  const WordPieceTrainerOptions& options_;
  std::vector<std::string> tokens_;
  ByteTrie token_ids_;
  std::vector<int32_t> pieces_;  // of all words, one word after the other
  std::vector<Span> spans_;      // each word's part of pieces_
  std::vector<Pair> pairs_;
  std::unordered_map<uint64_t, int32_t> pair_index_;
  std::vector<int32_t> touched_pairs_;  // those with new_words
  std::vector<Candidate> queue_;        // a heap
};

// The token's id; a token that is there already keeps its own.
int32_t Trainer::add_token(std::string token) {
  auto id = static_cast<int32_t>(tokens_.size());
  if (!token_ids_.insert(token, id)) return token_ids_.find(token);
  tokens_.push_back(std::move(token));
  return id;
}

// The most frequent characters, in order of code point.
std::vector<char32_t> Trainer::alphabet() const {
  std::unordered_map<char32_t, int64_t> counts;
  for (const auto& [word, count] : words_) {
    for (size_t at = 0; at < word.size();) {
      Utf8Character character = decode_utf8(std::string_view(word).substr(at));
      counts[character.code_point] += count;
      at += character.bytes;
    }
  }
  std::vector<std::pair<int64_t, char32_t>> order;  // the most frequent first, then by code point
  for (auto [character, count] : counts) order.emplace_back(-count, character);
  std::sort(order.begin(), order.end());
  order.resize(std::min<size_t>(order.size(), options_.alphabet_limit));
  std::vector<char32_t> result;
  for (auto [count, character] : order) result.push_back(character);
  std::sort(result.begin(), result.end());
  return result;
}

void Trainer::split_into_characters() {
  std::vector<char32_t> characters = alphabet();
  struct Forms {
    int32_t beginning, continuing;  // ids
    bool continues = false;
  };
  std::unordered_map<char32_t, Forms> forms;
  for (char32_t character : characters) {
    std::string token;
    append_utf8(character, token);
    forms[character] = {add_token(token), -1};
  }
  // Characters outside the alphabet drop out of their words. The pieces get the ids of beginnings first:
  // which characters ever continue a word, and so their ids, is known at the end.
  std::vector<bool> continues;
  for (const auto& [word, count] : words_) {
    Span span{pieces_.size(), 0};
    for (size_t at = 0; at < word.size();) {
      Utf8Character character = decode_utf8(std::string_view(word).substr(at));
      if (auto form = forms.find(character.code_point); form != forms.end()) {
        form->second.continues |= at > 0;
        pieces_.push_back(static_cast<int32_t>(character.code_point));
        continues.push_back(at > 0);
        ++span.size;
      }
      at += character.bytes;
    }
    spans_.push_back(span);
  }
  for (char32_t character : characters) {
    Forms& form = forms[character];
    if (!form.continues) continue;
    std::string token(continuation_prefix);
    append_utf8(character, token);
    form.continuing = add_token(token);
  }
  for (size_t i = 0; i < pieces_.size(); ++i) {
    const Forms& form = forms[static_cast<char32_t>(pieces_[i])];
    pieces_[i] = continues[i] ? form.continuing : form.beginning;
  }
}

// Adds the word's count, times the sign, to the pair's.
void Trainer::count_pair(int32_t left, int32_t right, int32_t word, int64_t sign) {
  uint64_t key = static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right);
  auto [known, is_new] = pair_index_.try_emplace(key, static_cast<int32_t>(pairs_.size()));
  if (is_new) {
    BERTIE_CHECK(pairs_.size() < most, "train_wordpiece", "there may be {} different pairs", most);
    pairs_.push_back({left, right, 0, {}});
  }
  Pair& pair = pairs_[known->second];
  pair.count += sign * words_[word].second;
  if (sign < 0) return;
  if (pair.new_words.empty()) touched_pairs_.push_back(known->second);
  if (pair.new_words.empty() || pair.new_words.back() != word) pair.new_words.push_back(word);
}

void Trainer::queue_new_pairs() {
  for (int32_t index : touched_pairs_) {
    Pair& pair = pairs_[index];
    std::vector<int32_t> words = std::move(pair.new_words);
    pair.new_words.clear();
    if (pair.count <= 0) continue;
    queue_.push_back({pair.count, pair.left, pair.right, index, std::move(words)});
    std::push_heap(queue_.begin(), queue_.end());
  }
  touched_pairs_.clear();
}

// Replaces the pair by the merged piece in all its words and keeps the counts of the pairs beside it. The
// pair's own count stays as it is: its entry in the queue is gone, and `tokenizers` leaves it, too.
void Trainer::merge(const Candidate& candidate, int32_t merged) {
  auto [left, right] = std::pair(candidate.left, candidate.right);
  for (int32_t word : candidate.words) {
    Span& span = spans_[word];
    int32_t* pieces = &pieces_[span.begin];
    int32_t kept = 0;
    for (int32_t i = 0; i < span.size; ++i, ++kept) {
      if (pieces[i] != left || i + 1 == span.size || pieces[i + 1] != right) {
        pieces[kept] = pieces[i];
        continue;
      }
      ++i;
      if (kept > 0) {
        count_pair(pieces[kept - 1], left, word, -1);
        count_pair(pieces[kept - 1], merged, word, 1);
      }
      if (i + 1 < span.size) {
        count_pair(right, pieces[i + 1], word, -1);
        count_pair(merged, pieces[i + 1], word, 1);
      }
      pieces[kept] = merged;
    }
    span.size = kept;
  }
}

std::vector<std::string> Trainer::train() {
  for (size_t word = 0; word < spans_.size(); ++word) {
    for (int32_t i = 0; i + 1 < spans_[word].size; ++i) {
      const int32_t* piece = &pieces_[spans_[word].begin + i];
      count_pair(piece[0], piece[1], static_cast<int32_t>(word), 1);
    }
  }
  queue_new_pairs();
  while (tokens_.size() < static_cast<size_t>(options_.size) && !queue_.empty()) {
    std::pop_heap(queue_.begin(), queue_.end());
    Candidate& top = queue_.back();
    // Counts in the queue aren't kept up to date: an old one goes back to its true place.
    if (int64_t count = pairs_[top.pair].count; top.count != count) {
      top.count = count;
      std::push_heap(queue_.begin(), queue_.end());
      continue;
    }
    if (top.count < options_.min_frequency) break;
    Candidate candidate = std::move(top);
    queue_.pop_back();
    std::string_view right = tokens_[candidate.right];
    if (right.starts_with(continuation_prefix)) right.remove_prefix(continuation_prefix.size());
    merge(candidate, add_token(tokens_[candidate.left] + std::string(right)));
    queue_new_pairs();
  }
  return std::move(tokens_);
}

}  // namespace

struct WordCounter::Shard {
  CountMap counts;
  size_t weight = 0;

  // A long word counts as several.
  static size_t weight_of(const std::string& word) { return 1 + word.size() / 64; }
  void add(const std::string& word, int64_t count) {
    auto [known, is_new] = counts.try_emplace(word, 0);
    known->second += count;
    if (is_new) weight += weight_of(word);
  }
};

WordCounter::WordCounter(const WordSplitterOptions& options, size_t most_words)
    : options_(options), most_words_(most_words), shards_(64) {}

WordCounter::~WordCounter() = default;
WordCounter::WordCounter(WordCounter&&) noexcept = default;
WordCounter& WordCounter::operator=(WordCounter&&) noexcept = default;

// First each task counts the words of some texts, then each counts together those of a shard.
void WordCounter::add(std::span<const std::string_view> texts) {
  constexpr int64_t max_parts = 64;
  auto count = static_cast<int64_t>(texts.size());
  int64_t grain = std::max<int64_t>(1, (count + max_parts - 1) / max_parts);
  using Entries = std::vector<const CountMap::value_type*>;
  struct Part {
    CountMap counts;
    std::vector<Entries> of_shard;
  };
  std::vector<Part> parts((count + grain - 1) / grain);
  parallel_ranges(count, grain, [&](int64_t begin, int64_t end) {
    CountingSink sink;
    for (int64_t i = begin; i < end; ++i) WordSplitter<CountingSink>(options_, sink).split(texts[i]);
    Part& part = parts[begin / grain];
    part.counts = std::move(sink.counts);
    part.of_shard.resize(shards_.size());
    for (const auto& entry : part.counts)
      part.of_shard[StringHash()(entry.first) % shards_.size()].push_back(&entry);
  });
  parallel_tasks(static_cast<int64_t>(shards_.size()), [&](int64_t s) {
    for (const Part& part : parts)
      for (const auto* entry : part.of_shard[s]) shards_[s].add(entry->first, entry->second);
  });
  size_t weight = 0;
  for (const Shard& shard : shards_) weight += shard.weight;
  if (weight > most_words_) leave_out_rare_ones();
}

void WordCounter::leave_out_rare_ones() {
  std::map<int64_t, size_t> with_count;
  size_t left = 0;
  for (const Shard& shard : shards_) {
    for (const auto& [word, count] : shard.counts) with_count[count] += Shard::weight_of(word);
    left += shard.weight;
  }
  int64_t rarest = 0;  // that go
  for (auto [count, weight] : with_count) {
    if (left <= most_words_ / 2) break;
    rarest = count;
    left -= weight;
  }
  parallel_tasks(static_cast<int64_t>(shards_.size()), [&](int64_t s) {
    std::erase_if(shards_[s].counts, [&](const auto& entry) {
      bool goes = entry.second <= rarest;
      if (goes) shards_[s].weight -= Shard::weight_of(entry.first);
      return goes;
    });
  });
  left_out_ = std::max(left_out_, rarest);
}

WordCounts WordCounter::take() {
  WordCounts result;
  size_t words = 0;
  for (const Shard& shard : shards_) words += shard.counts.size();
  result.reserve(words);
  for (Shard& shard : shards_) {
    while (!shard.counts.empty()) {
      auto node = shard.counts.extract(shard.counts.begin());
      result.emplace_back(std::move(node.key()), node.mapped());
    }
    shard = Shard();
  }
  std::sort(result.begin(), result.end());
  return result;
}

WordCounts count_words(std::span<const std::string_view> texts, const WordSplitterOptions& options) {
  WordCounter counter(options);
  counter.add(texts);
  return counter.take();
}

Vocabulary train_wordpiece(const WordCounts& words, const WordPieceTrainerOptions& options) {
  BERTIE_CHECK(options.min_frequency >= 1, "train_wordpiece", "min_frequency must be at least 1: got {}",
               options.min_frequency);
  BERTIE_CHECK(options.alphabet_limit >= 1, "train_wordpiece", "alphabet_limit must be at least 1: got {}",
               options.alphabet_limit);
  // Pieces, words and pairs have 32-bit numbers; no count of a pair is larger than that of all characters.
  BERTIE_CHECK(words.size() <= most, "train_wordpiece", "there may be {} words, got {}", most, words.size());
  int64_t characters = 0;
  for (const auto& [word, count] : words) {
    BERTIE_CHECK(count >= 1, "train_wordpiece", "each word must occur at least once: '{}' has the count {}",
                 word, count);
    BERTIE_CHECK(word.size() <= most, "train_wordpiece", "a word may have {} bytes, '{}' has {}", most, word,
                 word.size());
    auto bytes = static_cast<int64_t>(word.size());
    BERTIE_CHECK(!__builtin_mul_overflow(bytes, count, &bytes) &&
                     !__builtin_add_overflow(characters, bytes, &characters),
                 "train_wordpiece", "all words must have fewer than 2^63 characters, '{}' has the count {}",
                 word, count);
  }
  return Vocabulary(Trainer(words, options).train());
}

}  // namespace bertie
