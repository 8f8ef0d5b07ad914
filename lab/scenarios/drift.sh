# Somebody changes what is the agent's, every kind in every way: it is mended. Shown is the time from the begin of the
# command that breaks it to the agent's last write. What FRR has is looked at every 5 s; of all else the agent is told.
# long: a part of make test-full, not of make test
. "$lab/spoil.sh"
forwarding() { cat /proc/sys/net/ipv4/conf/veth-vrf-1001/{forwarding,rp_filter}; }

standing_tenant
VNIS=1001
for dev in vrf-1001 br-1001 vxlan-1001 lo-1001 veth-vrf-1001 veth-ovs-1001; do spoil links ip link del $dev; done
for dev in vrf-1001 br-1001 vxlan-1001 lo-1001 veth-vrf-1001 veth-ovs-1001; do spoil links ip link set $dev down; done
for dev in br-1001 vxlan-1001 lo-1001 veth-vrf-1001; do spoil links ip link set $dev nomaster; done
spoil links ip link set vxlan-1001 mtu 1400
spoil links ip link set lo-1001 alias "of somebody"
spoil links ip link set br-1001 addrgenmode eui64
spoil links ip link set br-1001 type bridge stp_state 1
spoil links ip link set br-1001 type bridge vlan_default_pvid 1
spoil links ip link set vxlan-1001 type vxlan learning
spoil forwarding sysctl -qw net.ipv4.conf.veth-vrf-1001.forwarding=0
spoil addresses ip address flush dev lo-1001
spoil addresses ip address add 20.0.0.99/32 dev lo-1001
spoil addresses ip address add 2001:db8:1::99/128 dev lo-1001 nodad
spoil tables ip route add local $VM4 dev lo-1001 table 1001 proto kernel
spoil tables ip -6 route add local $VM6 dev lo-1001 table 1001 proto kernel
spoil tables ip route replace unreachable 20.0.0.0/24 table 1001 proto 182
spoil tables ip route add 198.51.100.0/24 dev lo-1001 table 1001 proto 182
spoil tables ip -6 route add 2001:db8:77::/64 dev lo-1001 table 1001 proto 182
spoil flows ovs-ofctl -O OpenFlow13 add-flow br-ex "cookie=0x3e6,priority=7,tcp,actions=drop"
spoil flows ovs-ofctl -O OpenFlow13 del-flows br-ex cookie=0x3e6/-1
expect_ping ext-1001 $VM4
expect_ping vm-1001 $FAR4

spoil frr_config_now frr -c "router bgp $AS vrf vrf-1001" -c 'address-family l2vpn evpn' -c 'route-target import 64999:7'
spoil frr_config_now frr -c "router bgp $AS vrf vrf-1001" -c 'address-family l2vpn evpn' -c 'rd 64999:7'
spoil frr_config_now frr -c 'vrf vrf-1001' -c 'no vni 1001' -c "no router bgp $AS vrf vrf-1001"
exact "$(world 1001)"
expect_ping ext-1001 $VM4
