# The BGP mode on two nodes: a VM on a provider network moves from one to the other and back under a running ping, which tells
# how long it was dark; then a node's agent is away while it moves.
# long: a part of make test-full, not of make test
# limit: 1200 s
plain_site
join_plain gw2
make_provider_port 50
ovn-nbctl --wait=sb lsp-set-options vm-50 requested-chassis=gw1
for node in gw1 gw2; do
  # The VM is at the place where OVN has its port; the other's interface is that of a VM that is yet to arrive.
  on $node run_vm 50
  on $node agent_config
  on $node start_agent
done
ovn-nbctl --timeout=60 --wait=hv sync

stands_at() { # stands_at NODE: the leaf has it from there alone, and it is reached
  within 60 leaf_has "50 $1"
  for node in gw1 gw2; do
    on $node settled
    on $node within 20 nothing_planned
  done
  expect_ping ext "$(vm4 50)"
  expect_ping ext "$(vm6 50)"
  on "$1" expect_ping vm-50 $EXT4
}
stands_at gw1

for to in gw2 gw1; do
  step "it moves to $to"
  start_stream ext "$(vm4 50)"
  ovn-nbctl --wait=hv lsp-set-options vm-50 requested-chassis=$to
  stands_at $to
  stream_dark "moved to $to"
done

step "gw1's agent is away while it moves, and takes its routes back when it comes"
stop_agent KILL
ovn-nbctl --wait=hv lsp-set-options vm-50 requested-chassis=gw2
within 60 leaf_has "50 gw1" "50 gw2"
start_agent
stands_at gw2
