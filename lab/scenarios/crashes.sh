# Twenty times the agent is killed hard at a random point of a burst of changes, under a stream of pings every 10 ms to a
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

ports=()
for turn in {1..20}; do
  if ((turn % 2)); then
    annotate 1002
    ovn-nbctl lsp-set-addresses "$(vm_port 1001)" "fa:16:3e:00:00:10 $VM4 $VM6 20.0.0.$((100 + turn))"
  else
    remove_annotation 1002
    ovn-nbctl lsp-set-addresses "$(vm_port 1001)" "fa:16:3e:00:00:10 $VM4 $VM6"
  fi
  sleep "0.$((RANDOM % 900 + 100))"
  stop_agent KILL 2>/dev/null
  start_agent
done
settled 120
stream_lost_nothing
within 60 nothing_made 1002
within 60 tenant_stands 1001
same "dataplane after twenty crashes" "$(cat /run/lab/log/dataplane-before)" "$(dataplane)"
