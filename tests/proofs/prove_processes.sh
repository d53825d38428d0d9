#!/usr/bin/env bash
# Proves with a mini BERT and real text, dropout and next sentences what tests/apps/several_processes_test.sh tests with a
# small one: 60 steps of four parts come to the same files, checkpoints included, with one process of one and two threads
# and with 2, 3 and 4 processes; so do the parts that a memory limit asks for, and fine-tuning on SST-2.
#   tests/proofs/prove_processes.sh [BUILD]      build/release; a quarter of an hour on 2 cores
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd) || exit 2
given=$(cd "${BERTIE_TEST_DATA:?set BERTIE_TEST_DATA to the folder that holds corpora and glue}" && pwd) || exit 2
set -- "${1:-$root/build/release}"
source "$root/tests/apps/program_checks.sh"
limit=900
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_mpi_yield_when_idle=1 OMP_NUM_THREADS=1

# FOLDER COMMAND…
run() {
  local folder=$1
  shift
  expect 0 "$@" --output "$folder"
  echo "$folder: $(grep "steps in" err)"
}
# FOLDER COMMAND…: in four parts, in all ways that aren't bound by memory.
run_all() {
  local folder=$1 count
  shift
  run "$folder" "$@" --parts 4
  run "$folder-threads" "$@" --parts 4 --threads 2
  for count in 2 3 4; do run "$folder-$count" mpirun -n $count "$@" --parts 4; done
}

pretrain=(bert_pretrain --corpus "$given/corpora/wikitext-2/test.txt" --cache cache --preset mini --objective mlm+nsp --dropout 0.1
  --steps 60 --checkpoint-steps 60 --evaluate-steps 30)
run_all pretrained "${pretrain[@]}"
# A limit chooses the number of parts, the fewest that fit.
memory=(--memory-limit $(($(sed -n 's/^Memory: .* resident about \([0-9]*\) MB.*/\1/p' err) + 1))M)
run limited "${pretrain[@]}" "${memory[@]}"
parts=$(sed -n 's/^Memory: .* each step in \([0-9]*\) parts.*/\1/p' err)
echo "${memory[*]}: ${parts:-1} parts"
[[ ${parts:-1} -gt 1 ]] || wrong "the limit should divide a step"
run limited-unlimited "${pretrain[@]}" --parts "$parts" --threads 2
run limited-2 mpirun -n 2 "${pretrain[@]}" --parts "$parts" "${memory[@]}"
head -n 2001 "$given/glue/SST-2/train.tsv" >train.tsv
run_all finetuned bert_finetune --task classify --model pretrained --train train.tsv --dev "$given/glue/SST-2/dev.tsv" --epochs 1 \
  --checkpoint-steps 60 --dropout 0.1
for folder in pretrained limited finetuned; do
  for other in "$folder"-*; do same_as "$folder" "$other"; done
done
report
