# Both modes on one node: a tenant by EVPN, and a VM on the provider network by plain routes, over the same bridge; each goes
# and comes alone. A router is the EVPN mode's while it is annotated, else its gateway's addresses are plain routes.
# long: a part of make test-full, not of make test
# limit: 1200 s
DRIVER=ovn_evpn_driver,ovn_bgp_driver
plain_site 1001
make_tenants 1001
make_provider_port 50
run_vm 50
ovn-nbctl --timeout=60 --wait=hv sync
agent_config
start_agent
annotate 1001
gateway=("$(gateway4 1001)/32 gw1" "$(gateway6 1001)/128 gw1")
both() {
  within 120 tenant_stands 1001
  plain_exact "50 gw1"
  for address in "$(vm4 50)" "$(vm6 50)"; do expect_ping ext "$address"; done
  for address in $VM4 $VM6; do expect_ping ext-1001 "$address"; done
  expect_ping vm-50 $EXT4
  expect_ping vm-1001 $FAR4
}
both

step "an agent that begins anew writes nothing"
whole=$(dataplane)
stop_agent
start_agent
settled
same "the dataplane" "$whole" "$(dataplane)"

step "the tenant goes and comes"
remove_annotation 1001
within 60 gone_from_leaf
plain_exact "50 gw1" "${gateway[@]}"
expect_ping ext "$(gateway4 1001)"
expect_ping ext "$(vm4 50)"
annotate 1001
both

step "the VM goes and comes"
stop_vm 50
plain_exact ""
expect_ping ext-1001 $VM4
run_vm 50
both
