# FRR's daemons are killed at random writes of a change, bgpd, zebra or both, and start again as FRR's service has them start:
# each time the node becomes exactly what the cloud says, and the operator's configuration is as it was. Shown is how long
# after the daemons' sockets are back the agent's last write is done.
# long: a part of make test-full, not of make test
# limit: 2400 s
kill_frr() { for daemon; do kill -KILL "$(cat "/run/frr/$daemon.pid")"; rm -f "/run/frr/$daemon.vty"; done; }
kill_after() { # kill_after WRITES DAEMON...: once the agent has done so many more
  # Not a pipe: that would wait for tail, too.
  grep -m "$1" 'reconcile::core::flight: done:' < <(timeout 20 tail -n 0 -f $LOG/agent.log) >/dev/null || true
  shift
  kill_frr "$@"
}
operators() { frr_config_now | awk '/^(vrf|router) .*vrf-[0-9]+$/ { skip = 1 } !skip; /^exit/ { skip = 0 }' | grep -v '^!'; }

topology 1001 1002
agent_config
start_agent
annotate 1001
within 120 tenant_stands 1001
settled
operators=$(operators)

hit=
for turn in {1..18}; do
  # zebra never dies alone: watchfrr starts bgpd anew, too, where it does.
  case $((turn % 3)) in
    0) killed=(bgpd) after=(bgpd) ;;
    1) killed=(zebra) after=(zebra bgpd) ;;
    2) killed=(zebra bgpd) after=(zebra bgpd) ;;
  esac
  before=$(done_writes)
  writes=$((RANDOM % 30))
  kill_after $writes "${killed[@]}" &
  if ((turn % 2)); then annotate 1002; world=$(world 1001 1002); else remove_annotation 1002; world=$(world 1001); fi
  wait $!
  done=$(($(done_writes) - before))
  ((done < writes)) || hit+=x
  step "turn $turn: ${killed[*]} killed, $done writes done"
  [ "${killed[*]}" != zebra ] || kill_frr bgpd
  for daemon in "${after[@]}"; do start_frr_daemon "$daemon"; done
  begin=${EPOCHREALTIME/./} # the last one has its socket when it detaches
  exact "$world"
  took=$(last_write_after "$begin")
  say "last write $((took > 0 ? took : 0)) ms after the sockets' return"
  same "the operator's configuration" "$operators" "$(operators)"
done
[ ${#hit} -ge 9 ] || fail "hardly a kill hit a change"
expect_ping ext-1001 $VM4
expect_ping vm-1001 $FAR6
