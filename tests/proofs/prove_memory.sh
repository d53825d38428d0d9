#!/usr/bin/env bash
# Memory as bert_pretrain predicts it and as it comes to be, of arrays and of the process: base, small, and a batch of
# texts of very different lengths, each unsplit and with a limit of 60 % of what that takes. A line each; ends with status
# 1 where arrays differ by more than 3 %, resident memory by more than 3 % and 100 MB, or a limit isn't kept. Takes real
# text (BERTIE_TEST_DATA, a folder with corpora/ and vocab/), and minutes.
#   tests/proofs/prove_memory.sh build/release
set -euo pipefail
build=$(cd "${1:?needs the build folder}" && pwd)
real=${BERTIE_TEST_DATA:?needs a folder of real text}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
failed=0

in_megabytes() { awk '{ for (i = 1; i < NF; i += 2) printf "%d ", ($(i + 1) == "GB" ? 1000 : 1) * $i }'; }

# row NAME LIMIT OPTION…: a run, with --memory-limit unless LIMIT is empty. Leaves its predicted resident size in `resident`.
row() {
  local name=$1 limit=$2
  shift 2
  "$build/bert_pretrain" --documents lines --held-out held_out.txt --cache cache --output out --overwrite --steps 2 \
    --evaluate-steps 1000 ${limit:+--memory-limit "${limit}M"} "$@" >/dev/null 2>err </dev/null || { cat err; exit 1; }
  local live peak size='([0-9.]+ [GM]B)'
  live=$(sed -n -E "s/^Memory: $size at the peak:.*/\1/p" err | in_megabytes)
  resident=$(sed -n -E "s/^Memory: .*resident about $size.*/\1/p" err | in_megabytes)
  peak=$(sed -n -E "s/^Memory at the peak: $size of arrays, $size.*/\1 \2/p" err | in_megabytes)
  awk -v name="$name" -v live="$live" -v resident="$resident" -v peak="$peak" -v limit="${limit:-0}" 'BEGIN {
    split(peak, measured, " ")
    l = 100 * (live / measured[1] - 1)
    r = 100 * (resident / measured[2] - 1)
    away = resident - measured[2]
    if (away < 0) away = -away
    bad = l > 3 || l < -3 || away > 0.03 * measured[2] + 100 || (limit && measured[2] > limit)
    printf "%-22s arrays %5d MB predicted, %5d measured (%+.1f %%); resident %5d MB predicted, %5d measured (%+.1f %%)%s%s\n",
      name, live, measured[1], l, resident, measured[2], r, limit ? ", limit " limit " MB" : "", bad ? "  WRONG" : ""
    exit bad
  }' || failed=1
}

# Both, the limit from the first.
rows() {
  local name=$1
  shift
  row "$name" "" "$@"
  row "$name at 60 %" "$(awk -v r="$resident" 'BEGIN { printf "%d", 0.6 * r }')" "$@"
}

head -c 600000 "$real/corpora/wikitext-2/test.txt" >wikitext.txt
head -c 3000 "$real/corpora/wikitext-2/valid.txt" >held_out.txt
head -c 600000 "$real/corpora/movie-reviews/rt-polarity.pos" >reviews.txt
vocabulary=$real/vocab/bert-base-uncased-vocab.txt
rows "ragged" --corpus reviews.txt --vocab "$vocabulary" --preset mini --batch-tokens 4096 --max-length 512
rows "small" --corpus wikitext.txt --vocab "$vocabulary" --preset small --batch-tokens 4096 --max-length 128
rows "base" --corpus wikitext.txt --vocab "$vocabulary" --preset base --batch-tokens "${BASE_TOKENS:-4096}" --max-length 128
exit $failed
