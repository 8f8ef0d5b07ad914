# FRR's daemons die and come back, one by one and together: what is the agent's is back soon after the socket, and the
# operator's configuration is as it was. Stanzas of the agent that FRR reads from its file at boot, and which nobody wishes
# any more, go; the operator's stay.
# long: a part of make test-full, not of make test
start_daemon() { # start_daemon zebra|bgpd, of the gateway
  "/usr/lib/frr/$1" -d -P 0 -f "/run/lab/$1.conf"
}
comes_back() { # comes_back DAEMON...: killed and started anew
  local daemon begin took
  for daemon; do kill -KILL "$(cat "/run/frr/$daemon.pid")"; done
  for daemon; do rm -f "/run/frr/$daemon.vty"; done
  for daemon; do start_daemon "$daemon"; done
  begin=${EPOCHREALTIME/./} # the daemon has its socket when it detaches
  until [ "$(frr_config_now)" = "$config" ]; do
    took=$(((${EPOCHREALTIME/./} - begin) / 1000))
    [ $took -lt 30000 ] || { same "FRR's configuration" "$config" "$(frr_config_now)"; fail "not back in $took ms: $*"; }
  done
  say "configuration back $(last_write_after "$begin") ms after the start of $*"
  within 60 tenant_stands 1001
  say "type-5 routes back $(((${EPOCHREALTIME/./} - begin) / 1000)) ms after it"
  settled
  # bgpd 8.4 does not give what it has learnt to a zebra that came back without it (watchfrr restarts both).
  [ "$*" = zebra ] || expect_ping ext-1001 $VM4
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

# What `write memory` left: when the node boots, nobody wishes it any more.
stop_agent
remove_annotation 1001
stop_frr
printf 'vrf vrf-1001\n vni 1001\nexit-vrf\n' >>/run/lab/zebra.conf
printf '%s\n' "router bgp $AS vrf vrf-1001" ' address-family ipv4 unicast' '  redistribute connected' ' exit-address-family' \
  ' address-family l2vpn evpn' '  advertise ipv4 unicast' ' exit-address-family' >>/run/lab/bgpd.conf
start_frr
within 20 frr_has "router bgp $AS vrf vrf-1001"
start_agent
within 60 nothing_made
same "the operator's configuration" "$operators" "$(frr_config_now)"
