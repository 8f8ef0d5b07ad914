# The BGP mode behind a router: its gateway, tenants' addresses host by host and by subnet, floating IPs that are central,
# distributed, moved, released and used again, and load balancers' addresses; the leaf's table after every step.
# long: a part of make test-full, not of make test
# limit: 1200 s
OPTIONS=expose_tenant_networks=True
plain_site
make_tenants 1001
router=$(router 1001)
# As Neutron has it: northd tells what the router answers for on the provider network, but for load balancers.
ovn-nbctl --wait=hv lsp-set-options "$(gateway_port 1001)" router-port="lrp-$(gateway_port 1001)" nat-addresses=router \
  exclude-lb-vips-from-garp=true
agent_config
start_agent
gateway=("$(gateway4 1001)/32 gw1" "$(gateway6 1001)/128 gw1")
tenant=("$VM4/32 gw1" "$VM6/128 gw1")

step "the gateway's and the tenant's addresses"
plain_exact "${gateway[@]}" "${tenant[@]}"
expect_ping ext $VM4
expect_ping ext $VM6
expect_ping ext "$(gateway4 1001)"
expect_ping ext "$(gateway6 1001)"
expect_ping vm-1001 $EXT4
expect_ping vm-1001 $EXT6

step "by subnet"
stop_agent
OPTIONS+=$'\nadvertisement_method_tenant_networks=subnet' agent_config
start_agent
plain_exact "${gateway[@]}" "$NET4.0/24 gw1" "$NET6::/64 gw1"
expect_ping ext $VM4
expect_ping ext $VM6

step "without tenants"
stop_agent
OPTIONS='' agent_config
start_agent
plain_exact "${gateway[@]}"
expect_no_ping ext $VM4

step "a floating IP, central"
fip=$PROVIDER4.222
ovn-nbctl --wait=hv lr-nat-add "$router" dnat_and_snat $fip $VM4
plain_exact "${gateway[@]}" "$fip/32 gw1"
expect_ping ext $fip
expect_ping vm-1001 $EXT4

step "distributed: on the node of its VM"
ovn-nbctl lr-nat-del "$router" dnat_and_snat $fip
ovn-nbctl --wait=hv lr-nat-add "$router" dnat_and_snat $fip $VM4 "$(vm_port 1001)" fa:16:3e:aa:00:01
plain_exact "${gateway[@]}" "$fip/32 gw1"
expect_ping ext $fip
expect_ping vm-1001 $EXT4

step "its VM goes and comes"
unbind_vm 1001
plain_exact "${gateway[@]}"
bind_vm 1001
plain_exact "${gateway[@]}" "$fip/32 gw1"
expect_ping ext $fip

step "released, and used again by a VM on the provider network"
ovn-nbctl --wait=hv lr-nat-del "$router"
plain_exact "${gateway[@]}"
make_provider_port 222
run_vm 222
plain_exact "${gateway[@]}" "222 gw1"
expect_ping ext $fip
stop_vm 222
ovn-nbctl --wait=hv lsp-del vm-222
plain_exact "${gateway[@]}"

# As Octavia's driver has it: on the router and on its members' network, which is what an older Southbound tells.
step "a load balancer's address of each family"
vip=$PROVIDER4.230 vip6=$PROVIDER6::230
for address in "$vip $VM4" "$vip6 $VM6"; do
  # shellcheck disable=SC2086  # an address and what is behind it
  ovn-nbctl lb-add "lb-$address" $address -- lr-lb-add "$router" "lb-$address" -- ls-lb-add "$(network 1001)" "lb-$address"
done
ovn-nbctl --wait=hv sync
plain_exact "${gateway[@]}" "$vip/32 gw1" "$vip6/128 gw1"
expect_ping ext $vip
expect_ping ext $vip6
agent explain $vip >/run/lab/log/explained || fail "a load balancer's address is not explained: $(cat /run/lab/log/explained)"
grep -q "^ *ok *balancer" /run/lab/log/explained || fail "the load balancer is not named: $(cat /run/lab/log/explained)"
for address in "$vip $VM4" "$vip6 $VM6"; do ovn-nbctl lb-del "lb-$address"; done
ovn-nbctl --wait=hv sync
plain_exact "${gateway[@]}"
