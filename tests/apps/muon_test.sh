#!/usr/bin/env bash
# --optimizer of bert_pretrain and bert_finetune: Muon, the default of bert_pretrain, is told, comes to the same bits
# on any number of threads and in a run that was killed; no run goes on with another optimizer.
#   tests/apps/muon_test.sh build/release
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd) || exit 2
source "$root/tests/apps/program_checks.sh"

small_documents >corpus.txt
small_model >small.json
run=(bert_pretrain --corpus corpus.txt --config small.json --vocab-size 100 --batch-tokens 200 --parts 2 --dropout 0.1
  --objective mlm+nsp --steps 40 --checkpoint-steps 10 --evaluate-steps 20 --cache cache)
expect 0 "${run[@]}" --optimizer adamw --output adamw
grep --quiet "^Optimizer" err && wrong "of AdamW nothing should be said"
grep --quiet "<td>AdamW</td>" adamw/report.html || wrong "the report should tell the optimizer"
expect 0 "${run[@]}" --optimizer muon --threads 2 --output whole
told="Muon for bert.encoder's matrices (6, of 8192 parameters; products in b\?f[13][26]), AdamW for the other [0-9]* parameters"
grep --quiet "^Optimizer: $told\$" err || wrong "whose which parameters are should be told"
grep --quiet "s matrices (6, of 8192 parameters; products in" whole/report.html || wrong "the report should tell the optimizer"
cmp --silent adamw/model.safetensors whole/model.safetensors && wrong "Muon should differ from AdamW"
expect 0 "${run[@]}" --threads 1 --output one  # Muon is the default
same_as whole one
kill_at_checkpoint killed "${run[@]}" --optimizer muon --output killed
expect 0 "${run[@]}" --optimizer muon --output killed --resume
cmp --silent whole/model.safetensors killed/model.safetensors || wrong "a resumed run should be the undisturbed one"
refused 2 "--optimizer" "${run[@]}" --optimizer sgd --output refused

# --- another optimizer on resuming
long=("${run[@]/#40/4000}")
kill_at_checkpoint changed "${long[@]}" --optimizer muon --output changed
expect 1 "${long[@]}" --optimizer adamw --output changed --resume
grep --quiet "run with other settings" err && grep --quiet 'optimizer: "muon" there, not set here' err ||
  wrong "another optimizer should be named"

# --- fine-tuning, of the layers that aren't frozen
printf 'text\tlabel\n' >train.tsv
for i in {1..20}; do printf 'the cat sat on %s\tgood\nthe dog ran under %s\tbad\n' "tree $i" "house $i"; done >>train.tsv
tune=(bert_finetune --task classify --model whole --train train.tsv --dev train.tsv --epochs 2 --learning-rate 1e-3
  --optimizer muon)
expect 0 "${tune[@]}" --output tuned
grep --quiet "^Optimizer: Muon for bert.encoder's matrices (6, of 8192 parameters; " err ||
  wrong "fine-tuning should tell whose which parameters are"
refused 1 "[muon] matrices bert.encoder" "${tune[@]}" --freeze-layers 1 --output refused
report
