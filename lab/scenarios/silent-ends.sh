# A link goes down and the kernel drops its IPv4 routes without a word, so that zebra keeps them: while the agent is away, what
# they were for changes. Then the leaf has what the cloud says all the same: a gateway's address that was on a dummy and is
# exposed by a route now, which the old route to it hides; and no prefix of a VM that is gone.
agent_is_away() { # agent_is_away COMMAND...
  stop_agent
  ip link set veth-vrf-1001 down
  "$@"
  start_agent
  settled
}
expose() { # expose HOW
  EXPOSE=$1
  agent_config
}
forget_vm() { ovn-nbctl lsp-set-addresses "$(vm_port 1001)" "fa:16:3e:00:00:10 $VM6"; }

standing_tenant
step "addresses on a dummy become routes"
agent_is_away expose routes
exact "$(world 1001)"
step "a VM's address goes"
agent_is_away forget_vm
exact "$(world 1001 | grep -v ^vm; echo "vm 1001 $VM6")"
say "$(agent status --json | jq -c .zebra)"
