# Tenants' networks that their router hides by SNAT are no plain routes, where that is asked: rules come and go, and the
# Northbound, which alone tells of them, goes away: what it said last holds, and a new agent withdraws nothing without it.
# long: a part of make test-full, not of make test
OPTIONS=$'expose_tenant_networks=True\nrequire_snat_disabled_for_tenant_networks=True'
plain_site
make_tenants 1001
router=$(router 1001)
agent_config
start_agent
gateway=("$(gateway4 1001)/32 gw1" "$(gateway6 1001)/128 gw1")

step "no SNAT"
plain_exact "${gateway[@]}" "$VM4/32 gw1" "$VM6/128 gw1"
expect_ping ext $VM4
expect_ping ext $VM6

step "SNAT of the IPv4 network"
ovn-nbctl --wait=hv lr-nat-add "$router" snat "$(gateway4 1001)" $NET4.0/24
within 60 leaf_has "${gateway[@]}" "$VM6/128 gw1"
plain_exact "${gateway[@]}" "$VM6/128 gw1"
expect_ping ext $VM6
agent explain $VM4 >/run/lab/log/explained && fail "an address behind SNAT is said to be advertised"
grep -q "^ *FAIL *SNAT" /run/lab/log/explained || fail "SNAT is not named: $(cat /run/lab/log/explained)"

step "without the Northbound"
stop_daemon /run/ovn/nb.pid
within 60 status_says ovnnb_db.sock
leaf_has "${gateway[@]}" "$VM6/128 gw1"
stop_agent
start_agent
within 60 status_says ovnnb_db.sock
! agent wait --timeout 5 || fail "it says that all stands, without having read the Northbound"
leaf_has "${gateway[@]}" "$VM6/128 gw1"

step "the Northbound is back, and the rule goes"
start_database nb
plain_exact "${gateway[@]}" "$VM6/128 gw1"
ovn-nbctl --timeout=60 --wait=hv lr-nat-del "$router" snat $NET4.0/24
within 60 leaf_has "${gateway[@]}" "$VM4/32 gw1" "$VM6/128 gw1"
plain_exact "${gateway[@]}" "$VM4/32 gw1" "$VM6/128 gw1"
expect_ping ext $VM4
