#!/usr/bin/env bash
# bert_pretrain and bert_finetune in several processes: the same files as in one, whoever computes which part; killed,
# interrupted and continued with another number of them; and what goes wrong, each told once.
#   tests/apps/several_processes_test.sh build/release [mpirun]      or, of MPICH, build/mpich mpiexec.mpich
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd) || exit 2
mpirun=$(command -v "${2:-mpirun}") || { echo "skipped: there is no mpirun"; exit 77; }
source "$root/tests/apps/program_checks.sh"

# Open MPI refuses root, and more processes than there are cores, unless it is told.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_mpi_yield_when_idle=1 OMP_NUM_THREADS=1
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0"  # what MPI leaves in memory is nobody's fault here

# told_once WORDS COMMAND…: status 1, and one line of the program's, which has the words.
told_once() {
  local words=$1
  shift
  expect 1 "$@"
  [[ $(grep -c "^bert_[a-z]*: " err) -eq 1 ]] || wrong "'$*' should end with one line of its own: $(grep "^bert_" err)"
  grep "^bert_[a-z]*: " err | grep --quiet -e "$words" || wrong "'$*' should say '$words': $(grep "^bert_" err)"
}
# end_one SIGNAL FOLDER: one of the processes that write to a folder.
end_one() { kill "-$1" "$(pgrep -n -f "^bert_pretrain .*--output $2( |\$)")"; }
# until_saved FOLDER PID: waits for a checkpoint.
until_saved() { until [[ -n $(ls "$1/checkpoints" 2>/dev/null) ]] || ! kill -0 "$2" 2>/dev/null; do sleep 0.02; done; }

small_documents >corpus.txt
model=(--preset tiny) counts="2 3 4"
if sanitized; then  # enough to go through the code
  model=(--config "$work/small.json") counts=3
  small_model >small.json
fi
pretrain=(bert_pretrain --corpus corpus.txt "${model[@]}" --vocab-size 100 --batch-tokens 200 --dropout 0.1
  --objective mlm+nsp --optimizer adamw --steps 24 --checkpoint-steps 8 --evaluate-steps 12 --cache cache)
run=("${pretrain[@]}" --parts 4)
long=("${run[@]/#24/80}")

# --- the same bits
expect 0 "${run[@]}" --output alone
expect 0 "${run[@]}" --output threads --threads 2
same_as alone threads
for count in $counts; do
  expect 0 "$mpirun" -n $count "${run[@]}" --output "of$count"
  [[ $(cat out) == "of$count" ]] || wrong "the folder should be printed once, not '$(cat out)'"
  [[ $(grep -c "^Held-out text after step 24" err) -eq 1 ]] || wrong "$count processes should speak with one voice"
  same_as alone "of$count"
done
expect 0 "$mpirun" -n 3 "${pretrain[@]}" --output parts
expect 0 "${pretrain[@]}" --parts 3 --output parts_alone
same_as parts_alone parts
expect 0 "$mpirun" -n 3 "${pretrain[@]}" --memory-limit 4G --output limited
same_as parts_alone limited
expect 0 "${run[@]}" --precision auto --output auto_alone  # bf16 where this CPU gains by it
expect 0 "$mpirun" -n 2 "${run[@]}" --precision auto --output auto
[[ $(grep -c "^Precision: " err) -eq 1 ]] || wrong "the precision should be told once"
same_as auto_alone auto
expect 0 "${run[@]/#adamw/muon}" --output muon_alone
expect 0 "$mpirun" -n 3 "${run[@]/#adamw/muon}" --output muon
same_as muon_alone muon

# --- one is killed, then continued by fewer, and by more
"$mpirun" -n 4 "${long[@]}" --output killed_of_four >out 2>err </dev/null &
until_saved killed_of_four $!
end_one KILL killed_of_four
wait $! && wrong "mpirun should tell that a process was killed"
expect 0 "$mpirun" -n 2 "${long[@]}" --output killed_of_four --resume
expect 0 "${long[@]}" --output undisturbed
same_as undisturbed killed_of_four

# --- SIGTERM, which comes to one: mpirun passes on its own only after odls_base_sigkill_timeout
"$mpirun" -n 3 "${long[@]}" --output stopped_of_three >out 2>err </dev/null &
until_saved stopped_of_three $!
end_one TERM stopped_of_three
wait $! && wrong "mpirun should tell that the run was interrupted"
[[ $(grep -c "^The training ended at step" err) -eq 1 && $(cat out) == stopped_of_three ]] ||
  wrong "an interrupted run should be saved once"
expect 0 "${long[@]}" --output stopped_of_three --resume
cmp --silent {undisturbed,stopped_of_three}/model.safetensors || wrong "the interrupted run should be the undisturbed one"

# --- bert_finetune
good=(good fine great lovely)
bad=(bad poor awful dull)
for ((i = 0; i < 40; ++i)); do
  printf 'the cat is %s .\tpositive\nthe dog was %s , a bird .\tnegative\n' "${good[i * 7 % 4]}" "${bad[i % 4]}"
done >train.tsv
head -n 30 train.tsv >dev.tsv
finetune=(bert_finetune --task classify --model alone --train train.tsv --dev dev.tsv --dropout 0.1 --epochs 2 --batch-size 16
  --parts 4 --checkpoint-steps 3 --patience 3)
expect 0 "${finetune[@]}" --output tuned
for count in ${counts% 4}; do
  expect 0 "$mpirun" -n $count "${finetune[@]}" --output "tuned$count"
  same_as tuned "tuned$count"
done
expect 0 "${finetune[@]}" --seeds 2 --output seeds
expect 0 "$mpirun" -n 2 "${finetune[@]}" --seeds 2 --output seeds2
same_as seeds seeds2
[[ $(cat out) == $'seeds2/runs/seed-1\nseeds2/runs/seed-2\nseeds2' ]] || wrong "each folder should be printed once: $(cat out)"

# --- what goes wrong: each is told once, and all end
together=("$mpirun" -n 3 bert_pretrain --preset tiny --vocab-size 100 --batch-tokens 200 --steps 2 --cache cache)
version=$(bert_pretrain --version)
sed "s/${version##* }/9.9.9/g" "$build/bert_pretrain" >newer
chmod +x newer
told_once "process 2 of 2 on .* has other options than process 1 of 2" "$mpirun" -n 1 "${together[@]:3}" --corpus corpus.txt \
  --output refused : -n 1 ./newer "${together[@]:4}" --corpus corpus.txt --output refused
grep --quiet "^  version: \"${version##* }\" there, \"9.9.9\" here" err || wrong "the other version should be named"
told_once "2 of a step can't be divided among 3 processes" "${together[@]}" --corpus corpus.txt --parts 2 --output refused
told_once "no_corpus.txt" "${together[@]}" --corpus no_corpus.txt --output refused
told_once "standard input" "${together[@]}" --corpus - --output refused
touch file
told_once "can't make the folder file/refused" "${together[@]}" --corpus corpus.txt --output file/refused
expect 2 "${together[@]}" --corpus corpus.txt --parts none
# MPICH's launcher doesn't end the others, who then tell it, too.
[[ $(grep -c "^bert_pretrain: " err) -eq 1 ]] || "$mpirun" --version | grep --quiet -i hydra || wrong "wrong usage should be told once"
expect 0 "$mpirun" -n 2 bert_pretrain --version
[[ $(wc -l <out) -eq 1 ]] || wrong "the version should be printed once"
each=(bert_pretrain --preset tiny --vocab-size 100 --batch-tokens 200 --steps 2 --cache cache --output refused)
told_once "process 2 of 2 on .* has other options than process 1 of 2" "$mpirun" -n 1 "${each[@]}" --corpus corpus.txt : \
  -n 1 "${each[@]}" --corpus corpus.txt --seed 2
grep --quiet '^  "\?--seed"\?: not set there, "2" here' err || wrong "the option that differs should be named"
mkdir here there
cp corpus.txt here
told_once "^bert_pretrain: process 2 of 2 on .*: .*corpus.txt" "$mpirun" -n 1 --wdir "$work/here" "${each[@]}" --corpus corpus.txt : \
  -n 1 --wdir "$work/there" "${each[@]}" --corpus corpus.txt
sed 's/cat/cow/' corpus.txt >there/corpus.txt
told_once "differ between process 1 of 2 on .* and process 2 of 2 on .*: each must have the same files" "$mpirun" -n 1 --wdir "$work/here" "${each[@]}" \
  --corpus corpus.txt : -n 1 --wdir "$work/there" "${each[@]}" --corpus corpus.txt
[[ -z $(ls -A refused there/refused here/refused 2>/dev/null) ]] || wrong "nothing should be left of what was refused"

# --- folders of their own: the first one's has everything, and a run is resumed from it
apart() {
  "$mpirun" -n 1 --wdir "$work/here" "${long[@]}" --output own_model "$@" : \
    -n 1 --wdir "$work/there" "${long[@]}" --output own_model "$@"
}
cp corpus.txt here
cp corpus.txt there
apart >out 2>err </dev/null &
until_saved here/own_model $!
end_one KILL own_model
wait $!
apart --resume >out 2>err </dev/null || wrong "a run should be resumed where only one process has the folder"
same_as undisturbed here/own_model
[[ ! -e there/own_model ]] || wrong "the first process alone should have the output folder"
report
