# Three provider networks: untagged and in VLAN 100 on br-ex, in VLAN 200 on a second bridge. Each tenant gets out by its
# own, both ways; then a tag changes, and the second bridge goes.
make_site 1001 1002 1003
add_provider_bridge br-two
mappings() { ovs-vsctl set open_vswitch . external_ids:ovn-bridge-mappings="$1"; }
mappings physnet1:br-ex,physnet2:br-two
make_provider_network
make_tenants 1001
PROVIDER=neutron-22222222-2222-2222-2222-222222220100
make_provider_network provnet-100 physnet1 100
make_tenants 1002
PROVIDER=neutron-22222222-2222-2222-2222-222222220200
make_provider_network provnet-200 physnet2 200
make_tenants 1003

through() { # through VNI BRIDGE LOCALNET TAG: a tenant's world on a VLAN
  world "$1" | sed "s/^tie.*/tie $1 $2 $3 vlan-$1 vlan-$1 $4/; s/veth-vrf-$1/vlan-$1/"
}
all_reach() {
  for vni in 1001 1002 1003; do
    expect_ping ext-$vni $VM4
    expect_ping vm-$vni $FAR6
  done
}

agent_config
start_agent
for vni in 1001 1002 1003; do annotate $vni; done
exact "$(world 1001; through 1002 br-ex provnet-100 100; through 1003 br-two provnet-200 200)"
all_reach

step "another tag"
ovn-nbctl --wait=hv set logical_switch_port provnet-100 tag=101
exact "$(world 1001; through 1002 br-ex provnet-100 101; through 1003 br-two provnet-200 200)"

step "the second bridge goes, its network moves to the first"
mappings physnet1:br-ex,physnet2:br-ex
# ovn-controller 23.03 takes a patch port for made, on whichever bridge it is: it moves with its bridge's end only.
ovs-vsctl del-br br-two
exact "$(world 1001; through 1002 br-ex provnet-100 101; through 1003 br-ex provnet-200 200)"
all_reach

step "what a VRF sends reaches nobody but its router, also where the bridge has forgotten every MAC"
ip link add eavesdrop up type veth peer name eaves
ip link set eaves up
ovs-vsctl add-port br-ex eaves
ovs-appctl fdb/flush br-ex
received() { cat /sys/class/net/eavesdrop/statistics/rx_packets; }
before=$(received)
for vni in 1001 1002; do ip netns exec ext-$vni ping -n -q -c 50 -i 0.02 -W 2 $VM4 | tail -n 2; done
flooded=$(($(received) - before))
# OVN's router says a word of its own now and then, to all.
say "packets at another port of br-ex, of 100 pings: $flooded"
[ $flooded -lt 50 ] || fail "tenants' packets are flooded"
