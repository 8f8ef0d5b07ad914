# Everything else on the node restarts, one after the other: ovs-vswitchd, ovsdb-server, br-ex made anew, and the node
# itself (OVS's ports are still in its database, the kernel's devices are not); and ports get other numbers. Each time the
# tenant stands again by itself.
# long: a part of make test-full, not of make test
whole_again() { # whole_again WHAT
  within 120 tenant_stands 1001
  settled
  expect_ping ext-1001 $VM4
  expect_ping vm-1001 $FAR4
  exact "$(world 1001)"
  say "whole again after: $1"
}
flows_are() { [ "$(flows_of_agent | wc -l)" = "$1" ]; }

standing_tenant
expect_ping ext-1001 $VM4
flows=$(flows_of_agent | wc -l)

kill -KILL "$(cat /run/openvswitch/ovs-vswitchd.pid)"
within 60 agent_says 'no OpenFlow session'
start_vswitchd
within 60 flows_are "$flows"
whole_again "ovs-vswitchd killed"

# The ports' numbers are others from now on, also after each of the restarts below.
ofport() { ovs-vsctl get interface "$1" ofport; }
renumbered() { [ "$(ofport "$1")" -gt 40 ]; }
for port in veth-ovs-1001 patch-provnet-1-to-br-int; do
  ovs-vsctl set interface $port ofport_request=$(($(ofport $port) + 40))
  within 20 renumbered $port
done
whole_again "other OpenFlow port numbers"

stop_daemon /run/openvswitch/ovsdb-server.pid
within 60 status_says '"vswitch":\{[^}]*"reason"'
start_ovsdb
whole_again "ovsdb-server restarted"

ovs-vsctl del-br br-ex
add_provider_bridge
plant_flows
within 120 flows_are "$flows"
whole_again "br-ex made anew"

stop_agent KILL
stop_frr
stop_daemon /run/ovn/ovn-controller.pid
kill -KILL "$(cat /run/openvswitch/ovs-vswitchd.pid)"
for dev in vrf-1001 br-1001 vxlan-1001 lo-1001 veth-ovs-1001; do ip link del $dev; done
start_agent
within 60 agent_runs
start_vswitchd
ip link set br-ex up
start_frr
start_controller
plant_flows
whole_again "the node booted"
