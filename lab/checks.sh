# shellcheck shell=bash
# What a scenario expects and how it runs the agent. Every expectation waits for a condition up to a deadline and says,
# when it fails, what it saw last.

say() { printf '%4d s  %s\n' "$SECONDS" "$*"; }
step() { say "--- $*"; } # step WHAT: what comes next in a scenario of many steps
fail() { say "FAILED: $*"; return 1; }

# In COMMAND no error ends anything, so of several things that it checks each must be joined to the next with &&.
within() { # within SECONDS COMMAND...: until it succeeds
  local deadline=$((SECONDS + $1)) saw
  shift
  until saw=$("$@" 2>&1); do
    [ "$SECONDS" -lt "$deadline" ] || { echo "$saw"; fail "not in time: $*"; return 1; }
    sleep 0.2
  done
  say "$*"
}

not() { ! "$@"; }

same() { # same WHAT EXPECTED SEEN: equal texts, or a diff
  diff <(echo "$2") <(echo "$3") >/run/lab/diff || { cat /run/lab/diff; fail "$1: '<' is expected, '>' is there"; }
}

# --- the agent

agent_config() { # agent_config [LINE...]: the blog's configuration, for this topology; LINEs go into [bgp_agent], and EXPOSE
  cat >/run/lab/agent.conf <<CONFIG
[DEFAULT]
debug=True
reconcile_interval=120
driver=${DRIVER:-osp_ovn_evpn_driver}
ovsdb_connection=unix:/run/openvswitch/db.sock
bgp_AS=$AS
evpn_local_ip=$VTEP
evpn_nic=lo
evpn_udp_dstport=4789
${OPTIONS:-}

[ovn]
ovn_sb_connection=$OVN_SB_DB

[bgp_agent]
frr_socket_dir=/run/frr
ovs_rundir=/run/openvswitch
state_dir=/run/lab/agent
control_socket=/run/lab/agent/control.sock
CONFIG
  [ -z "${EXPOSE:-}" ] || echo "expose=$EXPOSE" >>/run/lab/agent.conf
  [ $# = 0 ] || printf '%s\n' "$@" >>/run/lab/agent.conf
}

agent() { /run/work/bgp-agent --config-file /run/lab/agent.conf "$@"; }

start_agent() { # start_agent [WRAPPER...]: AGENT is its process
  say "the agent of $NODE starts"
  "$@" /run/work/bgp-agent --config-file /run/lab/agent.conf >>$LOG/agent.log 2>&1 &
  AGENT=$!
  echo $AGENT >/run/lab/agent.pid
}

stop_agent() { # stop_agent [SIGNAL]: AGENT_STATUS is its exit status, if this shell has started it
  local agent
  read -r agent </run/lab/agent.pid
  AGENT_STATUS=0
  kill "-${1:-TERM}" "$agent"
  wait "$agent" || AGENT_STATUS=$?
  while kill -0 "$agent" 2>/dev/null; do sleep 0.05; done
}

agent_runs() { kill -0 "$AGENT"; }
done_writes() { grep -c "reconcile::core::flight: done: ${1:-}" $LOG/agent.log || true; } # done_writes [REGEX]: how many, of such objects
# How long after BEGIN, in microseconds since the epoch, the agent was told that its last write was done; in ms.
last_write_after() { # last_write_after BEGIN
  local line
  line=$(grep 'reconcile::core::flight: done:' $LOG/agent.log | tail -n 1)
  echo $((($(date -d "${line%% *}" +%s%6N) - $1) / 1000))
}
agent_says() { grep -qE "$1" $LOG/agent.log; } # agent_says REGEX
memory_of_agent() { say "memory of the agent of $NODE: $(grep VmRSS "/proc/$(cat /run/lab/agent.pid)/status" | tr -s '\t ' ' ')"; }
status_says() { # status_says REGEX: anywhere in its JSON
  local status
  # Its exit status tells whether everything stands, which is not asked here.
  status=$(agent status --json) || true
  [[ $status =~ $1 ]] || { echo "$status"; return 1; }
}
settled() { say "waiting for the agent"; agent wait --timeout "${1:-60}" || fail "the agent did not settle"; }

# What a command of the agent's ends with and says, and what its web server answers.
exit_status() { # exit_status WHAT EXPECTED COMMAND...: its output in /run/lab/log/WHAT
  local what=$1 expected=$2 status=0
  shift 2
  "$@" >"/run/lab/log/$what" 2>&1 || status=$?
  same "exit status of $what" "$expected" $status || { cat "/run/lab/log/$what"; return 1; }
  say "$what"
}
says() { # says WHAT REGEX...: it stands in what was printed
  local what=$1
  shift
  for regex; do grep -qE "$regex" "/run/lab/log/$what" || { cat "/run/lab/log/$what"; fail "$what does not say $regex"; return 1; }; done
}
get() { # get PATH: from the agent's web server
  exec 3<>/dev/tcp/127.0.0.1/9644
  printf 'GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n' "$1" >&3
  cat <&3
}

# A topology with one tenant, annotated, and the agent: where most scenarios begin.
standing_tenant() { # standing_tenant [CONFIG LINE...]
  topology 1001
  agent_config "$@"
  start_agent
  annotate 1001
  within 120 tenant_stands 1001
  settled
}

tenant_stands() { type5_is "$1" "$VM4/32" "$(gateway4 "$1")/32" "$VM6/128" "$(gateway6 "$1")/128"; }

# --- what the leaf learnt

# What the leaf holds from this gateway, a line per route: PREFIX VNI ROUTE-TARGET. VNI is the label it came with.
type5_routes() {
  vtysh -N leaf -c 'show bgp l2vpn evpn route detail type prefix json' 2>/dev/null | jq -r --arg vtep $VTEP '
    [.[] | objects | .[] | objects | . as $route | .paths[][] | select(.nexthops[0].ip == $vtep)
      | "\($route.ip)/\($route.ipLen) \(.vni) \(.extendedCommunity.string | capture("RT:(?<rt>[0-9:]+)").rt)"] | sort[]'
}

type5_is() { # type5_is VNI PREFIX...: exactly these, with that VNI as label and FRR's own route target
  local vni=$1
  shift
  same "type-5 routes of VNI $vni at the leaf" "$(printf "%s $vni $AS:$vni\n" "$@" | sort)" "$(type5_routes | grep " $vni " | sort)"
}

type5_total() { [ "$(type5_routes | wc -l)" = "$1" ]; } # type5_total COUNT: over all VNIs
leaf_metric_is() { # leaf_metric_is PREFIX METRIC: every path that the leaf has to it
  vtysh -N leaf -c "show bgp l2vpn evpn $1 json" 2>/dev/null |
    jq -e --argjson metric "$2" '[.. | objects | select(has("nexthops")) | .metric // 0] | length > 0 and all(. == $metric)' >/dev/null
}
gone_from_leaf() { # the leaf hears this node, and has nothing from it
  local routes
  routes=$(type5_routes) && [ -z "$routes" ] && leaf_hears l2VpnEvpn
}

leaf_hears() { # leaf_hears FAMILY, as FRR's JSON names it
  vtysh -N leaf -c 'show bgp summary json' | jq -e --arg family "$1" --arg vtep "$VTEP" '.[$family].peers[$vtep].state == "Established"' >/dev/null
}

# --- traffic

pings() { # pings NETNS ADDRESS
  ip netns exec "$1" ping -n -c 1 -W 1 "$2"
}

expect_ping() { # expect_ping NETNS ADDRESS: it comes to answer, and then answers three times of three
  within 60 pings "$1" "$2"
  ip netns exec "$1" ping -n -q -c 3 -i 0.2 -W 2 "$2" >/run/lab/ping || { cat /run/lab/ping; fail "lost pings: $1 to $2"; }
}

far_sees() { # far_sees ADDRESS: a ping from the VM of 1001 is answered, and comes to the far host from this address
  ip netns exec ext-1001 tcpdump -nn -l -i eth0 -c 1 'icmp[icmptype] == icmp-echo' >/run/lab/far 2>/run/lab/far.err &
  local far=$!
  within 10 grep -q 'listening on' /run/lab/far.err && expect_ping vm-1001 $FAR4 && wait $far || return
  grep -q " $1 > $FAR4: " /run/lab/far || { cat /run/lab/far; fail "the far host does not see $1"; }
}

expect_no_ping() { # expect_no_ping NETNS ADDRESS
  ! ip netns exec "$1" ping -n -q -c 3 -i 0.2 -W 1 "$2" || fail "$1 reaches $2, but must not"
}

# A ping every 10 ms in the background, and whether every one up to the last that was answered was answered.
start_stream() { # start_stream NETNS ADDRESS
  ip netns exec "$1" ping -D -n -i 0.01 "$2" >/run/lab/stream &
  STREAM=$!
}

stream_dark() { # stream_dark WHEN: ends the stream and says for how long nothing was answered, at most
  local dark
  end_stream
  dark=$(longest_dark) || fail "no ping of the stream was answered"
  printf '       %s: dark for %d ms\n' "$1" "$dark"
}

longest_dark() { # of a stream that has ended, in milliseconds
  sed -n 's/^\[\([0-9.]*\)\].* bytes from .*/\1/p' /run/lab/stream |
    awk 'NR > 1 && $1 - last > gap { gap = $1 - last } { last = $1 } END { printf "%d", 1000 * gap; exit NR < 2 }'
}

end_stream() {
  kill -INT "$STREAM"
  wait "$STREAM" || true
}

# Those of the last second may be on their way.
stream_lost_nothing() {
  local sent
  end_stream
  sent=$(sed -n 's/^\([0-9]*\) packets transmitted.*/\1/p' /run/lab/stream)
  sed -n 's/.* bytes from .*icmp_seq=\([0-9]*\) .*/\1/p' /run/lab/stream |
    awk -v sent="$sent" '{ seen[$1]; if ($1 > last) last = $1 }
      END { for (i = 1; i <= last; i++) if (!(i in seen)) { lost++; print "no answer to " i }
            print last - lost " of " sent " answered"; exit lost > 0 || last < 100 || sent - last > 100 }' ||
    fail "the stream of pings lost some"
}

echo_requests() { # echo_requests NETNS: how many it was sent, IPv4
  ip netns exec "$1" awk '$1 == "Icmp:" { if (seen++) print $column; else for (i = 2; i <= NF; i++) if ($i == "InEchos") column = i }' /proc/net/snmp
}

# --- the gateway's own dataplane

links_of() { ip -j link show 2>/dev/null | jq -r --arg alias "bgp-agent $1" '[.[] | select(.ifalias == $alias) | .ifname] | sort | join(" ")'; }
flows_of_agent() { ovs-ofctl -O OpenFlow13 --no-stats dump-flows br-ex 'cookie=0x3e6/-1' | grep cookie= || true; }
routes() { { ip route show table "$1"; ip -6 route show table "$1"; } 2>/dev/null; }

nothing_made() { # nothing_made [VNI]: no link, port, route or FRR line of a tenant's, and no flow unless there is another one
  local vni=${1:-1001} config
  config=$(frr_config_now) && [[ $config == *"router bgp"* ]] || fail "FRR does not tell its configuration" || return
  same "links" "" "$(ip -o link show | grep -oE "[a-z-]+-$vni\\b" | sort -u | grep -vE "^(vm|ext)-" || true)" &&
    { [ -n "$(marked_links)" ] || same "flows" "" "$(flows_of_agent)"; } &&
    same "ports of br-ex" "" "$(ovs-vsctl list-ports br-ex | grep -- "-$vni\$" || true)" &&
    same "routes" "" "$(routes "$vni" | grep ' proto 182' || true)" &&
    same "FRR" "" "$(grep "vrf-$vni" <<<"$config" || true)"
}

frr_config_now() { vtysh -c 'show running-config' 2>/dev/null; }

# Everything of the node that could differ, for comparing before and after: without counters, timers, learnt state and the
# order of what is kept in hash tables. Also without link-local addresses and the routes that come with them: they come when
# the kernel has looked for duplicates, in its own time.
dataplane() {
  ip -o -d link show | sed -E 's/_timer +[0-9.]+//g'
  ip -o address show | grep -v ' inet6 fe80:' | sed "s/ tentative//"
  ip -4 route show table all | sort
  ip -6 route show table all | grep -vE '\b(fe80:|ff00:)' | sort
  ip neigh show nud permanent | sort
  ip rule | sort
  ip -6 rule | sort
  ovs-vsctl --format=csv --columns=name,external_ids,tag list port | sort
  ovs-ofctl -O OpenFlow13 --no-stats dump-flows br-ex | sort
  frr_config_now
}

. "$lab/exact.sh"
