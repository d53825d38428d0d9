#!/usr/bin/env bash
# Does training reach the best that is possible? Trains a small BERT on the text that bertie brings along, whose best
# possible score is known (docs/language.md): shortly, as scripts/pretrain.sh does, and long. Fails unless, on at least
# 20,000 scored held-out positions and by the exact probabilities,
#   - the short run comes within 0.012 of the best accuracy and 0.06 nats of the best loss,
#   - the long ones, with three seeds, each within 0.02 and 0.06 nats, and within 0.05 of the best accuracy at each
#     phenomenon, of which 1,000 positions each are scored, near and far,
#   - and none is anywhere better than the best by more than four standard errors, in accuracy or loss.
# 30 to 50 minutes on 2 cores. Further arguments go to the long bert_pretrain.
set -euo pipefail
cd "$(dirname "$0")/../.."

# judge METRICS ACCURACY LOSS ACCURACY_OF_A_PHENOMENON: how far from the best a model may be.
judge() {
  tail -n 1 "$1" | awk -v most_accuracy="$2" -v most_loss="$3" -v most_of_each="$4" '
    {
      if (!index($0, "\"language\":{") || index($0, "null")) { print "FAILED: no scores"; exit 1 }
      language = substr($0, index($0, "\"language\":"))
      count = split("all number_near number_far tense_near tense_far right_near right_far both_near both_far sense_near sense_far", names)
      for (i = 1; i <= count; ++i) {
        name = names[i]
        accuracy = number(name, "accuracy_lost"); loss = number(name, "loss_lost"); positions = number(name, "positions")
        printf "%-12s %6d positions, from the best: accuracy %.4f, loss %.4f\n", name, positions, accuracy, loss
        demand(positions >= (i == 1 ? 20000 : 1000), "too few positions")
        demand(i > 1 || accuracy <= most_accuracy, "too far from the best accuracy")
        demand(i == 1 || accuracy <= most_of_each, "not learned")
        demand(i > 1 || loss <= most_loss, "too far from the best loss")
        demand(score(name, "model", "accuracy") - score(name, "best", "accuracy") <= 4 * number(name, "accuracy_error"),
               "more accurate than possible")
        demand(score(name, "best", "loss") - score(name, "model", "loss") <= 4 * number(name, "loss_error"),
               "a lower loss than possible")
      }
      exit failed
    }
    function demand(holds, what) { if (!holds) { print "  FAILED: " what; failed = 1 } }
    function object(name) { return substr(language, index(language, "\"" name "\":{")) }
    function after(text, key) { return substr(text, index(text, "\"" key "\":") + length(key) + 3) }
    function number(name, key) { return after(object(name), key) + 0 }
    function score(name, column, key) { return after(after(object(name), column), key) + 0 }'
}

scripts/pretrain.sh --output build/prove_language/short --overwrite
echo "the short run"
judge build/prove_language/short/metrics.jsonl 0.012 0.06 1
status=0
for seed in 1 2 3; do
  build/release/bert_pretrain --config scripts/language_bert.json --mask-probability 0.35 \
    --steps 9000 --seed $seed --output build/prove_language/long --overwrite "$@"
  echo "the long run, seed $seed"
  judge build/prove_language/long/metrics.jsonl 0.02 0.06 0.05 || status=1
done
exit $status
