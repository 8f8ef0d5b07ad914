# From whatever a node has to whatever the cloud wishes: in each world the cloud is changed at random, things of the agent's
# are broken at random in kernel, OVS and FRR, with the agent running, stopped or killed; where it starts anew, it exposes on
# dummies or by routes. Then the node is exactly what the cloud says. WORLDS says how many (20), SEED repeats a run.
# long: a part of make test-full, not of make test
# limit: 20000 s
RANDOM=${SEED:=$RANDOM}
say "SEED=$SEED"

any() { # any WORD...: IT is one of them. In a subshell the shell would draw other numbers than SEED gives.
  local words=("$@")
  IT=${words[RANDOM % $#]}
}
chance() { ((RANDOM % 100 < $1)); } # chance PERCENT

declare -A vni as addresses # of each tenant of the topology
change_cloud() { # change_cloud TENANT
  any none "$1" "$1" $(($1 + 2000)) && vni[$1]=$IT
  any "" "" 65010 && as[$1]=$IT
  any "$VM4" "$VM6" "$VM4 $VM6" "$VM4 $VM6" "$VM4 20.0.0.77 $VM6" "" && addresses[$1]=$IT
  ovn-nbctl lsp-set-addresses "$(vm_port "$1")" "fa:16:3e:00:00:10 ${addresses[$1]}"
  if [ "${vni[$1]}" = none ]; then remove_annotation "$1"; else annotate "$1" "${vni[$1]}"; fi
  if [ -z "${as[$1]}" ]; then remove_annotation "$1" as; else annotate_as "$1" "${as[$1]}"; fi
}

wished() { # the world as the cloud says it
  local tenant
  for tenant in 1001 1002; do
    [ "${vni[$tenant]}" = none ] || world "$tenant" | grep -v ^vm |
      sed "s/^tenant.*/& ${as[$tenant]}/; s/^\([a-z]*\) $tenant/\1 ${vni[$tenant]}/; s/-$tenant\\b/-${vni[$tenant]}/g"
    [ "${vni[$tenant]}" = none ] || echo "vm ${vni[$tenant]} ${addresses[$tenant]}"
  done
}

vandal() { # IT is a command that breaks one thing of the agent's, if it is there
  local v device family way metric map daemon
  any 1001 1002 3001 3002 && v=$IT
  any vrf br vxlan lo veth-vrf veth-ovs && device=$IT-$v
  any "" -6 && family=$IT
  any lo veth-vrf && way=$IT-$v
  any 0 182 && metric=$IT
  any routes drained && map=bgp-agent-$IT
  any bgpd zebra && daemon=$IT
  case $((RANDOM % 21)) in
    0 | 1 | 2) IT="ip link del $device" ;;
    3) IT="ip link set $device down" ;;
    4) IT="ip link set $device nomaster" ;;
    5) IT="ip link set $device mtu 1400" ;;
    6) IT="ip address flush dev lo-$v" ;;
    7) IT="ip address add 20.0.0.$((RANDOM % 100 + 100))/32 dev lo-$v" ;;
    8) IT="ip $family route flush table $v proto 182" ;;
    9) IT="ip route add 198.51.100.$((RANDOM % 200))/32 dev $way table $v proto 182 metric $metric" ;;
    10) IT="ip neigh replace 172.24.4.146 lladdr 02:00:00:00:00:09 nud permanent dev veth-vrf-$v" ;;
    11) IT="ovs-vsctl --timeout=5 del-port veth-ovs-$v" ;;
    12) IT="ovs-vsctl --timeout=5 set port veth-ovs-$v tag=7" ;;
    13) IT="ovs-ofctl -O OpenFlow13 del-flows br-ex cookie=0x3e6/-1" ;;
    14) IT="ovs-ofctl -O OpenFlow13 mod-flows br-ex cookie=0x3e6/-1,ip,actions=drop" ;;
    15) IT="ovs-ofctl -O OpenFlow13 add-flow br-ex cookie=0x3e6,priority=$RANDOM,udp,actions=drop" ;;
    16) IT="vtysh -c 'configure terminal' -c 'vrf vrf-$v' -c 'no vni $v'" ;;
    17) IT="vtysh -c 'configure terminal' -c 'vrf vrf-$v' -c 'no vni $v' -c 'exit' -c 'no router bgp $AS vrf vrf-$v'" ;;
    18) IT="vtysh -c 'configure terminal' -c 'router bgp $AS vrf vrf-$v' -c 'address-family l2vpn evpn' -c 'no advertise ipv4 unicast'" ;;
    19) IT="vtysh -c 'configure terminal' -c 'no route-map $map'" ;;
    20) IT="stop_daemon /run/frr/$daemon.pid KILL" ;;
  esac
}

# Who would begin a VRF of FRR that is not there, or a BGP instance, makes a foreign one: that is another scenario's.
fits() { # fits COMMAND
  [[ $1 != vtysh*vrf-* ]] || { local vrf=${1#*vrf }; [[ $(frr_config_now) == *"router bgp $AS vrf ${vrf%%[!a-z0-9-]*}"* ]]; }
}

frr_runs() { # as watchfrr does: where one of the two has died, both start anew
  local daemon
  daemon_runs zebra && daemon_runs bgpd && return
  for daemon in zebra bgpd; do stop_daemon /run/frr/$daemon.pid 2>/dev/null || true; done
  start_frr
}
daemon_runs() { # daemon_runs NAME
  local pid
  read -r pid <"/run/frr/$1.pid" && kill -0 "$pid" 2>/dev/null
}

topology 1001 1002
OVN_NB_DAEMON=$(ovn-nbctl --pidfile --detach) # of each of its processes most of the time is its start
export OVN_NB_DAEMON
any dummy routes && EXPOSE=$IT
agent_config
start_agent
for ((turn = 1; turn <= ${WORLDS:-20}; turn++)); do
  any runs runs stopped killed && how=$IT
  step "world $turn, the agent $how"
  case $how in
    stopped) stop_agent ;;
    killed) stop_agent KILL 2>/dev/null ;;
  esac
  for tenant in 1001 1002; do ((turn > 1)) && chance 30 || change_cloud "$tenant"; done
  for ((blow = RANDOM % 6; blow > 0; blow--)); do
    vandal
    fits "$IT" && eval "$IT" >/dev/null 2>&1 && say "$IT"
  done
  frr_runs
  [ "$how" = runs ] || { any dummy routes && EXPOSE=$IT && agent_config && start_agent; }
  exact "$(wished)"
done
