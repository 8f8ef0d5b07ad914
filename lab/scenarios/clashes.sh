# Somebody else has what tenant 1001 would make, each of these once: the tenant is held with a reason, the other's thing
# stays as it is, the neighbour tenant is served all the while, and once it is out of the way the tenant stands.
# long: a part of make test-full, not of make test
topology 1001 1002
agent_config
start_agent
annotate 1002
exact "$(world 1002)"

vtysh_do() { vtysh "${@/#/-c}" 2>/dev/null; }

clash() { # clash REASON PLANT SHOW REMOVE: commands, the last one takes away what the first made
  step "$2"
  local before
  eval "$2"
  before=$(eval "$3")
  annotate 1001
  within 60 status_says "$1"
  expect_ping ext-1002 $VM4
  same "what is somebody else's" "$before" "$(eval "$3")"
  eval "$4"
  exact "$(world 1001 1002)"
  expect_ping ext-1001 $VM4
  remove_annotation 1001
  exact "$(world 1002)"
}

clash 'a link vxlan-1001 of somebody else' \
  'ip link add vxlan-1001 type dummy' 'ip -d link show vxlan-1001' 'ip link del vxlan-1001'
clash 'vrf-mine, somebody else.s VRF, has routing table 1001' \
  'ip link add vrf-mine up type vrf table 1001' 'ip -d link show vrf-mine' 'ip link del vrf-mine'
clash 'a port veth-ovs-1001 of somebody else' \
  'ovs-vsctl add-port br-op veth-ovs-1001 -- set interface veth-ovs-1001 type=internal' \
  'ovs-vsctl list port veth-ovs-1001' 'ovs-vsctl del-port br-op veth-ovs-1001'
clash 'vrf vrf-1001 has vni 555 from somebody else' \
  'vtysh_do "configure terminal" "vrf vrf-1001" "vni 555"' 'frr_config_now | sed -n "/^vrf vrf-1001/,/^exit/p"' \
  'vtysh_do "configure terminal" "vrf vrf-1001" "no vni 555"'
clash '65099' \
  'vtysh_do "configure terminal" "router bgp 65099 vrf vrf-1001" "bgp router-id 192.0.2.9"' \
  'frr_config_now | sed -n "/^router.*vrf-1001/,/^exit/p"' \
  'vtysh_do "configure terminal" "no router bgp 65099 vrf vrf-1001"'
redirect="priority=1000,ip,in_port=$(ovs-vsctl get interface patch-provnet-1-to-br-int ofport),dl_src=$(gateway_mac 1001)"
redirect+=,nw_src=20.0.0.0/24
clash 'flow of somebody else .cookie 0x7.' \
  'ovs-ofctl add-flow br-ex "cookie=0x7,$redirect,actions=drop"' \
  'ovs-ofctl --no-stats dump-flows br-ex cookie=0x7/-1 | grep cookie=' 'ovs-ofctl del-flows br-ex cookie=0x7/-1'
clash 'foreign route in table 1001' \
  'ip route add blackhole 20.0.0.0/24 table 1001 proto static' 'ip route show table 1001 proto static' \
  'ip route del blackhole 20.0.0.0/24 table 1001 proto static'
