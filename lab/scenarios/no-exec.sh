# The agent starts no process: strace sees its own execve, and no other, over the whole life of a tenant.
topology
agent_config
start_agent strace -f -qq -e trace=execve,execveat -e signal=none -o $LOG/execs
annotate 1001
within 120 tenant_stands 1001
settled
remove_annotation 1001
within 60 nothing_made
kill -TERM "$(pgrep -P $AGENT)"
wait $AGENT || fail "the agent under strace ended with $?"
same "processes started" "1" "$(grep -c exec $LOG/execs)"
