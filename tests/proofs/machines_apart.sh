# Sourced by what needs several machines: network namespaces with addresses of their own that a bridge joins, each link
# limited to a rate where the kernel can, and Open MPI's mpirun, which starts a process in each through an agent that
# enters it as ssh enters a machine. As root; no ssh. `work` must be a folder, which gets the files of this.
#   make_machines COUNT RATE   and says whether the links are limited
#   on_machines COUNT COMMAND… the command, a process in each of so many; begun on the first
#   remove_machines            and whatever runs there
prefix=bertie$$ switch=bertie$$switch

everything() { for ((i = 1; i <= machines; ++i)); do ip netns pids "$prefix$i" 2>/dev/null; done; }
end_everything() {
  local left
  mapfile -t left < <(everything)
  [[ ${#left[@]} -eq 0 ]] || kill -KILL "${left[@]}" 2>/dev/null
}
remove_machines() {
  end_everything
  for ((i = 1; i <= machines; ++i)); do ip netns del "$prefix$i" 2>/dev/null; done
  ip netns del "$switch" 2>/dev/null
}

make_machines() {
  machines=$1
  local rate=$2 limited=yes
  ip netns add "$switch" || { echo "there are no network namespaces here"; exit 2; }
  ip -n "$switch" link add bridge type bridge && ip -n "$switch" link set bridge up || exit 2
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
}

# As exec would, so that a signal to the shell that does this comes to mpirun.
on_machines() {
  local count=$1
  shift
  exec ip netns exec "${prefix}1" unshare --uts sh -c 'hostname machine1; exec "$@"' sh \
    mpirun --allow-run-as-root --hostfile "$work/hosts" --map-by node --bind-to none -n "$count" \
    --mca plm_rsh_agent "$work/agent" --mca btl tcp,self --mca btl_tcp_if_include 10.77.0.0/24 \
    --mca oob_tcp_if_include 10.77.0.0/24 --mca mpi_yield_when_idle 1 \
    --mca oob_tcp_keepalive_time 3 --mca oob_tcp_keepalive_intvl 1 --mca oob_tcp_keepalive_probes 3 \
    -x OMP_NUM_THREADS=1 -x OMP_WAIT_POLICY=passive "$@"
}
