# What an operator asks: plan tells beforehand what a start does and then has nothing to say; status, explain, doctor,
# metrics and health of the running agent; a reload.
# long: a part of make test-full, not of make test
topology 1001 1002
annotate 1001
ovn-nbctl --wait=hv sync
dataplane >/run/lab/log/dataplane-before
agent_config

# A plan is told without an agent, and writes nothing.
exit_status plan 2 agent plan
says plan '^\+ kernel .*link vrf-1001 vrf table 1001' '^\+ flows of br-ex .*redirect 20.0.0.0/24 .* port <veth-ovs-1001>' \
  '^\+ kernel .*address 20.0.0.10/32 on lo-1001'
planned=$(grep -c '^[+~-] ' /run/lab/log/plan)
same "dataplane after a plan" "$(cat /run/lab/log/dataplane-before)" "$(dataplane)"
exit_status status-without-agent 3 agent status
exit_status explain-without-agent 1 agent explain $VM4 --vni 1001
says explain-without-agent 'first link that fails is agent'

start_agent
within 120 tenant_stands 1001
settled
exit_status plan-afterwards 0 agent plan
same "what was made, and what was planned" "$planned" "$(grep -c 'done: .*verb=Create\|verb=Create.*done' /run/lab/log/agent.log)"
hops_are() { # hops_are WHAT [OPTION...]: [VNI, state, desired, kernel, bgpd, type-5]
  local wanted=$1
  shift
  same "prefixes at each hop" "$wanted" "$(agent status --json --vni 1001 "$@" |
    jq -c '.tenants[] | [.vni, .state, .prefixes.desired, .prefixes.kernel, .prefixes.bgpd, .prefixes.type5]')"
}
exit_status status 0 agent status --hops
says status '^zebra +up' '^bgpd +up'
hops_are '[1001,"ok",4,4,4,4]' --hops

# The agent counts by itself, too, soon after a change.
within 60 hops_are '[1001,"ok",4,4,4,4]'
unbind_vm 1001
within 60 hops_are '[1001,"ok",2,2,2,2]'
bind_vm 1001
within 60 hops_are '[1001,"ok",4,4,4,4]'
settled

# Every link of the working address, of both families and of the gateway holds; that of the tenant without an annotation does not.
expect_ping ext-1001 $VM4
exit_status explain 0 agent explain $VM4 --vni 1001
says explain 'flow .* [1-9][0-9]* packets' 'type-5 .*VNI 1001.*RT:64999:1001.*Rmac:.*advertised to 100.65.0.9'
exit_status explain6 0 agent explain $VM6 --vni 1001
exit_status explain-router 0 agent explain "$(router 1001)"
exit_status explain-other 1 agent explain "$(vm_port 1002)"
says explain-other 'first link that fails is annotation' 'ovn-nbctl set logical_switch_port'
exit_status explain-unknown 3 agent explain 203.0.113.9

exit_status doctor 0 agent doctor
says doctor '^ok .*vrf is there' '^ok .*EVPN neighbour 100.65.0.9 is established' '^warn .*netlink buffer' '^ok .*VTEP address is 100.65.0.1'
get /metrics >/run/lab/log/metrics
says metrics '^bgp_agent_ready 1$' '^bgp_agent_prefixes\{vni="1001",hop="kernel"\} 4$' '^bgp_agent_prefixes\{vni="1001",hop="type5"\} 4$' \
  '^bgp_agent_event_to_kernel_seconds_count [1-9]' '^bgp_agent_event_to_bgp_seconds_count [1-9]' '^bgp_agent_session_up\{session="bgpd"\} 1$'
say "$(grep -E '^bgp_agent_event_to_(kernel|bgp)_seconds_(sum|count)' /run/lab/log/metrics | tr '\n' ' ')"
get /readyz >/run/lab/log/readyz
says readyz '^HTTP/1.1 200 OK' '^ok'

# A reload takes what it can without a restart, and says what it cannot.
sed -i 's/^bgp_AS=.*/bgp_AS=65000/; s/^evpn_udp_dstport=.*/evpn_udp_dstport=4790/' /run/lab/agent.conf
kill -HUP "$AGENT"
within 30 agent_says 'bgp_AS has changed: that needs a restart'
within 30 eval 'ip -d link show vxlan-1001 | grep -q "dstport 4790"'
agent_config
kill -HUP "$AGENT"
within 30 eval 'ip -d link show vxlan-1001 | grep -q "dstport 4789"'
settled
within 60 tenant_stands 1001
