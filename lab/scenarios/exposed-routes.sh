# With expose = routes what the fabric sees is the same to the last attribute: leaf's table, pings, drain, exact state. A node
# changes from dummies to routes and back with nothing left over; what is broken is mended; and cleanup takes all of it away.
# long: a part of make test-full, not of make test
# limit: 1500 s
leaf_table() { # what the leaf holds of this node, with every attribute but the times and numbers of bgpd's own
  vtysh -N leaf -c 'show bgp l2vpn evpn route detail type prefix json' | jq -S --arg vtep $VTEP '
    [.[] | objects | .[] | objects | {ip, ipLen, paths: [.paths[][] | select(.nexthops[0].ip == $vtep)
      | del(.lastUpdate, .pathId, .version, .selectionReason, .bestpath, .multipath)]} | select(.paths != [])] | sort_by(.ip)'
}
restart_with() { # restart_with SHAPE
  step "the agent starts with expose = $1"
  stop_agent
  EXPOSE=$1 # agent_config and exact read it
  agent_config
  start_agent
  settled
}

topology 1001 1002
EXPOSE=dummy
agent_config
start_agent
for vni in 1001 1002; do annotate $vni; done
for vni in 1001 1002; do within 120 tenant_stands $vni; done
exact "$(world 1001 1002)"
by_dummies=$(leaf_table)
[ "$(jq length <<<"$by_dummies")" = 8 ] || fail "the leaf has not eight prefixes: $by_dummies"

restart_with routes
exact "$(world 1001 1002)"
same "the leaf's table with routes" "$by_dummies" "$(leaf_table)"
expect_ping ext-1001 $VM4
expect_ping vm-1001 $FAR4
expect_ping ext-1001 $VM6
expect_ping vm-1001 $FAR6
exit_status explain 0 agent explain $VM4 --vni 1001
says explain 'route of metric 182' 'a route of the kernel'

step "binds and unbinds"
unbind_vm 1001
within 60 type5_is 1001 "$(gateway4 1001)/32" "$(gateway6 1001)/128"
bind_vm 1001
within 60 tenant_stands 1001
same "the leaf's table after a bind" "$by_dummies" "$(leaf_table)"

step "what is broken is mended"
ip route flush table 1001 proto 182
ip -6 route flush table 1001 proto 182
ip route add 20.0.0.99/32 dev vrf-1002 table 1002 proto 182 metric 182
exact "$(world 1001 1002)"
ip link set veth-vrf-1001 down
ip link del veth-vrf-1002
exact "$(world 1001 1002)"
frr() { vtysh -c 'configure terminal' "$@"; }
frr -c 'no route-map bgp-agent-routes'
exact "$(world 1001 1002)"
frr -c 'route-map bgp-agent-routes permit 20' -c exit \
  -c "router bgp $AS vrf vrf-1001" -c 'address-family ipv4 unicast' -c 'no redistribute kernel'
exact "$(world 1001 1002)"
within 60 tenant_stands 1001
same "the leaf's table after all was mended" "$by_dummies" "$(leaf_table)"
expect_ping ext-1001 $VM4
expect_ping ext-1001 $VM6

step "a drain"
exit_status drain-keep 0 agent drain --keep
for prefix in $VM4/32 $VM6/128; do within 60 leaf_metric_is $prefix 4294967294; done
within 20 tenant_stands 1001
exit_status drain 0 agent drain --wait 1 --yes
within 60 gone_from_leaf
exit_status undrain 0 agent undrain
within 60 tenant_stands 1001
for prefix in $VM4/32 $VM6/128; do within 60 leaf_metric_is $prefix 0; done
exact "$(world 1001 1002)"

step "FRR's daemons die"
for daemon in zebra bgpd; do stop_daemon /run/frr/$daemon.pid; done
start_frr
for vni in 1001 1002; do within 120 tenant_stands $vni; done
exact "$(world 1001 1002)"

restart_with dummy
exact "$(world 1001 1002)"
same "the leaf's table with dummies again" "$by_dummies" "$(leaf_table)"
expect_ping ext-1001 $VM4
expect_ping ext-1001 $VM6

restart_with routes
step "one tenant leaves, then the other, and then all is made anew and cleaned up"
remove_annotation 1002
exact "$(world 1001)"
remove_annotation 1001
exact ""
annotate 1001
within 120 tenant_stands 1001
stop_agent
exit_status cleanup 0 agent cleanup --yes
nothing_made
[[ $(frr_config_now) != *bgp-agent* ]] || fail "a route-map of ours is left"
