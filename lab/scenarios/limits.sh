# The largest VNI and the first of seven digits, whose devices have other names since these are too long, a 4-byte AS, and a
# limit of prefixes that is reached.
# long: a part of make test-full, not of make test
make_site 16777215 1000000
make_provider_network
make_tenants 1001 1002
agent_config
start_agent
annotate 1002 1000000
agent bgpvpn associate --router "$(router 1001)" --vni 16777215 --as 4200000000 --rt $AS:16777215
stands() { # stands VNI TENANT
  type5_is "$1" "$VM4/32" "$(gateway4 "$2")/32" "$VM6/128" "$(gateway6 "$2")/128"
}
within 60 stands 16777215 1001
within 60 stands 1000000 1002
settled
same "links of VNI 16777215" "br-16777215 lo-16777215 vo-16777215.0 vrf-16777215 vv-16777215.0 vxlan-16777215" "$(links_of 16777215)"
same "links of VNI 1000000" "br-1000000 lo-1000000 vo-1000000.0 vrf-1000000 vv-1000000.0 vxlan-1000000" "$(links_of 1000000)"
[[ $(frr_config_now) == *"router bgp 4200000000 vrf vrf-16777215"* ]] || fail "no instance of AS 4200000000"
for vni in 16777215 1000000; do expect_ping ext-$vni $VM4; expect_ping ext-$vni $VM6; done
expect_ping vm-1001 $FAR4
expect_ping vm-1002 $FAR6
within 20 nothing_planned

step "no more than one VM's address of each VNI"
echo max_prefixes_per_vni=1 >>/run/lab/agent.conf
kill -HUP "$AGENT"
fewer() { type5_is 1000000 "$VM4/32" "$(gateway4 1002)/32" "$(gateway6 1002)/128"; }
within 60 fewer
status_says '1 addresses are put aside: max_prefixes_per_vni is reached' || fail "nothing in the status"
sed -i '/^max_prefixes_per_vni/d' /run/lab/agent.conf
kill -HUP "$AGENT"
within 60 stands 1000000 1002

for tenant in 1001 1002; do remove_annotation $tenant; done
nothing_left() { nothing_made "$1" && same "links" "" "$(links_of "$1")"; }
for vni in 16777215 1000000; do within 60 nothing_left $vni; done
