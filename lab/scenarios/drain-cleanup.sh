# What an operator does with a node that serves: drain and back, an address that is broken where the agent cannot mend it,
# and cleanup, which takes all of it away and nothing else.
# long: a part of make test-full, not of make test
topology
annotate 1001
ovn-nbctl --wait=hv sync
dataplane >/run/lab/log/dataplane-before
agent_config
start_agent
within 120 tenant_stands 1001
settled

# A drain: less preferred with everything in place, then withdrawn, remembered over a restart, and taken back.
leaf_metric_is $VM4/32 0
exit_status drain-keep 0 agent drain --keep
says drain-keep 'ovn-nbctl lrp-set-gateway-chassis lrp-' 'drained: less-preferred'
within 60 leaf_metric_is $VM4/32 4294967294
within 20 tenant_stands 1001
exit_status drain-unasked 1 agent drain
exit_status drain 0 agent drain --wait 1 --yes
within 60 gone_from_leaf
[ -n "$(links_of 1001)" ] || fail "a drain takes no device away"
exit_status status-drained 0 agent status
says status-drained '^DRAINED  withdrawn'
stop_agent
start_agent
settled
exit_status status-drained-still 0 agent status
says status-drained-still '^DRAINED  withdrawn'
same "addresses" "" "$(ip -o address show dev lo-1001 | grep -v ' fe80:' || true)"
gone_from_leaf
exit_status undrain 0 agent undrain
within 60 tenant_stands 1001
within 60 leaf_metric_is $VM4/32 0
expect_ping ext-1001 $VM4

# Broken where the agent cannot mend it: the link that fails is named, and doctor says what to do.
stop_agent
vtysh -c 'configure terminal' -c "router bgp $AS" -c 'address-family l2vpn evpn' -c 'no advertise-all-vni'
start_agent
within 60 status_says 'advertise-all-vni'
exit_status explain-broken 1 agent explain $VM4 --vni 1001
says explain-broken 'FAIL  zebra .*L3VNI 1001 is'
exit_status doctor-broken 1 agent doctor
says doctor-broken 'FAIL .*advertise-all-vni is not set'
exit_status problems 0 agent status --problems
says problems '1001  held' 'advertise-all-vni'
vtysh -c 'configure terminal' -c "router bgp $AS" -c 'address-family l2vpn evpn' -c 'advertise-all-vni'
within 120 tenant_stands 1001
settled

# Cleanup: not beside an agent, not without a yes, then all of it, that the node was drained included.
exit_status cleanup-beside-agent 1 agent cleanup --yes
says cleanup-beside-agent 'another bgp-agent runs'
stop_agent
echo less-preferred >/run/lab/agent/drain
exit_status cleanup-dry 0 agent cleanup --dry-run
says cleanup-dry 'that this node is drained'
[ -e /run/lab/agent/drain ] || fail "a dry run has forgotten the drain"
exit_status cleanup-unasked 1 agent cleanup
tenant_stands 1001
exit_status cleanup 0 agent cleanup --yes
says cleanup 'drained no more'
[ ! -e /run/lab/agent/drain ] || fail "the drain is still remembered"
nothing_made
same "dataplane after cleanup" "$(cat /run/lab/log/dataplane-before)" "$(dataplane)"
exit_status cleanup-again 0 agent cleanup --yes
