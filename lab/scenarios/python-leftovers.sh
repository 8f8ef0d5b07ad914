# What a Python ovn-bgp-agent has left of a tenant that nothing annotates any more, made by hand as its release 7.0 makes it:
# it is nobody's for the agent, and cleanup --python-agent takes all of it and nothing else. The real one's, which is slow to
# make, are in python-agent.
# long: a part of make test-full, not of make test
topology
agent_config
dataplane >/run/lab/log/dataplane-before
gateway=$(gateway4 1001)
ip -b - <<LINKS
link add vrf-1001 up type vrf table 1001
link add br-1001 type bridge
link set br-1001 master vrf-1001 up
link add vxlan-1001 type vxlan id 1001 dstport 4789 local $VTEP nolearning
link set vxlan-1001 master br-1001 up
link add lo-1001 type dummy
link set lo-1001 master vrf-1001 up
link add veth-vrf-1001 type veth peer name veth-ovs-1001
link set veth-vrf-1001 master vrf-1001 up
link set veth-ovs-1001 up
address add $VM4/32 dev lo-1001
neighbour add $gateway dev veth-vrf-1001 lladdr fa:16:3e:00:00:01 nud permanent
route add $gateway dev veth-vrf-1001 table 1001 proto boot scope link
route add 20.0.0.0/24 via $gateway dev veth-vrf-1001 table 1001 proto boot
route add unreachable default table 1001 metric 4278198272 proto boot
LINKS
ip -6 route add unreachable default table 1001 metric 4278198272 proto boot
ovs-vsctl add-port br-ex veth-ovs-1001
vtysh -c 'configure terminal' -c 'vrf vrf-1001' -c 'vni 1001' -c 'exit-vrf' -c "router bgp $AS vrf vrf-1001" \
  -c 'address-family ipv4 unicast' -c 'redistribute connected' -c 'exit-address-family' \
  -c 'address-family l2vpn evpn' -c 'advertise ipv4 unicast' -c 'exit-address-family'
within 60 type5_is 1001 "$VM4/32"

# Nobody's, until it is asked for.
exit_status plan 0 agent plan --timeout 60
exit_status cleanup-own 0 agent cleanup --yes
says cleanup-own "nothing of bgp-agent's is on this node"
exit_status cleanup-dry 0 agent cleanup --python-agent --dry-run
says cleanup-dry '^- kernel .*link veth-vrf-1001' '^- vswitch .*port veth-ovs-1001' '^- kernel .*route unreachable .*table 1001' \
  '^- frr .*router bgp .* vrf vrf-1001'
type5_is 1001 "$VM4/32"

exit_status cleanup 0 agent cleanup --python-agent --yes
within 60 gone_from_leaf
nothing_made
same "routes of table 1001" "" "$(routes 1001)"
same "dataplane after cleanup" "$(cat /run/lab/log/dataplane-before)" "$(dataplane)"
