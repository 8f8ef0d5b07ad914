# The BGP mode with VMs on a provider network alone: one goes, another comes; the agent starts anew; its objects are taken
# away; the network gets a VLAN and loses it; all of it is removed.
# long: a part of make test-full, not of make test
# limit: 1200 s
provider_vm 50
operators=$(frr_config_now)
agent_config
start_agent
plain_exact "50 gw1"

reach 50

step "a second one comes, the first goes; its port is deleted before anything else"
make_provider_port 51
run_vm 51
plain_exact "50 gw1" "51 gw1"
ovn-nbctl --wait=sb lsp-del vm-50
plain_exact "51 gw1"
reach 51
expect_no_ping ext "$(vm4 50)"

step "an agent that begins anew writes nothing"
whole=$(dataplane)
stop_agent
start_agent
settled
same "the dataplane" "$whole" "$(dataplane)"

step "what is its own comes back when somebody takes it away; a rule of somebody else stays"
ip rule add to 198.51.100.7 lookup 77 pref 32000
ip rule add to "$(vm4 51)" iif fab lookup 78 pref 31000
drift() { # drift COMMAND...: the same dataplane within seconds
  "$@"
  within 20 as_before
}
as_before() { [ "$(dataplane)" = "$whole" ]; }
whole=$(dataplane)
drift ip rule del to "$(vm4 51)" lookup "$(bridge_table)"
drift ip -6 rule del to "$(vm6 51)" lookup "$(bridge_table)"
drift ip route flush table "$(bridge_table)"
drift ip neigh del "$(vm4 51)" dev br-ex
drift ip address del "$(vm4 51)/32" dev bgp-nic
drift ovs-ofctl del-flows br-ex cookie=0x3e7/-1
for link in bgp-nic bgp-vrf; do
  ip link del $link
  plain_exact "51 gw1"
done
stop_frr
start_frr
plain_exact "51 gw1"
reach 51
ip rule del to 198.51.100.7 lookup 77
ip rule del to "$(vm4 51)" iif fab

step "the network is in VLAN 100, then in none"
ovn-nbctl --wait=hv set logical_switch_port provnet-1 tag=100
plain_exact "51 gw1"
ip -d link show br-ex.100 | grep -q 'vlan protocol 802.1Q id 100'
reach 51
ovn-nbctl --wait=hv clear logical_switch_port provnet-1 tag
plain_exact "51 gw1"
not ip link show br-ex.100
reach 51

step "drained, and back"
agent drain --wait 0 --yes
within 30 leaf_has ""
agent undrain
plain_exact "51 gw1"

step "nothing of it is left after a cleanup"
stop_agent
agent cleanup --yes
within 20 leaf_has ""
same "rules" "" "$(ip rule | sed -n '/ proto 182/p'; ip -6 rule | sed -n '/ proto 182/p')"
same "routes" "" "$(ip route show table all proto 182; ip -6 route show table all proto 182)"
same "flows" "" "$(ovs-ofctl dump-flows br-ex cookie=0x3e7/-1 | sed -n '/cookie/p')"
same "neighbours" "" "$(ip neigh show dev br-ex nud permanent)"
for link in bgp-vrf bgp-nic; do not ip link show $link; done
same "the operator's configuration" "$operators" "$(frr_config_now)"
