#!/usr/bin/env bash
# Does training reach the best that is possible? Trains a small BERT on the text that bertie brings along, whose best
# possible score is known (docs/language.md), and fails unless, on at least 20,000 scored held-out positions,
#   - the model is within 0.02 of the best accuracy and 0.06 nat of the best loss, by the exact probabilities,
#   - no phenomenon, of which 1,000 positions each are scored, is more than 0.05 of accuracy away,
#   - and the model is nowhere better than the best by more than four standard errors, in accuracy or loss.
# Up to 40 minutes on 2 cores. Further arguments go to bert_pretrain.
set -euo pipefail
cd "$(dirname "$0")/.."
output=build/prove_language
cmake -S . -B build/release -G Ninja --log-level=WARNING
cmake --build build/release --target bert_pretrain
build/release/bert_pretrain --config scripts/language_bert.json --learning-rate 2e-3 --steps 30000 \
  --output "$output" --overwrite "$@"
tail -n 1 "$output/metrics.jsonl" | awk '
  {
    language = substr($0, index($0, "\"language\":"))
    count = split("all|number near|number far|tense near|tense far|right near|right far|both near|both far|sense near|sense far", rows, "|")
    for (i = 1; i <= count; ++i) {
      name = rows[i]
      accuracy = number(name, "accuracy_lost"); loss = number(name, "loss_lost"); positions = number(name, "positions")
      luck = score(name, "model", "accuracy") - score(name, "best", "accuracy")
      luck_in_loss = score(name, "best", "loss") - score(name, "model", "loss")
      printf "%-12s %6d positions, from the best: accuracy %.4f, loss %.4f\n", name, positions, accuracy, loss
      demand(positions >= (i == 1 ? 20000 : 1000), "too few positions")
      demand(accuracy <= (i == 1 ? 0.02 : 0.05), "too far from the best accuracy")
      if (i == 1) demand(loss <= 0.06, "too far from the best loss")
      demand(luck <= 4 * number(name, "accuracy_error"), "more accurate than possible")
      demand(luck_in_loss <= 4 * number(name, "loss_error"), "a lower loss than possible")
    }
    exit failed
  }
  function demand(holds, what) { if (!holds) { print "  FAILED: " what; failed = 1 } }
  function object(name) { return substr(language, index(language, "\"" name "\":{")) }
  function after(text, key) { return substr(text, index(text, "\"" key "\":") + length(key) + 3) }
  function number(name, key) { return after(object(name), key) + 0 }
  function score(name, column, key) { return after(after(object(name), column), key) + 0 }'
