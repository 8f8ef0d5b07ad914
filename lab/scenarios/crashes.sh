# Twenty times the agent is killed hard at a random write of a burst of changes, under a stream of pings every 10 ms to a
# tenant that stands: none is lost. Afterwards everything is exactly as wished, and what was to be withdrawn is withdrawn.
# long: a part of make test-full, not of make test
topology 1001 1002
agent_config
start_agent
annotate 1001
within 120 tenant_stands 1001
settled
dataplane >/run/lab/log/dataplane-before
expect_ping ext-1001 $VM4
start_stream ext-1001 $VM4

written_within() { # written_within SECONDS WRITES: waits until so many are done, in all; says x if they are
  local began=$SECONDS
  until [ "$(done_writes)" -ge "$2" ]; do ((SECONDS - began < $1)) || return 0; done
  echo x
}

hit=
for turn in {1..20}; do
  before=$(done_writes)
  if ((turn % 2)); then
    annotate 1002
    ovn-nbctl lsp-set-addresses "$(vm_port 1001)" "fa:16:3e:00:00:10 $VM4 $VM6 20.0.0.$((100 + turn))"
  else
    remove_annotation 1002
    ovn-nbctl lsp-set-addresses "$(vm_port 1001)" "fa:16:3e:00:00:10 $VM4 $VM6"
  fi
  writes=$((RANDOM % 25 + 1)) hit+=$(written_within 10 $((before + writes)))
  stop_agent KILL 2>/dev/null
  start_agent
done
say "killed amid writes: ${#hit} times of 20"
[ ${#hit} -ge 10 ] || fail "hardly a kill hit a change"
settled 120
stream_lost_nothing
within 60 nothing_made 1002
within 60 tenant_stands 1001
same "dataplane after twenty crashes" "$(cat /run/lab/log/dataplane-before)" "$(dataplane)"
exact "$(world 1001)"
