# Sourced by the tests that look at programs from the outside, with the build folder as argument: goes to a new folder,
# removed at the end, with the programs in the path, and gives them what they check with. They end with `report`.
set -uo pipefail
build=$(cd "${1:?needs the build folder}" && pwd) || exit 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
export PATH="$build:$PATH"

# Whether the build is that of the sanitizers, under which all takes ten times as long, and more memory.
sanitized() { grep --quiet "^BERTIE_SANITIZE:BOOL=ON" "$build/CMakeCache.txt"; }

# The configuration of a model that takes a sixth of tiny's time.
small_model() {
  echo '{"model_type": "bert", "architectures": ["BertForMaskedLM"], "hidden_size": 32, "num_hidden_layers": 1,
    "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 128, "vocab_size": 100}'
}

# Sixty of them, of six short lines each.
small_documents() {
  local document line word words
  for document in {1..60}; do
    for line in {1..6}; do
      for ((word = 0; word < 4 + (document + line) % 5; ++word)); do
        words=(the cat dog bird sat ran flew on under mat tree house and saw a red blue)
        printf '%s ' "${words[(document * 7 + line * 5 + word * (3 + document % 4)) % 17]}"
      done
      echo .
    done
    echo
  done
}

failures=0
wrong() {
  echo "FAILED: $*"
  tail -n 3 err 2>/dev/null | sed 's/^/  stderr: /'
  failures=$((failures + 1))
}

# expect STATUS COMMAND…: standard output goes to `out`, standard error to `err`.
limit=60  # seconds
expect() {
  local status=$1 came
  shift
  timeout $limit "$@" >out 2>err </dev/null
  came=$?
  [[ $came -eq $status ]] || wrong "'$*' ended with status $came, not $status"
}

# refused STATUS "WORD…" COMMAND…: one line that begins with the program's name and has the words, nothing on standard
# output, and nothing in the folder `refused`, which the commands name as their output.
refused() {
  local status=$1 words=$2 word
  shift 2
  rm -rf refused
  expect "$status" "$@"
  [[ $(grep -c "^$1: " err) -eq 1 && $(tail -n 1 err) == "$1: "* ]] || wrong "'$*' should end with one line of its own"
  for word in $words; do tail -n 1 err | grep --quiet --fixed-strings -e "$word" || wrong "'$*' should say '$word'"; done
  [[ ! -s out ]] || wrong "'$*' wrote to standard output"
  [[ -z $(ls -A refused 2>/dev/null) ]] || wrong "'$*' left $(ls -A refused)"
}

# kill_at_checkpoint FOLDER COMMAND…: kill -9, as soon as the folder has a checkpoint of the command's run.
kill_at_checkpoint() {
  local folder=$1
  shift
  "$@" >out 2>err </dev/null &
  until [[ -n $(ls "$folder/checkpoints" 2>/dev/null) ]] || ! kill -0 $! 2>/dev/null; do sleep 0.02; done
  kill -KILL $! 2>/dev/null
  wait $! 2>/dev/null
}

# interrupt "TEXT" COMMAND…: SIGTERM, as soon as standard error has the text. Standard input is the caller's.
interrupt() {
  local text=$1
  shift
  : >err  # what the run before said is no sign of this one
  "$@" >out 2>err <&0 &
  until grep --quiet --fixed-strings -e "$text" err || ! kill -0 $! 2>/dev/null; do sleep 0.02; done
  kill -TERM $!
  wait $!
  [[ $? -eq 143 ]] || wrong "SIGTERM should end '$*' with status 143"
}

# The command that the interrupted run has printed.
told_command() { sed -n 's/^To continue: //p' err; }

# The numbers of metrics.jsonl that no clock decides.
metrics() { sed -E 's/"seconds":[^,]*,//; s/,"tokens_per_second".*//' "$1/metrics.jsonl"; }
# The last checkpoint: arrays and texts, but for the time that the run took, whose digits decide how the header is filled
# up, and the checksum.
checkpoint() {
  local file header
  file=$(ls "$1"/checkpoints/* | tail -n 1)
  header=$(od -An -t u8 -N 8 "$file")
  head -c $((8 + header)) "$file" | tail -c +9 | sed -E 's/"(seconds|crc32)":"[^"]*"//g; s/ *$//'
  tail -c +$((9 + header)) "$file"
}
same_as() {
  cmp --silent "$1/model.safetensors" "$2/model.safetensors" || wrong "$2 should have the weights of $1"
  cmp --silent <(metrics "$1") <(metrics "$2") || wrong "$2 should have the metrics of $1"
  [[ ! -e $1/checkpoints/ || -z $(ls "$1/checkpoints") ]] || cmp --silent <(checkpoint "$1") <(checkpoint "$2") ||
    wrong "$2 should have the checkpoint of $1"
}
report() {
  [[ $failures -eq 0 ]] || { echo "$failures failed"; exit 1; }
  echo "all passed"
}
