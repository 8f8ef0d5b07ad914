# From the Python ovn-bgp-agent to this one on a node that serves a tenant: the same file, the same names, adopted in place.
# A stream of pings from the fabric to the VM loses nothing, and what the Python agent made of it is the agent's afterwards.
# Of a second tenant, whose annotation goes before that, nothing is touched until cleanup --python-agent takes all of it.
# limit: 1500 s
# by name: it needs software of others
topology 1001 1002
# It answers for OVN's next hop by the kernel's proxy_arp, which needs a route that leads elsewhere.
ip route add default dev fab
venv=$(cat /run/work/python-agent-venv)
cat >/run/lab/agent.conf <<CONFIG
[DEFAULT]
debug=True
reconcile_interval=600
driver=ovn_evpn_driver
ovsdb_connection=unix:/run/openvswitch/db.sock
bgp_AS=$AS
evpn_local_ip=$VTEP
evpn_nic=lo
evpn_udp_dstport=4789

[ovn]
ovn_sb_connection=unix:/run/ovn/ovnsb_db.sock

[agent]
root_helper=env PATH=$venv/bin:/usr/sbin:/usr/bin:/sbin:/bin
CONFIG
# The Python agent wants both annotations there when it looks.
for vni in 1001 1002; do
  annotate_as $vni $AS
  annotate $vni
done
ovn-nbctl --wait=hv sync
"$venv/bin/ovn-bgp-agent" --config-file /run/lab/agent.conf >$LOG/python-agent.log 2>&1 &
PYTHON_AGENT=$!
routed() { type5_routes | grep -q "^$VM4/32 ${1:-1001} "; }
within 600 routed
within 600 routed 1002
within 120 pings ext-1001 $VM4
kill $PYTHON_AGENT
wait $PYTHON_AGENT || true
same "who made vrf-1001" "" "$(links_of 1001)"
# Its first look takes devices of an operator away, too.
replant_foreign
remove_annotation 1002
remove_annotation 1002 as
ovn-nbctl --wait=sb sync
dataplane >/run/lab/log/dataplane-of-python-agent
printf '\n[bgp_agent]\nstate_dir=/run/lab/agent\ncontrol_socket=/run/lab/agent/control.sock\n' >>/run/lab/agent.conf

start_stream ext-1001 $VM4
agent plan | tee /run/lab/log/plan || [ "${PIPESTATUS[0]}" = 2 ]
! grep '^- .*\(link\|vrf-1001\|address\|route\)' /run/lab/log/plan || fail "the plan takes something of the tenant away"
start_agent
settled 120
within 60 routed
stream_lost_nothing
[[ " $(links_of 1001) " == *" br-1001 lo-1001 "*" vrf-1001 vxlan-1001 "* ]] || fail "not adopted: $(links_of 1001)"
expect_ping ext-1001 $VM4

exit_status plan-afterwards 0 agent plan

# The tenant that nothing wishes: with its way to OVN and its routes, of which the kernel's and FRR's own are none.
same "who made vrf-1002" "" "$(links_of 1002)"
[ -e /sys/class/net/veth-vrf-1002 ] || fail "the Python agent's veth-vrf-1002 is gone without being asked for"
stop_agent
exit_status cleanup-dry 0 agent cleanup --python-agent --dry-run
says cleanup-dry '^- kernel .*link veth-vrf-1002' '^- vswitch .*port veth-ovs-1002' '^- kernel .*route unreachable .*table 1002'
[ -e /sys/class/net/vrf-1002 ] || fail "a dry run has removed something"
exit_status cleanup 0 agent cleanup --python-agent --yes
nothing_made 1001
nothing_made 1002
same "routes of table 1002" "" "$(routes 1002)"
