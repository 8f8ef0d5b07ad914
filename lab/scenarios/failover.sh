# Three gateway nodes with an agent each, and the VM on a compute node behind Geneve: the gateway moves, flaps, and fails.
# A stream of pings from the fabric tells how long it was dark; each node ends exactly as it must.
# long: a part of make test-full, not of make test
topology
join gw2 gw3 compute1
unbind_vm 1001
on compute1 make_vm 1001
for node in gw1 gw2 gw3 compute1; do
  on $node agent_config
  on $node start_agent
done

served_by() { # served_by NODE: the tenant stands there, and nothing of it elsewhere
  local node
  within 120 on "$1" tenant_stands 1001
  for node in gw1 gw2 gw3; do
    if [ $node = "$1" ]; then on $node exact "$(world 1001)"; else on $node exact ""; fi
  done
  expect_ping ext-1001 $VM4
  on compute1 expect_ping vm-1001 $FAR6
}

step "OVN prefers gw1; the bgpvpn command of gw3 waits until gw1 advertises the tenant"
prefer_gateway 1001 gw1 gw2 gw3
on gw3 agent bgpvpn --nb unix:/run/central/ovnnb_db.sock associate --router "$(router 1001)" --vni 1001 --wait
served_by gw1

step "an agent on a compute node, without FRR, has made nothing and holds no row but gateways' and localnets'"
on compute1 status_says '"tenants":\[\]'
same "its links" "" "$(on compute1 marked_links)"
on compute1 agent_says 'Southbound is read.*ports=2$'
on compute1 memory_of_agent

step "OVN moves it to gw2, then back"
for order in "gw2 gw1 gw3" "gw1 gw2 gw3"; do
  start_stream ext-1001 $VM4
  # shellcheck disable=SC2086  # the nodes are words
  prefer_gateway 1001 $order
  served_by "${order%% *}"
  stream_dark "gateway moved to ${order%% *} by OVN"
done

step "it flaps"
for order in "gw3 gw1 gw2" "gw2 gw3 gw1" "gw1 gw2 gw3" "gw3 gw2 gw1" "gw2 gw1 gw3"; do
  # shellcheck disable=SC2086  # the nodes are words
  prefer_gateway 1001 $order
done
served_by gw2

step "gw2 loses its link to the fabric: OVN's BFD moves the gateway to gw1, and back when the link is there again"
prefer_gateway 1001 gw2 gw1 gw3
start_stream ext-1001 $VM4
ip -n leaf link set fab-gw2 down
within 60 tenant_stands 1001
expect_ping ext-1001 $VM4
stream_dark "gw2 cut off"
within 30 on gw2 nothing_made # at the leaf its routes stay until BGP notices, but lead nowhere
ip -n leaf link set fab-gw2 up
ip -n leaf route replace 100.65.0.2/32 via 100.64.2.1
served_by gw2
