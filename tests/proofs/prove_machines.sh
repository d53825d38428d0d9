#!/usr/bin/env bash
# Proves that a training on several machines comes to the bytes of one process, and that it ends everywhere where one is
# lost: four network namespaces with addresses of their own are joined by a bridge, each link is limited to a rate where
# the kernel can, and Open MPI's mpirun starts a process in each through an agent that enters them as ssh enters a
# machine. Then at random moments, in turn, a process is killed, the launcher is killed, and a link is cut: within the
# peer timeout and ten seconds everything must have ended, not with success, and nothing may be left running. The run
# resumed, on 4, 3 and 2 machines in turn, must come to the same bytes. As root; MPI alone is used, no ssh.
#   tests/proofs/prove_machines.sh                     20 moments at 1gbit, a small pre-training
#   tests/proofs/prove_machines.sh 20 10gbit           so many, at this rate
#   tests/proofs/prove_machines.sh 20 1gbit COMMAND…   any training: {} in its words becomes its folder, which gets
#                                                      model.safetensors; run again, it must resume, as in
#     tests/proofs/prove_machines.sh 20 1gbit build/release/bert_pretrain --preset tiny --steps 60 --parts 4 \
#       --peer-timeout 5s --checkpoint-steps 10 --resume --output {}
# PEER_TIMEOUT is what the command has: 5.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd) || exit 2
moments=${1:-20} rate=${2:-1gbit}
shift $(($# < 2 ? $# : 2))
command=("$@")
if [[ ${#command[@]} -eq 0 ]]; then
  command=("$root/build/release/bert_pretrain" --preset tiny --steps 60 --parts 4 --peer-timeout 5s --threads 1
           --checkpoint-steps 10 --resume --output {})
fi
command[0]=$(realpath "${command[0]}")
limit=$((${PEER_TIMEOUT:-5} + 10))  # seconds until all must have ended
RANDOM=${SEED:-1}
work=$(mktemp -d)
machines=4 prefix=bertie$$ switch=bertie$$switch
failures=0

everything() { for ((i = 1; i <= machines; ++i)); do ip netns pids "$prefix$i" 2>/dev/null; done; }
end_everything() {
  local left
  mapfile -t left < <(everything)
  [[ ${#left[@]} -eq 0 ]] || kill -KILL "${left[@]}" 2>/dev/null
}
clean_up() {
  end_everything
  for ((i = 1; i <= machines; ++i)); do ip netns del "$prefix$i" 2>/dev/null; done
  ip netns del "$switch" 2>/dev/null
  rm -rf "$work"
}
trap clean_up EXIT

ip netns add "$switch" || { echo "there are no network namespaces here"; exit 2; }
ip -n "$switch" link add bridge type bridge && ip -n "$switch" link set bridge up || exit 2
limited=yes
for ((i = 1; i <= machines; ++i)); do
  ip netns add "$prefix$i" || exit 2
  ip -n "$switch" link add "port$i" type veth peer name eth0 netns "$prefix$i" || exit 2
  ip -n "$switch" link set "port$i" master bridge up
  ip -n "$prefix$i" link set lo up
  ip -n "$prefix$i" addr add "10.77.0.$i/24" dev eth0
  ip -n "$prefix$i" link set eth0 up
  # The training's processes give up on a cut link by themselves. For mpirun and its daemons the kernel must: it looks
  # whether the other end is there (oob_tcp_keepalive_… below), and doesn't send for a quarter of an hour in vain.
  ip netns exec "$prefix$i" sysctl -q -w net.ipv4.tcp_retries2=4
  # Both ways: what it sends, and what the bridge sends to it.
  for end in "$prefix$i eth0" "$switch port$i"; do
    tc -n ${end% *} qdisc add dev ${end#* } root tbf rate "$rate" burst 256kb latency 50ms 2>/dev/null || limited=no
  done
  echo "10.77.0.$i slots=1"
done >"$work/hosts"
[[ $limited == yes ]] && echo "links of $rate" || echo "this kernel can't limit a link's rate: as fast as it goes"

# As ssh does: another machine's name and address, and nothing of the environment.
cat >"$work/agent" <<END
#!/bin/sh
number=\${1##*.}
shift
exec env -i PATH="\$PATH" HOME="\$HOME" ip netns exec "$prefix\$number" \\
  unshare --uts sh -c "hostname machine\$number; \$*"
END
chmod +x "$work/agent"
mpirun=(mpirun --allow-run-as-root --hostfile "$work/hosts" --map-by node --bind-to none
        --mca plm_rsh_agent "$work/agent" --mca btl tcp,self --mca btl_tcp_if_include 10.77.0.0/24
        --mca oob_tcp_if_include 10.77.0.0/24 --mca mpi_yield_when_idle 1
        --mca oob_tcp_keepalive_time 3 --mca oob_tcp_keepalive_intvl 1 --mca oob_tcp_keepalive_probes 3
        -x OMP_NUM_THREADS=1 -x OMP_WAIT_POLICY=passive)

words() { printf '%s\0' "${command[@]//\{\}/$1}"; }
start() {  # how many machines, folder: begins a run, whose launcher is $running
  local line
  mapfile -d '' line < <(words "$2")
  ip netns exec "${prefix}1" unshare --uts sh -c 'hostname machine1; exec "$@"' sh \
    "${mpirun[@]}" -n "$1" "${line[@]}" >"$work/out" 2>&1 </dev/null &
  running=$!
}
wrong() {
  echo "FAILED: $*"
  tail -n 12 "$work/out" | sed 's/^/  /'
  failures=$((failures + 1))
}
compare() {  # folder, of what
  cmp --silent "$1/model.safetensors" "$work/alone/model.safetensors" || wrong "$2: the weights are others"
}
sent() { ip netns exec "${prefix}1" cat /sys/class/net/eth0/statistics/tx_bytes; }

# The processes of the training on a machine, neither launcher nor agent.
trainers() {
  local pid
  for pid in $(ip netns pids "$prefix$1"); do
    [[ $(readlink "/proc/$pid/exe") != "${command[0]}" ]] || echo "$pid"
  done
}
wait_for_trainers() {  # of a machine, or the run's end
  while [[ -z $(trainers "$1") ]] && kill -0 "$running" 2>/dev/null; do sleep 0.05; done
}
now() { echo "${EPOCHREALTIME/./}"; }  # microseconds

mapfile -d '' line < <(words "$work/alone")
OMP_NUM_THREADS=1 "${line[@]}" >"$work/out" 2>&1 </dev/null || { cat "$work/out"; exit 1; }
before=$(sent)
start $machines "$work/whole"
wait_for_trainers 2
begin=$(now)
wait "$running" || { cat "$work/out"; exit 1; }
run=$(($(now) - begin))
compare "$work/whole" "a run on $machines machines"
echo "on $machines machines in $((run / 1000)) ms, the first sent $((($(sent) - before) / 1000000)) MB"

folder=$work/faults longest=0 kinds=("a process" "the launcher" "a link")
for ((moment = 0; moment < moments; ++moment)); do
  kind=${kinds[moment % 3]} machine=$((RANDOM % (machines - 1) + 2)) status=
  rm -rf "$folder"
  start $machines "$folder"
  wait_for_trainers "$machine"
  microseconds=$(((RANDOM * 32768 + RANDOM) % (run * 9 / 10)))
  sleep "$(printf '%d.%06d' $((microseconds / 1000000)) $((microseconds % 1000000)))"
  about="moment $moment, $kind after $((microseconds / 1000)) ms"
  since=$(now)
  case $kind in
    "a process") kill -KILL $(trainers "$machine") 2>/dev/null || about+=", which had ended" ;;
    "a link") ip -n "$prefix$machine" link set eth0 down ;;
    "the launcher")
      kill -KILL "$running" 2>/dev/null
      wait "$running" 2>/dev/null
      status=$? ;;
  esac
  while [[ -n $(everything) && $(($(now) - since)) -lt $((limit * 1000000)) ]]; do sleep 0.1; done
  took=$((($(now) - since) / 1000))
  if [[ -n $(everything) ]]; then
    wrong "$about: left after $limit s: $(everything | xargs ps -o comm= -p | sort | uniq -c | xargs)"
    end_everything
  elif [[ $took -gt $longest ]]; then
    longest=$took
  fi
  if [[ -z $status ]]; then
    wait "$running" 2>/dev/null
    status=$?
  fi
  [[ $status -ne 0 || -f $folder/model.safetensors ]] || wrong "$about: it ended with success"
  echo "$about: ended in $took ms with status $status: $(grep -m 1 -e '^\[processes' -e 'mpirun noticed' "$work/out" || tail -n 1 "$work/out")"
  ip -n "$prefix$machine" link set eth0 up
  start $((4 - moment % 3)) "$folder"
  wait "$running" || wrong "$about: the resumed run ended with status $?"
  compare "$folder" "$about, resumed on $((4 - moment % 3)) machines"
done

[[ $failures -eq 0 ]] || { echo "$failures failed"; exit 1; }
echo "all passed: $moments moments, the longest end took $longest ms"
