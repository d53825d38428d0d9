#include "bertie/data/batches/batch_stream.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>

#include "bertie/autograd/threads.h"
#include "bertie/data/batches/batch_parts.h"
#include "bertie/data/batches/mlm_batches.h"
#include "bertie/data/batches/sentence_pairs.h"
#include "tests/data/batches/small_vocabulary.h"
#include "tests/message_of.h"

namespace bertie {
namespace {

// 120 lines of 1 to 20 tokens, in documents of 6.
TokenizedLines ragged_lines() {
  TokenVectors lines;
  for (int i = 0; i < 120; ++i) {
    for (int j = 0; j < 1 + i * 7 % 20; ++j) lines.ids.push_back(5 + (i + j) % 4);
    lines.end_sequence();
    if (i % 6 == 5) lines.end_document();
  }
  return TokenizedLines(std::move(lines));
}

struct Sources {
  Sources() : masking(ordinary_tokens(small_vocabulary()), small_vocabulary().mask_id(), 4) {
    sources.push_back(std::make_unique<MlmBatches>(lines, small_vocabulary(), masking, 100, 4));
    sources.push_back(
        std::make_unique<PairBatches>(lines, small_vocabulary(), masking, PairOptions{40}, 100, 4));
  }
  TokenizedLines lines = ragged_lines();
  Masking masking;
  std::vector<std::unique_ptr<BatchSource>> sources;
};

void expect_same(const MaskedBatch& a, const MaskedBatch& b) {
  EXPECT_EQ(a.tokens.ids.to_vector<int32_t>(), b.tokens.ids.to_vector<int32_t>());
  EXPECT_EQ(a.tokens.offsets, b.tokens.offsets);
  EXPECT_EQ(a.tokens.sequences, b.tokens.sequences);
  EXPECT_EQ(a.scored_rows.to_vector<int64_t>(), b.scored_rows.to_vector<int64_t>());
  EXPECT_EQ(a.labels.to_vector<int32_t>(), b.labels.to_vector<int32_t>());
  ASSERT_EQ(static_cast<bool>(a.next_sentence_labels), static_cast<bool>(b.next_sentence_labels));
  if (!a.next_sentence_labels) return;
  EXPECT_EQ(a.next_sentence_labels.to_vector<int32_t>(), b.next_sentence_labels.to_vector<int32_t>());
  EXPECT_EQ(a.tokens.token_type_ids.to_vector<int32_t>(), b.tokens.token_type_ids.to_vector<int32_t>());
}

// Three passes made ahead are those made directly; a stream that begins anywhere goes on as the first did.
TEST(BatchStream, GivesTheBatchesOfTheSource) {
  Sources direct, streamed, resumed;
  for (size_t kind = 0; kind < 2; ++kind) {
    std::vector<MaskedBatch> batches;
    std::vector<DataPosition> positions;
    for (int64_t pass = 0; pass < 3; ++pass)
      for (int64_t b = 0, count = direct.sources[kind]->begin_pass(pass); b < count; ++b) {
        positions.push_back({pass, b});
        batches.push_back(direct.sources[kind]->batch(b));
      }
    ASSERT_GT(batches.size(), 30u);
    BatchStream stream(*streamed.sources[kind], {}, 1 + kind * 3);
    for (size_t i = 0; i < batches.size(); ++i) {
      EXPECT_EQ(stream.position(), positions[i]);
      expect_same(stream.next(), batches[i]);
    }
    EXPECT_EQ(stream.position(), (DataPosition{3, 0}));
    for (size_t i = 0; i < batches.size(); ++i) {
      BatchStream there(*resumed.sources[kind], positions[i]);
      EXPECT_EQ(there.position(), positions[i]);
      for (size_t next = i; next < std::min(i + 3, batches.size()); ++next)
        expect_same(there.next(), batches[next]);
    }
  }
}

// Ten batches a pass, which tell their number; 7 of pass 1 fails.
class Counting : public BatchSource {
 public:
  int64_t begin_pass(int64_t pass) override {
    pass_ = pass;
    return 10;
  }
  MaskedBatch batch(int64_t index) const override {
    threads = thread_count();
    BERTIE_CHECK(pass_ != 1 || index != 7, "batch", "the disk is gone");
    ++made;
    TokenBatch tokens;
    tokens.sequences = {pass_ * 10 + index};
    return {tokens, Array(), Array()};
  }
  mutable std::atomic<int64_t> made = 0;
  mutable std::atomic<int> threads = 0;

 private:
  int64_t pass_ = 0;
};

TEST(BatchStream, ErrorsReachTheConsumer) {
  Counting source;
  BatchStream stream(source);
  for (int64_t i = 0; i < 17; ++i) EXPECT_EQ(stream.next().tokens.sequences[0], i);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(message_of([&] { stream.next(); }), "[batch] the disk is gone");
  EXPECT_EQ(stream.position(), (DataPosition{1, 7}));
  EXPECT_EQ(source.threads, 1);  // a parallel loop would make a second pool

  Counting other;
  EXPECT_EQ(message_of([&] {
              BatchStream(other, {2, 10}).next();
            }),
            "[batch] pass 2 has 10 batches, asked to go on at number 10: other data?");
  EXPECT_EQ(message_of([&] {
              BatchStream(other, {0, -1});
            }),
            "[batch] a place in the data must not be negative, got batch -1 of pass 0");
  EXPECT_NE(message_of([&] { BatchStream(other, {}, 0); }), "no error");
}

TEST(BatchStream, IsBoundedAndEndsAtAnyTime) {
  for (int taken : {0, 1, 5}) {
    Counting source;
    {
      BatchStream stream(source, {}, 2);
      for (int i = 0; i < taken; ++i) stream.next();
      auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
      while (source.made < taken + 3 && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      EXPECT_EQ(source.made, taken + 3);  // two wait, one more is made
    }
    EXPECT_EQ(source.made, taken + 3);
  }
}

// Whatever the parts are: together they are the batch, and each knows its place.
void expect_all_of(const MaskedBatch& batch, const std::vector<MaskedBatch>& parts) {
  std::vector<int32_t> ids, types, labels, next;
  std::vector<int64_t> rows, numbers;
  int64_t tokens = 0;
  for (const MaskedBatch& part : parts) {
    EXPECT_EQ(part.tokens.first_sequence, static_cast<int64_t>(numbers.size()));
    ASSERT_EQ(part.tokens.offsets.size(), part.tokens.sequences.size() + 1);
    EXPECT_EQ(part.tokens.offsets.front(), 0);
    EXPECT_EQ(part.tokens.ids.size(), part.tokens.tokens());
    for (size_t n = 0; n < part.tokens.sequences.size(); ++n)
      EXPECT_EQ(tokens + part.tokens.offsets[n], batch.tokens.offsets[numbers.size() + n]);
    auto append = [](auto& to, const Array& from) {
      auto values = from.to_vector<typename std::decay_t<decltype(to)>::value_type>();
      to.insert(to.end(), values.begin(), values.end());
      return values.size();
    };
    append(ids, part.tokens.ids);
    size_t labeled = append(labels, part.labels);
    ASSERT_EQ(part.scored_rows.size(), static_cast<int64_t>(labeled));
    for (int64_t row : part.scored_rows.to_vector<int64_t>()) rows.push_back(row + tokens);
    if (batch.tokens.token_type_ids) append(types, part.tokens.token_type_ids);
    if (batch.next_sentence_labels) append(next, part.next_sentence_labels);
    numbers.insert(numbers.end(), part.tokens.sequences.begin(), part.tokens.sequences.end());
    tokens += part.tokens.tokens();
  }
  EXPECT_EQ(ids, batch.tokens.ids.to_vector<int32_t>());
  EXPECT_EQ(labels, batch.labels.to_vector<int32_t>());
  EXPECT_EQ(rows, batch.scored_rows.to_vector<int64_t>());
  EXPECT_EQ(numbers, batch.tokens.sequences);
  if (batch.next_sentence_labels) {
    EXPECT_EQ(types, batch.tokens.token_type_ids.to_vector<int32_t>());
    EXPECT_EQ(next, batch.next_sentence_labels.to_vector<int32_t>());
  }
}

// Of at least three sequences.
MaskedBatch some_batch(BatchSource& source) {
  source.begin_pass(0);
  MaskedBatch batch = source.batch(0);
  for (int64_t b = 1; batch.tokens.sequences.size() < 3; ++b) batch = source.batch(b);
  return batch;
}

TEST(SplitBatch, PartsAreThoseOfTheWhole) {
  Sources all;
  for (auto& source : all.sources) {
    MaskedBatch batch = some_batch(*source);
    for (int64_t limit = 1; limit <= 110; ++limit) {
      std::vector<MaskedBatch> parts = split_batch(batch, limit);
      expect_all_of(batch, parts);
      for (const MaskedBatch& part : parts)
        EXPECT_TRUE(part.tokens.sequences.size() == 1 || part.tokens.tokens() <= limit);
      if (limit == 1) {
        EXPECT_EQ(parts.size(), batch.tokens.sequences.size());
      }
      if (limit >= 100) {
        EXPECT_EQ(parts.size(), 1u);
      }
    }
    EXPECT_EQ(message_of([&] { split_batch(batch, 0); }),
              "[batch] the tokens of a batch must be at least 1, got 0");
  }
}

TEST(CutBatch, PartsAreThoseOfTheWhole) {
  Sources all;
  for (auto& source : all.sources) {
    MaskedBatch batch = some_batch(*source);
    auto sequences = std::ssize(batch.tokens.sequences);
    for (int64_t count = 1; count <= sequences + 9; ++count) {
      std::vector<MaskedBatch> parts = cut_batch(batch, count);
      ASSERT_EQ(std::ssize(parts), count);
      expect_all_of(batch, parts);
      auto empty = std::count_if(parts.begin(), parts.end(), [](const MaskedBatch& part) {
        return part.tokens.sequences.empty() && part.labels.size() == 0;
      });
      if (count <= sequences) {
        EXPECT_EQ(empty, 0);
      } else {
        EXPECT_GE(empty, count - sequences);
      }
    }
    EXPECT_EQ(message_of([&] { cut_batch(batch, 0); }), "[batch] a batch must have at least one part, got 0");
  }
}

}  // namespace
}  // namespace bertie
