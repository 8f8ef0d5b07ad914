# Somebody changes what is the agent's, every kind in every way: it is mended. Shown is the time from the begin of the
# command that breaks it to the agent's last write. What FRR has is looked at every 5 s; of all else the agent is told.
# long: a part of make test-full, not of make test
spoil() { # spoil VIEW COMMAND...: the agent mends what the command breaks, until VIEW prints what it printed before
  local view=$1 before done begin took
  shift
  before=$($view) done=$(repairs) begin=${EPOCHREALTIME/./}
  "$@"
  until [ "$(repairs)" -gt "$done" ] && [ "$($view)" = "$before" ]; do
    took=$(((${EPOCHREALTIME/./} - begin) / 1000))
    [ $took -lt $LIMIT ] || { same "$view after: $*" "$before" "$($view)"; fail "not mended in $LIMIT ms: $*"; }
  done
  say "$(printf '%5d ms  %s' "$(last_write_after "$begin")" "$*")"
}
repairs() { grep -c 'reconcile::core::flight: done:' $LOG/agent.log; }

links() {
  ip -j -d link show | jq -c '.[] | select(.ifalias // "" | startswith("bgp-agent"))
    | [.ifname, .linkinfo.info_kind, .master, .mtu, .ifalias, .inet6_addr_gen_mode, (.flags | index("UP") != null),
       (.linkinfo.info_data | .stp_state, .vlan_default_pvid, .learning)]' | sort
}
addresses() { ip -o address show dev lo-1001 | sed 's/^[0-9]*: //' | sort; }
neighbours() { ip neigh show dev veth-vrf-1001 nud permanent | sort; }
table() { routes 1001 | sort; }
forwarding() { cat /proc/sys/net/ipv4/conf/veth-vrf-1001/{forwarding,rp_filter}; }
flows() { flows_of_agent | sort; }
port() { ovs-vsctl --if-exists --columns=tag,external_ids list port veth-ovs-1001; }

standing_tenant
LIMIT=20000 # what the guest's emulation and others on the machine may take of it
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
spoil addresses ip address del $VM4/32 dev lo-1001
spoil addresses ip address flush dev lo-1001
spoil addresses ip address add 20.0.0.99/32 dev lo-1001
spoil table ip route add local $VM4 dev lo-1001 table 1001 proto kernel
spoil table ip route del 20.0.0.0/24 table 1001
spoil table ip route replace unreachable 20.0.0.0/24 table 1001 proto 182
spoil table ip route add 198.51.100.0/24 dev lo-1001 table 1001 proto 182
spoil table ip route del unreachable default table 1001 metric 4278198272
spoil neighbours ip neigh del "$(gateway4 1001)" dev veth-vrf-1001
spoil neighbours ip neigh replace "$(gateway4 1001)" lladdr 02:00:00:00:00:09 nud permanent dev veth-vrf-1001
spoil port ovs-vsctl set port veth-ovs-1001 tag=7
spoil port ovs-vsctl remove port veth-ovs-1001 external_ids bgp-agent
spoil port ovs-vsctl del-port veth-ovs-1001
spoil flows ovs-ofctl -O OpenFlow13 del-flows br-ex "cookie=0x3e6/-1,ip"
spoil flows ovs-ofctl -O OpenFlow13 mod-flows br-ex "cookie=0x3e6/-1,ip,actions=drop"
spoil flows ovs-ofctl -O OpenFlow13 add-flow br-ex "cookie=0x3e6,priority=7,tcp,actions=drop"
spoil flows ovs-ofctl -O OpenFlow13 del-flows br-ex cookie=0x3e6/-1
expect_ping ext-1001 $VM4
expect_ping vm-1001 $FAR4

LIMIT=30000
frr() { vtysh -c 'configure terminal' "$@"; }
spoil frr_config_now frr -c 'vrf vrf-1001' -c 'no vni 1001'
spoil frr_config_now frr -c "router bgp $AS vrf vrf-1001" -c 'address-family ipv4 unicast' -c 'no redistribute connected'
spoil frr_config_now frr -c "router bgp $AS vrf vrf-1001" -c 'address-family l2vpn evpn' -c 'no advertise ipv6 unicast'
spoil frr_config_now frr -c 'vrf vrf-1001' -c 'no vni 1001' -c "no router bgp $AS vrf vrf-1001"
within 60 tenant_stands 1001
settled
expect_ping ext-1001 $VM4
