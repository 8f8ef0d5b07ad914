# Since 25.03 OVN itself can hand a router's routes to the fabric. What it does so is left alone; a router with an annotation as
# well is put aside with a reason.
# limit: 1800 s
advertise_by_ovn() { # advertise_by_ovn VNI VRF TABLE: OVN makes that VRF and writes there what it advertises
  ovn-nbctl set logical_router "$(router "$1")" options:dynamic-routing=true options:dynamic-routing-vrf-name="$2" \
    options:dynamic-routing-vrf-id="$3" options:dynamic-routing-redistribute=connected \
    -- set logical_router_port "lrp-$(gateway_port "$1")" options:dynamic-routing-maintain-vrf=true
}
not_by_ovn() { # not_by_ovn VNI VRF: OVN's VRF goes with it
  ovn-nbctl remove logical_router "$(router "$1")" options dynamic-routing
  within 60 not vrf_of_ovn "$2"
}
ovn_routes() { ip route show table all proto 84; ip -6 route show table all proto 84; }
has_routes_of_ovn() { [ -n "$(ovn_routes)" ]; }
vrf_of_ovn() { ip -d link show "$1" type vrf; }

if [[ $(ovn-northd --version) =~ ^ovn-northd\ (2[0-4])\. ]]; then
  say "OVN ${BASH_REMATCH[1]} has no dynamic-routing: the option is nothing to it, nor to the agent"
  standing_tenant
  advertise_by_ovn 1001 ovn-1001 4001
  ovn-nbctl --timeout=60 --wait=hv sync
  exact "$(world 1001)"
  return
fi

topology 1001 1002
agent_config
start_agent
annotate 1001
within 120 tenant_stands 1001
exact "$(world 1001)"

step "another router's routes are OVN's: they and its VRF stay as OVN makes them"
advertise_by_ovn 1002 ovn-1002 4002
within 60 has_routes_of_ovn
within 60 vrf_of_ovn ovn-1002
theirs=$(ovn_routes)
exact "$(world 1001)"

step "that router is annotated, too: a conflict, and nothing of 1002 is made"
annotate 1002
within 60 status_says "OVN itself advertises the routes of this router"
exact "$(world 1001)"
same "links of 1002" "" "$(links_of 1002)"
same "OVN's routes" "$theirs" "$(ovn_routes)"

step "OVN's part ends: the router is the agent's"
not_by_ovn 1002 ovn-1002
within 120 tenant_stands 1002
exact "$(world 1001 1002)"

step "and OVN's again: what the agent made goes, what OVN makes comes"
advertise_by_ovn 1002 ovn-1002 4002
within 60 has_routes_of_ovn
exact "$(world 1001)"
same "OVN's routes" "$theirs" "$(ovn_routes)"
expect_ping ext-1001 $VM4
