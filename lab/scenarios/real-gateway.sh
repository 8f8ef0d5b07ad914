# A real gateway lives on the provider network at the routers' next hop: the agent leaves ARP and ND to it, and answers
# again once it is gone.
topology
ip -b - <<LINKS
netns add upstream
link add upstream type veth peer name eth0 netns upstream
link set upstream up
LINKS
ip -n upstream -b - <<LINKS
link set eth0 up
address add $NEXTHOP4/24 dev eth0
address add $NEXTHOP6/64 dev eth0 nodad
LINKS
ovs-vsctl add-port br-ex upstream
agent_config next_hop_proxy=auto
start_agent
annotate 1001
within 120 tenant_stands 1001
settled
expect_ping vm-1001 $FAR4
expect_ping vm-1001 $FAR6

mac=$(ip netns exec upstream cat /sys/class/net/eth0/address)
learnt() { ovn-sbctl --bare --columns=mac find mac_binding "ip=\"$1\""; } # learnt ADDRESS: what OVN holds to be its MAC
same "MAC of $NEXTHOP4" "$mac" "$(learnt $NEXTHOP4)"
same "MAC of $NEXTHOP6" "$mac" "$(learnt $NEXTHOP6)"
answers() { flows_of_agent | grep -E 'arp|icmp6'; }
same "flows that answer" "" "$(answers || true)"

ovs-vsctl del-port br-ex upstream
within 60 answers
