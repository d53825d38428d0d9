#!/usr/bin/env bash
# Proves that no signal loses a finished model: sends SIGINT, SIGTERM, SIGHUP, SIGKILL, and SIGINT followed by SIGKILL,
# at random moments of a run over it. Afterwards the folder has the finished model, byte by byte, or that of the run, if
# that came to its end; it loads; and there is nothing beside it but what a run leaves on purpose and tells about.
#   tests/proofs/prove_signals.sh                    50 moments for each; some ten minutes
#   tests/proofs/prove_signals.sh build/release 3    so many, with the programs of that folder
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd) || exit 2
build=$(cd "${1:-$root/build/release}" && pwd) || exit 2
moments=${2:-50}
work=$(mktemp -d)
running=
trap '[[ -z $running ]] || kill -KILL "$running" 2>/dev/null; rm -rf "$work"' EXIT
cd "$work" || exit 2
export PATH="$build:$PATH" OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive
RANDOM=${SEED:-1}

failures=0
wrong() {
  echo "FAILED: $signal after $delay s: $*"
  sed 's/^/  stderr: /' err
  failures=$((failures + 1))
}

for ((i = 0; i < 12; ++i)); do
  printf '%s\n' "the cat sat on the mat ." "a dog ran to the old house ." "the bird sang in the green tree ."
done >corpus.txt
cat >config.json <<'END'
{"model_type": "bert", "vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
 "intermediate_size": 64, "max_position_embeddings": 64}
END
pretrain=(bert_pretrain --corpus corpus.txt --config config.json --max-length 64 --batch-tokens 64 --vocab-size 100)
sum() { cat "$1"/{config.json,vocab.txt,tokenizer_config.json,model.safetensors,bertie_training.json} 2>/dev/null | cksum; }
loads() { bert_fill_mask --model "$1" --text "the [MASK] sat on the mat ." --top-k 2 >fill 2>&1; }

"${pretrain[@]}" --steps 500 --seed 1 --output finished >out 2>err || { cat err; exit 1; }
start=${EPOCHREALTIME/./}
"${pretrain[@]}" --steps 500 --seed 2 --output other >out 2>err || { cat err; exit 1; }
run=$((${EPOCHREALTIME/./} - start))  # microseconds
is_finished=$(sum finished) is_other=$(sum other)
[[ $is_finished != "$is_other" ]] || { echo "the two models should differ"; exit 1; }
echo "a run takes $((run / 1000)) ms"

for signal in INT TERM HUP KILL INT+KILL; do
  declare -A count=([finished]=0 [other]=0 [aside]=0)
  for ((moment = 0; moment < moments; ++moment)); do
    # Half of them anywhere, half towards the end, where files are written.
    from=$((moment % 2 * run * 7 / 10))
    microseconds=$((from + (RANDOM * 32768 + RANDOM) % (run * 21 / 20 - from)))
    delay=$(printf '%d.%06d' $((microseconds / 1000000)) $((microseconds % 1000000)))
    rm -rf model
    cp -r finished model
    "${pretrain[@]}" --steps 500 --seed 2 --output model --overwrite >out 2>err </dev/null &
    running=$!
    sleep "$delay"
    kill -"${signal%+*}" $running 2>/dev/null
    if [[ $signal == INT+KILL ]]; then
      sleep "0.0$((RANDOM % 90 + 10))"
      kill -KILL $running 2>/dev/null
    fi
    wait $running 2>/dev/null
    status=$?
    running=
    case $signal:$status in
      *:0 | INT:130 | TERM:143 | HUP:129 | KILL:137 | INT+KILL:130 | INT+KILL:137) ;;
      *) wrong "ended with status $status" ;;
    esac
    loads model || wrong "the model doesn't load: $(cat fill)"
    case $(sum model) in
      "$is_finished") count[finished]=$((count[finished] + 1)) ;;
      "$is_other") count[other]=$((count[other] + 1)) ;;
      *) wrong "the model is neither the finished one nor the run's: $(ls -A model)" ;;
    esac
    for name in $(ls -A model); do
      case $name in
        config.json | vocab.txt | tokenizer_config.json | model.safetensors | metrics.jsonl | report.html | \
          bertie_training.json | checkpoints) ;;
        unfinished)  # of it, a kill may have left anything
          count[aside]=$((count[aside] + 1))
          [[ $signal == INT+KILL ]] && continue
          [[ $signal != KILL ]] && loads model/unfinished && grep --quiet '"finished":false' model/unfinished/bertie_training.json &&
            grep --quiet "What is trained is in model/unfinished, a model directory" err || wrong "model/unfinished"
          ;;
        unfinished-metrics.jsonl | unfinished-report.html) [[ $signal == *KILL ]] || wrong "$name is left" ;;
        *) wrong "$name is left" ;;
      esac
    done
    for left in unfinished unfinished-metrics.jsonl unfinished-report.html; do
      [[ -e model/$left ]] || continue
      "${pretrain[@]}" --steps 1 --output model --overwrite >out 2>err || wrong "$left blocks the next run"
      grep --quiet "^Note: model/$left is what " err || [[ $left == unfinished && ! -e model/$left ]] ||
        wrong "the next run should explain $left, or remove an empty one"
      break
    done
  done
  echo "$signal: $moments moments: ${count[finished]} times the finished model is there, ${count[other]} times the run had" \
    "come to its end; ${count[aside]} times there is an unfinished one aside"
done
if [[ $failures -gt 0 ]]; then
  echo "$failures failed"
  exit 1
fi
echo "all passed"
