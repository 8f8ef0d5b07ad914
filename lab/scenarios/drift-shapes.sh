# Every single object of two tenants is broken, one after the other, and mended: each address, route, neighbour, port, flow
# and line of FRR's, of both families; one tenant is on the untagged provider network and has an rd and route targets of its
# own, one is on a VLAN.
# long: a part of make test-full, not of make test
# limit: 1800 s
. "$lab/spoil.sh"
VNIS="1001 1002"
make_site 1001 1002
make_provider_network
make_tenants 1001
PROVIDER=neutron-22222222-2222-2222-2222-222222220100
make_provider_network provnet-100 physnet1 100
make_tenants 1002
agent_config
start_agent
agent bgpvpn associate --router "$(router 1001)" --vni 1001 --rd $AS:77 --rt $AS:1001 --import $AS:7
annotate 1002
has_all() { [[ $(frr_config_now) == *'rd 64999:77'* && $(frr_config_now) == *'route-target import 64999:7'* ]]; }
within 60 has_all
within 60 tenant_stands 1002
settled
for kind in addresses routes neighbours ports flows frr; do
  step "$kind"
  spoil_every $kind
done
spoil links ip link set vlan-1002 down
spoil links ip link set vlan-1002 nomaster
spoil links ip link set vlan-1002 alias "of somebody"
settled
# Ports that were made anew have other numbers, and the VLAN's another MAC: what is compared is that nothing is left to do.
within 60 nothing_planned
for vni in $VNIS; do
  expect_ping "ext-$vni" $VM4
  expect_ping "vm-$vni" $FAR6
done
