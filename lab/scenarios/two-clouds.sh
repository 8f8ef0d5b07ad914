# Two clouds, each with its own OVN, gateway node and agent, share a VNI: VM to VM across EVPN, both families.
topology
start_node gw2 own
echo 'use_provider 172.24.5 2001:db8:fffe; use_network 30.0.0 2001:db8:3' >>/run/node/gw2/lab/env
on gw2 start_central
on gw2 start_controller
on gw2 make_provider_network
on gw2 make_tenants 1001
for node in gw1 gw2; do
  on $node agent_config
  on $node start_agent
  on $node annotate 1001
done
exact "$(world 1001)"
on gw2 eval 'exact "$(world 1001)"'
expect_ping vm-1001 30.0.0.10
expect_ping vm-1001 2001:db8:3::10
on gw2 expect_ping vm-1001 $VM4
on gw2 expect_ping vm-1001 $VM6
