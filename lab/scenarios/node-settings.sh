# What a node says of itself in Open_vSwitch changes while the agent runs: ovn-remote, ovn-encap-ip, system-id. The agent
# takes each up, and the tenant stands (or goes) accordingly.
reads_by_tcp() { ss -Htnp state established | grep -q ":16642 .*pid=$AGENT,"; }

topology
ovs-appctl -t /run/ovn/sb.ctl ovsdb-server/add-remote ptcp:16642:127.0.0.1
agent_config
sed -i '/^evpn_local_ip/d; /^evpn_nic/d; /^ovn_sb_connection/d' /run/lab/agent.conf
start_agent
annotate 1001
exact "$(world 1001)"

step "ovn-remote"
ovs-vsctl set open_vswitch . external_ids:ovn-remote=tcp:127.0.0.1:16642
within 30 reads_by_tcp
unbind_vm 1001
exact "$(world 1001 | grep -v ^vm)"

step "ovn-encap-ip: the address of lo goes before it"
ip address add 100.65.0.21/32 dev lo
ovs-vsctl set open_vswitch . external_ids:ovn-encap-ip=100.65.0.21
exact "$(world 1001 | grep -v ^vm)"
expect_ping ext-1001 "$(gateway4 1001)"

step "system-id: until OVN has a chassis of that name all stays; then the gateway is another chassis', and comes back"
ovs-vsctl set open_vswitch . external_ids:system-id=gw9
within 30 status_says 'no Chassis named gw9'
expect_ping ext-1001 "$(gateway4 1001)"
add_chassis gw9
within 60 nothing_made
exact ""
ovs-vsctl set open_vswitch . external_ids:system-id=gw1
exact "$(world 1001 | grep -v ^vm)"
