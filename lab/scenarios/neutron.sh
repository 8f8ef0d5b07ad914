# From Neutron's BGPVPN API to a ping across EVPN, and away again. Neutron itself ran before (integrations/neutron/test-real,
# natively: in a guest without KVM it takes a quarter of an hour): what it wrote to its Northbound, step by step, is restored
# here. Runs with `make test-neutron`, not with the others.
# by name: it needs what a Neutron server has written

northbound() { # northbound STEP: as Neutron left it
  step "the Northbound is '$1'"
  ovsdb-client restore unix:/run/ovn/ovnnb_db.sock OVN_Northbound <"/run/work/northbound/$1"
}

stands() { type5_is 1001 $VM4/32 "$(gateway4 1001)/32"; }

make_site 1001
agent_config
start_agent
northbound bare
ip -b - <<LINKS
netns add vm-1001
link add vm-1001 up type veth peer name eth0 netns vm-1001
LINKS
ip -n vm-1001 -b - <<LINKS
link set lo up
link set eth0 address fa:16:3e:00:00:10 up
address add $VM4/24 dev eth0
route add default via 20.0.0.1
LINKS
ovs-vsctl add-port br-int vm-1001 -- set interface vm-1001 external_ids:iface-id="$(cat /run/work/northbound/vm)"
settled
nothing_made

northbound associated
within 120 stands
expect_ping ext-1001 $VM4
far_sees $VM4

northbound snat
within 60 far_sees "$(gateway4 1001)"
expect_ping ext-1001 $VM4
northbound associated
within 60 far_sees $VM4

northbound away
within 60 nothing_made
within 20 gone_from_leaf
