# The agent ends at SIGTERM and leaves the dataplane as it is; a new one takes it over. Killed hard: the
# same. A stream of pings from the fabric to the VM loses nothing all the while.
standing_tenant
expect_ping ext-1001 $VM4
dataplane >/run/lab/log/dataplane-before
start_stream ext-1001 $VM4

asked=${EPOCHREALTIME/./}
stop_agent TERM
took=$(((${EPOCHREALTIME/./} - asked) / 1000))
say "the agent ended in $took ms with status $AGENT_STATUS"
[ "$AGENT_STATUS" = 0 ] || fail "its exit status is $AGENT_STATUS"
# It is to take a second at most; the guest computes some 15 times slower.
[ $took -lt 5000 ] || fail "it took $took ms to end"
same "dataplane without the agent" "$(cat /run/lab/log/dataplane-before)" "$(dataplane)"

start_agent
settled
stop_agent KILL
start_agent
settled
stream_lost_nothing
same "dataplane after two restarts" "$(cat /run/lab/log/dataplane-before)" "$(dataplane)"
tenant_stands 1001
exact "$(world 1001)"
