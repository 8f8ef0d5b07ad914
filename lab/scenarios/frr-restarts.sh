# FRR's daemons die and come back, one by one and together: what is the agent's is back soon after the socket, and the
# operator's configuration is as it was. From FRR 10 on mgmtd is one of them; while it hangs, what needs no line of
# configuration goes on. The same after a reload of FRR's service, whose file knows nothing of the agent.
# Stanzas of the agent that FRR reads from its file at boot, and which nobody wishes any more, go; the operator's stay.
# long: a part of make test-full, not of make test
# limit: 1800 s
comes_back() { # comes_back DAEMON...: killed and started anew
  local daemon begin took
  for daemon; do kill -KILL "$(cat "/run/frr/$daemon.pid")"; done
  for daemon; do rm -f "/run/frr/$daemon.vty"; done
  for daemon; do start_frr_daemon "$daemon"; done
  begin=${EPOCHREALTIME/./} # the daemon has its socket when it detaches
  until [ "$(frr_config_now)" = "$config" ]; do
    took=$(((${EPOCHREALTIME/./} - begin) / 1000))
    [ $took -lt 30000 ] || { same "FRR's configuration" "$config" "$(frr_config_now)"; fail "not back in $took ms: $*"; }
  done
  took=$(last_write_after "$begin") # negative: nothing of the agent's was lost, as when mgmtd keeps it
  say "configuration back $((took > 0 ? took : 0)) ms after the start of $*"
  within 60 tenant_stands 1001
  say "type-5 routes back $(((${EPOCHREALTIME/./} - begin) / 1000)) ms after it"
  settled
  # bgpd 8.4 does not give what it has learnt to a zebra that came back without it (watchfrr restarts both).
  [ "$*" = zebra ] || expect_ping ext-1001 $VM4
}
mgmtd_hangs() {
  local mgmtd
  mgmtd=$(cat /run/frr/mgmtd.pid)
  kill -STOP "$mgmtd"
  ovn-nbctl lsp-set-addresses "$(vm_port 1001)" "fa:16:3e:00:00:10 $VM4 $VM6 ${VM4%.*}.11"
  within 60 type5_is 1001 "$VM4/32" "${VM4%.*}.11/32" "$(gateway4 1001)/32" "$VM6/128" "$(gateway6 1001)/128"
  within 120 status_says 'mgmtd: no answer to .* the daemon hangs'
  expect_ping ext-1001 $VM4
  kill -CONT "$mgmtd"
  ovn-nbctl lsp-set-addresses "$(vm_port 1001)" "fa:16:3e:00:00:10 $VM4 $VM6"
  within 60 tenant_stands 1001
  settled 120
  same "FRR's configuration" "$config" "$(frr_config_now)"
}
configured_as_before() { [ "$(frr_config_now)" = "$config" ]; }
# bgpd from FRR 10 on keeps an empty block of each VRF that it has read of in its file, whatever mgmtd removes.
without_empty_blocks() { frr_config_now | sed '/^vrf /{N;/\nexit-vrf/{N;d}}'; }
nothing_stays() {
  same "links" "" "$(links_of 1001)" && same "flows" "" "$(flows_of_agent)" &&
    same "FRR" "" "$(without_empty_blocks | grep vrf-1001 || true)"
}
frr_has() { [[ $(frr_config_now) == *"$1"* ]]; }

topology
operators=$(frr_config_now)
agent_config
start_agent
annotate 1001
within 120 tenant_stands 1001
settled
config=$(frr_config_now)
comes_back bgpd
comes_back zebra
comes_back zebra bgpd
if [ -x /usr/lib/frr/mgmtd ]; then
  comes_back mgmtd
  comes_back mgmtd zebra bgpd
  mgmtd_hangs
fi

# What `systemctl reload frr` does with a frr.conf that the operator keeps.
mkdir /run/lab/frr-reload
echo 'service integrated-vtysh-config' >/run/lab/frr-reload/vtysh.conf
sed -n '/^frr version/,/^end/p' <<<"$operators" >/run/lab/frr-reload/frr.conf
before=$(done_writes "frr .*vrf-1001")
/usr/lib/frr/frr-reload.py --reload --stdout --confdir /run/lab/frr-reload --rundir /run/lab/frr-reload \
  /run/lab/frr-reload/frr.conf >$LOG/frr-reload.log 2>&1 || say "frr-reload.py ends with status $?"
within 30 configured_as_before
[ "$(done_writes "frr .*vrf-1001")" -gt "$before" ] || fail "frr-reload.py took nothing away"
within 60 tenant_stands 1001
settled
expect_ping ext-1001 $VM4

# When the node boots with what was saved, nobody wishes it any more.
vtysh -c 'write memory' >$LOG/write-memory.log 2>&1
stop_agent
remove_annotation 1001
stop_frr
start_frr
within 20 frr_has "router bgp $AS vrf vrf-1001"
# From FRR 10 on `write memory` leaves out what mgmtd has, where each daemon has a file: the operator says it again, and what
# he has then is what must stay.
if ! frr_has ' vni 77'; then
  vtysh -c 'configure terminal' -c 'vrf vrf-mgmt' -c 'vni 77'
  operators=$(without_empty_blocks | sed -E '/^(router bgp .* )?vrf vrf-1001$/,/^!$/d')
fi
start_agent
within 60 nothing_stays
same "the operator's configuration" "$operators" "$(without_empty_blocks)"
