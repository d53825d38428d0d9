#include "bertie/data/batches/sentence_pairs.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>

#include "bertie/autograd/error.h"
#include "bertie/autograd/random.h"

namespace bertie {
namespace {

constexpr uint64_t pair_stream = 0x70616972;  // "pair"; separates this use of the seed from others

void check_options(const PairOptions& options) {
  BERTIE_CHECK(options.max_length >= 5 && options.max_length <= 65'536, "pairs",
               "max_length must be in 5 … 65536, room for [CLS] A [SEP] B [SEP], got {}", options.max_length);
  BERTIE_CHECK(options.short_seq_prob >= 0 && options.short_seq_prob <= 1, "pairs",
               "short_seq_prob must be in 0 … 1, got {}", options.short_seq_prob);
}

void check_documents(const TokenizedLines& lines) {
  std::span<const int64_t> offsets = lines.document_offsets;
  BERTIE_CHECK(offsets.size() >= 3, "pairs",
               "next-sentence prediction needs at least two documents, whose sentences can be told apart; "
               "there {}",
               offsets.size() == 2 ? "is 1" : "are 0");
  bool several_lines = false;
  for (size_t d = 1; d < offsets.size(); ++d) {
    BERTIE_CHECK(offsets[d] > offsets[d - 1], "pairs", "a document must have lines, number {} has none",
                 d - 1);
    several_lines |= offsets[d] - offsets[d - 1] > 1;
  }
  BERTIE_CHECK(several_lines, "pairs",
               "next-sentence prediction needs documents of at least two lines, all {} have one",
               offsets.size() - 1);
}

// Consecutive lines; then some of their tokens.
struct Segment {
  int64_t line, tokens, skip = 0;
};

class Planner {
 public:
  Planner(const TokenizedLines& lines, const PairOptions& options, Random random, double forced_share)
      : lines_(lines),
        offsets_(lines.document_offsets),
        options_(options),
        random_(random),
        forced_share_(forced_share),
        max_tokens_(options.max_length - 3) {}

  // Ends after so many pairs.
  std::vector<SentencePair> plan(size_t most = std::numeric_limits<size_t>::max()) {
    auto documents = static_cast<int64_t>(offsets_.size()) - 1;
    for (int64_t d = 0; d < documents && pairs_.size() < most; ++d)
      for (int64_t line = offsets_[d]; line < offsets_[d + 1];) line = add_pair(d, line);
    return std::move(pairs_);
  }
  // For each pair so far that could have either label, how many had to be random.
  double forced_share() const { return forced_ / std::max(1.0, free_); }

 private:
  // The pair that begins with `line`. Returns the line that the next one begins with.
  int64_t add_pair(int64_t document, int64_t line) {
    int64_t wanted = wanted_tokens();
    auto [end, tokens] = gather(line, offsets_[document + 1], wanted, 2);
    int64_t count = end - line;
    int64_t a_lines = count == 1 ? 1 : 1 + static_cast<int64_t>(random_.below(count - 1));
    Segment a{line, tokens_of(line, line + a_lines)};
    bool random = draw_label(count == 1);
    Segment b =
        random ? random_segment(document, wanted - a.tokens) : Segment{line + a_lines, tokens - a.tokens};
    fit(a, b);
    pairs_.push_back({a.line, b.line, static_cast<int32_t>(a.skip), static_cast<int32_t>(b.skip),
                      static_cast<uint16_t>(a.tokens), static_cast<uint16_t>(b.tokens), random});
    return random ? line + a_lines : end;
  }

  int64_t wanted_tokens() {
    if (options_.short_seq_prob == 0 || random_.uniform() >= options_.short_seq_prob) return max_tokens_;
    return 2 + static_cast<int64_t>(random_.below(max_tokens_ - 1));  // 2 … max_tokens_
  }

  // Lines from `line` on, at least `least` where there are as many before `last`, until they have the wanted
  // tokens: where they end, and their tokens.
  std::pair<int64_t, int64_t> gather(int64_t line, int64_t last, int64_t wanted, int64_t least) const {
    int64_t tokens = 0, end = line;
    if (options_.single_lines) wanted = 0;
    while (end < last && (end - line < least || tokens < wanted)) tokens += size_of(end++);
    return {end, tokens};
  }

  Segment random_segment(int64_t document, int64_t wanted) {
    auto other = static_cast<int64_t>(random_.below(offsets_.size() - 2));
    if (other >= document) ++other;
    int64_t begin = offsets_[other], last = offsets_[other + 1];
    int64_t line = begin + static_cast<int64_t>(random_.below(last - begin));
    return {line, gather(line, last, wanted, 1).second};
  }

  // True: B is random. Where it needn't be, it is so much less often that half of all are, and what there is
  // too much of until now comes less often: slowly, or else it would mark the beginnings of documents.
  bool draw_label(bool must_be_random) {
    constexpr double spread = 32;
    bool random = must_be_random || random_.uniform() < 0.5 * (1 - forced_share_ - surplus_ / spread);
    (must_be_random ? forced_ : free_) += 1;
    surplus_ += random ? 1 : -1;
    return random;
  }

  // Shortens the pair to max_tokens_: one token after the other of the segment that is the longer one then
  // goes, the first or the last with equal probability.
  void fit(Segment& a, Segment& b) {
    if (a.tokens + b.tokens <= max_tokens_) return;
    int64_t half = max_tokens_ / 2, shorter = std::min(a.tokens, b.tokens);
    if (shorter > half) {
      shorten(a, max_tokens_ - half);
      shorten(b, half);
    } else {
      shorten(a.tokens > b.tokens ? a : b, max_tokens_ - shorter);
    }
  }

  void shorten(Segment& segment, int64_t tokens) {
    int64_t coins = segment.tokens - tokens;
    for (; coins > 0; coins -= 32) {
      uint32_t wanted = coins >= 32 ? ~uint32_t{0} : (uint32_t{1} << coins) - 1;
      segment.skip += std::popcount(random_.next() & wanted);
    }
    segment.tokens = tokens;
    while (segment.skip >= size_of(segment.line)) segment.skip -= size_of(segment.line++);
  }

  int64_t size_of(int64_t line) const {
    auto size = static_cast<int64_t>(lines_[line].size());
    BERTIE_CHECK(size >= 1 && size <= std::numeric_limits<int32_t>::max(), "pairs",
                 "a line must have 1 … 2147483647 tokens, number {} has {}", line, size);
    return size;
  }
  int64_t tokens_of(int64_t begin, int64_t end) const {
    int64_t tokens = 0;
    for (int64_t line = begin; line < end; ++line) tokens += size_of(line);
    return tokens;
  }

  const TokenizedLines& lines_;
  std::span<const int64_t> offsets_;
  const PairOptions& options_;
  Random random_;
  double forced_share_;
  int64_t max_tokens_;
  double forced_ = 0, free_ = 0;  // pairs
  double surplus_ = 0;            // of random ones over others
  std::vector<SentencePair> pairs_;
};

// Appends `size` tokens from token `skip` of a line on.
int32_t* append(const TokenizedLines& lines, int64_t line, int64_t skip, int64_t size, int32_t* out) {
  for (; size > 0; ++line, skip = 0) {
    std::span<const int32_t> ids = lines[line].subspan(skip);
    ids = ids.first(std::min<size_t>(ids.size(), size));
    out = std::copy(ids.begin(), ids.end(), out);
    size -= static_cast<int64_t>(ids.size());
  }
  return out;
}

}  // namespace

std::vector<SentencePair> plan_pairs(const TokenizedLines& lines, const PairOptions& options, uint64_t seed,
                                     int64_t pass) {
  check_options(options);
  check_documents(lines);
  Random random(mix(seed, static_cast<uint64_t>(pass)), pair_stream);
  constexpr size_t enough = 10'000;
  Planner trial(lines, options, random, 0);
  trial.plan(enough);
  return Planner(lines, options, random, trial.forced_share()).plan();
}

PairBatches::PairBatches(TokenizedLines lines, const Vocabulary& vocabulary, Masking masking,
                         const PairOptions& options, int64_t batch_tokens, uint64_t seed)
    : lines_(std::move(lines)),
      vocabulary_(vocabulary),
      masking_(std::move(masking)),
      options_(options),
      batch_tokens_(batch_tokens),
      seed_(seed) {
  BERTIE_CHECK(batch_tokens >= 1, "batch", "the tokens of a batch must be at least 1, got {}", batch_tokens);
  check_options(options);
  check_documents(lines_);
}

int64_t PairBatches::begin_pass(int64_t pass) {
  pass_ = pass;
  pairs_ = {};  // their memory is needed no more
  pairs_ = plan_pairs(lines_, options_, seed_, pass);
  std::vector<int64_t> order(pairs_.size()), lengths(pairs_.size());
  std::iota(order.begin(), order.end(), 0);
  order = shuffled(std::move(order), seed_, pass);
  std::transform(order.begin(), order.end(), lengths.begin(), [&](int64_t i) { return pairs_[i].length(); });
  plan_ = plan_batches(std::move(order), lengths, batch_tokens_);
  return plan_.size();
}

MaskedBatch PairBatches::batch(int64_t index) const {
  std::span<const int64_t> numbers = plan_[index];
  TokenBatch batch;
  batch.sequences.assign(numbers.begin(), numbers.end());
  batch.offsets = {0};
  for (int64_t i : numbers) batch.offsets.push_back(batch.offsets.back() + pairs_[i].length());
  batch.ids = Array::empty({batch.tokens()}, DType::i32);
  batch.token_type_ids = Array::zeros({batch.tokens()}, DType::i32);
  int32_t *ids = batch.ids.mutable_data<int32_t>(), *out = ids,
          *types = batch.token_type_ids.mutable_data<int32_t>();
  std::vector<int32_t> labels;
  for (int64_t i : numbers) {
    const SentencePair& pair = pairs_[i];
    *out++ = vocabulary_.cls_id();
    out = append(lines_, pair.a_line, pair.a_skip, pair.a_size, out);
    *out++ = vocabulary_.sep_id();
    int32_t* b = out;
    out = append(lines_, pair.b_line, pair.b_skip, pair.b_size, out);
    *out++ = vocabulary_.sep_id();
    std::fill(types + (b - ids), types + (out - ids), 1);
    labels.push_back(pair.random);
  }
  bool scorable = std::any_of(ids, out, [&](int32_t id) { return masking_.is_ordinary(id); });
  MaskedBatch masked =
      scorable ? masking_.mask(std::move(batch), pass_)
               : MaskedBatch{std::move(batch), Array::empty({0}, DType::i64), Array::empty({0}, DType::i32)};
  masked.next_sentence_labels = Array::from(labels);
  return masked;
}

}  // namespace bertie
