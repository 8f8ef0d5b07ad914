# The blog's example as a story: a gateway node, a leaf and a tenant; the agent; the annotation; then what the blog shows, and
# pings. `make demo` shows it live.
step() { printf '\n=== %s (%d s)\n' "$*" $SECONDS; }
run() { printf '\n$ %s\n' "$1"; eval "$1"; }

step "A gateway node (OVN, OVS, FRR), a leaf with FRR and a far host, a tenant with a VM on this node"
topology 2>/dev/null
run "ovn-nbctl show"
run "ovs-vsctl show"

step "The agent starts; nothing is annotated yet, so there is nothing to do"
agent_config
run "cat /run/lab/agent.conf"
start_agent

step "The two ports of the tenant's router are annotated, as in the blog"
run 'ovn-nbctl set logical_switch_port 5bc97046-6483-4e5a-98db-0e616acfac07 external_ids:"neutron_bgpvpn\:vni"=1001'
run 'ovn-nbctl set logical_switch_port 64e99514-6e13-43c9-a11f-7861bf6f75a4 external_ids:"neutron_bgpvpn\:vni"=1001'
annotated=${EPOCHREALTIME/./}
within 120 tenant_stands 1001
echo "The leaf has the tenant's routes, $(((${EPOCHREALTIME/./} - annotated) / 1000)) ms after the annotation."
settled

step "What the agent made"
run "ip -br link | grep -- -1001"
run "ip route show vrf vrf-1001"
run "ip -6 route show vrf vrf-1001 | grep -vE 'fe80|ff00'"
run "ovs-ofctl -O OpenFlow13 --names dump-flows br-ex cookie=0x3e6/-1"
run "vtysh -c 'show running-config' | sed -n '/^vrf/,/^exit-vrf/p; /^router.* vrf /,/^exit/p'"

step "What the fabric knows: the leaf's EVPN table"
run "vtysh -N leaf -c 'show bgp l2vpn evpn' 2>/dev/null"

step "From the fabric to the VM, and back"
expect_ping ext-1001 $VM4
expect_ping vm-1001 $FAR6
run "ip netns exec ext-1001 ping -n -c 3 -i 0.5 $VM4"
run "ip netns exec vm-1001 ping -n -c 3 -i 0.5 $FAR4"
run "ip netns exec ext-1001 ping -n -c 3 -i 0.5 $VM6"
run "ip netns exec vm-1001 ping -n -c 3 -i 0.5 $FAR6"

step "All as it should be"
