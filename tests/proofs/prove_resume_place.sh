#!/usr/bin/env bash
# How long does it take a resumed run to be at its place in the data? A run's checkpoint of step 2 gets another place, at
# 90 % of the pass over a generated text of 1 GB; both continue for their third and last step. Prints what each took.
#   tests/proofs/prove_resume_place.sh [BUILD [BYTES]]
set -euo pipefail
build=$(realpath "${1:-build/release}")
bytes=${2:-1e9}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cmake --build "$build" --target make_words bert_pretrain wordpiece >/dev/null
mkdir text
"$build/tests/make_words" "$bytes" | split --bytes 256M - text/part-
head --bytes 20M text/part-aa >some.txt
"$build/wordpiece" train --input some.txt --size 2000 --output vocab.txt 2>/dev/null
run=("$build/bert_pretrain" --corpus text --vocab vocab.txt --preset tiny --steps 3 --checkpoint-steps 1 --batch-tokens 2048
  --cache cache)
"${run[@]}" --output first 2>log >/dev/null
grep -E "^Text" log
tokens=$(sed -n -E 's/^Text: .* documents, ([0-9]+) tokens to train on.*/\1/p' log)
[[ -n $tokens ]]
for place in 2 $((tokens * 9 / 10 / 2048)); do
  rm -rf run
  mkdir -p run/checkpoints
  # The checkpoint with this batch for the next one, and the checksum of that (nn/checkpoint.cpp).
  python3 - first/checkpoints/step-000000002.safetensors run/checkpoints/step-000000002.safetensors "$place" <<'PYTHON'
import json, struct, sys, zlib

data = open(sys.argv[1], "rb").read()
size = struct.unpack("<Q", data[:8])[0]
header, body = json.loads(data[8:8 + size]), data[8 + size:]
metadata = header["__metadata__"]
state = json.loads(metadata["objective_state"])
state["batch"] = int(sys.argv[3])
metadata["objective_state"] = json.dumps(state, separators=(",", ":"), sort_keys=True)
crc = 0
for key in sorted(metadata):
    if key != "crc32":
        crc = zlib.crc32(f"{key}\0{metadata[key]}\0".encode(), crc)
tensors = [(v["data_offsets"], k) for k, v in header.items() if k != "__metadata__"]
for (begin, end), name in sorted(tensors):
    crc = zlib.crc32(body[begin:end], zlib.crc32(f"{name}\0".encode(), crc))
metadata["crc32"] = f"{crc:08x}"
text = json.dumps(header, separators=(",", ":")).encode()
text += b" " * (-len(text) % 8)
open(sys.argv[2], "wb").write(struct.pack("<Q", len(text)) + text + body)
PYTHON
  for round in 1 2 3; do
    rm -rf run/model.safetensors
    cp -r run "run-$place-$round"
    begin=$(date +%s.%N)
    "${run[@]}" --resume --output "run-$place-$round" 2>log >/dev/null
    grep --quiet "^Continuing after step 2" log
    awk "BEGIN {printf \"resumed at batch %d: %.2f s\n\", $place, $(date +%s.%N) - $begin}"
  done
done
