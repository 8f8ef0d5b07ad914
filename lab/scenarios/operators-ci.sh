# One tenant's life as an operator asks of it, in short: plan, status, explain, doctor, and what cleanup would take. The whole
# is in `operators` and `drain-cleanup`.
topology
annotate 1001
ovn-nbctl --wait=hv sync
agent_config
exit_status plan 2 agent plan --timeout 60
says plan '^\+ kernel .*link vrf-1001 vrf table 1001' '^\+ kernel .*address 20.0.0.10/32 on lo-1001'
[ ! -e /sys/class/net/vrf-1001 ] || fail "a plan writes nothing"
start_agent
within 120 tenant_stands 1001
settled
within 10 agent_says 'the tenant stands'
within 10 agent_says '[+][1-9][0-9]* -0 prefixes'
within 30 status_says '"bgpd":4,.*"type5":4'
exit_status status 0 agent status --hops
says status 'everything wished stands' '^1001 +ok .* 4 +4 +4 +4 '
exit_status explain 0 agent explain $VM4 --vni 1001
says explain '  ok +flow ' '  ok +flow back ' '  ok +next hop ' '  ok +type-5 .*RT:64999:1001.*Rmac:'
exit_status doctor 0 agent doctor
says doctor '^ok .*br-ex speaks OpenFlow 1.3' '^ok .*EVPN neighbour 100.65.0.9 is established'
get /readyz >/run/lab/log/readyz
says readyz '^HTTP/1.1 200 OK' '^ok'
stop_agent
exit_status cleanup-dry 0 agent cleanup --dry-run
says cleanup-dry '^- kernel .*address 20.0.0.10/32 on lo-1001' '^- kernel .*link vrf-1001'
tenant_stands 1001
