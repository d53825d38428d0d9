#!/usr/bin/env bash
# Does a mini BERT learn real text, and from its context? Pre-trains on a corpus (default: the movie reviews in
# $BERTIE_TEST_DATA) and fails unless, on at least 5,000 scored held-out positions,
#   - the loss is at least 0.7 nats below the unigram cross-entropy, and
#   - where [MASK] hides the word and all other tokens come from another sentence of the same length, the gain over the
#     unigram is at most 0.05 nats.
# Up to 20 minutes on 2 cores. Further arguments go to bert_pretrain.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${BERTIE_TEST_DATA:?set BERTIE_TEST_DATA to the folder that holds corpora/movie-reviews}"
reviews=$BERTIE_TEST_DATA/corpora/movie-reviews
output=build/prove_real_text
cmake -S . -B build/release -G Ninja --log-level=WARNING
cmake --build build/release --target bert_pretrain bert_fill_mask
build/release/bert_pretrain --corpus "$reviews/rt-polarity.pos" "$reviews/rt-polarity.neg" --preset mini \
  --vocab-size 4096 --output "$output" --overwrite "$@"
for text in "this is one of the best [MASK] of the year ." "the plot is [MASK] and the characters are dull ." \
            "a funny and [MASK] film about love ."; do
  echo "$text"
  build/release/bert_fill_mask --model "$output" --text "$text" --top-k 5
done
tail -n 1 "$output/metrics.jsonl" | awk '
  {
    loss = number("held_out", "loss"); unigram = number("unigram", "loss"); scored = number("held_out", "scored")
    control = number("foreign_context", "hidden_loss"); base = number("foreign_context_unigram", "hidden_loss")
    printf "held-out loss %.4f, unigram %.4f: %.4f below (at least 0.7), on %d positions (at least 5000)\n", loss, unigram, unigram - loss, scored
    printf "with foreign context %.4f, unigram %.4f: %.4f below (at most 0.05)\n", control, base, base - control
    exit !(unigram - loss >= 0.7 && scored >= 5000 && base - control <= 0.05)
  }
  function number(object, key,   rest) {
    rest = substr($0, index($0, "\"" object "\":{"))
    rest = substr(rest, index(rest, "\"" key "\":") + length(key) + 3)
    return rest + 0
  }'
