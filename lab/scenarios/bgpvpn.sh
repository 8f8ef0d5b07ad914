# The bgpvpn command, from association to ping and away again. Route targets and the rd are exactly as asked at the leaf, when
# they come, change and go. What SNAT does to a tenant is seen, too.

bgpvpn() { agent bgpvpn "$@"; } # with the Northbound's default socket

# What the leaf holds of this gateway: RD, PREFIX, then every route target.
routes_at_leaf() {
  vtysh -N leaf -c 'show bgp l2vpn evpn route detail type prefix json' 2>/dev/null | jq -r --arg vtep $VTEP '
    to_entries[] | select(.value | type == "object") | .key as $rd | .value | .[] | objects | . as $route | .paths[][]
      | select(.nexthops[0].ip == $vtep)
      | "\($rd) \($route.ip) \([.extendedCommunity.string | scan("RT:[0-9.:]+")] | sort | join(" "))"' | sort
}

leaf_has() { # leaf_has RD TARGET...: each of the tenant's four routes has this rd and exactly these targets
  local rd=$1 address
  shift
  same "routes at the leaf" "$(for address in $VM4 "$(gateway4 1001)" $VM6 "$(gateway6 1001)"; do
    echo "$rd $address $(printf 'RT:%s\n' "$@" | sort | xargs)"; done | sort)" "$(routes_at_leaf)"
}

rd_at_leaf() { routes_at_leaf | cut -d' ' -f1 | sort -u; }

targets_in_frr() { frr_config_now | sed -n "/^router bgp $AS vrf vrf-1001/,/^exit\$/p" | grep -E '^  (rd|route-target) ' || true; }

topology
agent_config
start_agent
settled
if bgpvpn associate --router nobody --vni 1001; then fail "an unknown router was associated"; fi
bgpvpn associate --router "$(router 1001)" --vni 1001 --wait
within 60 tenant_stands 1001
own=$(rd_at_leaf) # FRR's own
within 60 leaf_has "$own" $AS:1001
expect_ping ext-1001 $VM4
expect_ping vm-1001 $FAR6
same "FRR's lines without targets" "" "$(targets_in_frr)"
bgpvpn list | grep -q "^VNI 1001, the agents' AS, router $(router 1001): $(network 1001)\$" || fail "list says otherwise"

step "route targets and rd come, change and go"
bgpvpn associate --router "$(router 1001)" --vni 1001 --rt $AS:1001 --export 4200000000:7 --rd $AS:70000
within 60 leaf_has $AS:70000 $AS:1001 4200000000:7
expect_ping ext-1001 $VM4
bgpvpn associate --router "$(router 1001)" --vni 1001 --export $AS:1001 --import 192.0.2.1:9 --rd 192.0.2.1:5
within 60 leaf_has 192.0.2.1:5 $AS:1001
# What is imported now is nobody's: the way back to the far host is gone.
expect_no_ping vm-1001 $FAR4
bgpvpn associate --router "$(router 1001)" --vni 1001
within 60 leaf_has "$own" $AS:1001
settled
same "FRR's lines without targets" "" "$(targets_in_frr)"
expect_ping vm-1001 $FAR4

step "an export target alone comes and goes" # an attribute of routes that the leaf has already
targets_are() { [ "$(targets_in_frr | wc -l)" = "$1" ]; }
bgpvpn associate --router "$(router 1001)" --vni 1001 --rt $AS:1001
within 60 targets_are 2
within 60 leaf_has "$own" $AS:1001
for export in "--export 4200000000:7" ""; do
  bgpvpn associate --router "$(router 1001)" --vni 1001 --rt $AS:1001 $export
  within 60 leaf_has "$own" $AS:1001 ${export#--export }
  expect_ping ext-1001 $VM4
  expect_ping ext-1001 $VM6
done
bgpvpn associate --router "$(router 1001)" --vni 1001
within 60 targets_are 0
settled
within 60 leaf_has "$own" $AS:1001

step "SNAT"
ovn-nbctl --wait=hv lr-nat-add "$(router 1001)" snat "$(gateway4 1001)" 20.0.0.0/24
bgpvpn associate --network "$(network 1001)" --vni 1001 2>&1 | grep 'has SNAT for 20.0.0.0/24' || fail "SNAT is not told"
expect_ping ext-1001 $VM4
far_sees "$(gateway4 1001)"
ovn-nbctl --wait=hv lr-nat-del "$(router 1001)"
far_sees $VM4

step "a wrong route target is put aside"
ovn-nbctl set logical_switch_port "$(gateway_port 1001)" external_ids:neutron_bgpvpn\\:rt='"64999:x"'
within 60 status_says 'neutron_bgpvpn:rt: .*64999:x'
within 60 nothing_made

step "a tenant that has a target of its own from its first moment"
bgpvpn associate --router "$(router 1001)" --vni 1001 --rt $AS:1001 --wait
within 60 tenant_stands 1001
leaf_has "$(rd_at_leaf)" $AS:1001 # a new instance may have another rd
expect_ping vm-1001 $FAR4

bgpvpn disassociate --network "$(network 1001)" --wait
within 60 nothing_made
within 20 gone_from_leaf
same "annotations" "" "$(ovn-nbctl --bare --columns=external_ids list logical_switch_port | grep -o 'neutron_bgpvpn[^ ]*' || true)"
