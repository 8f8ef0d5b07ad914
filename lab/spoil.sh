# shellcheck shell=bash
# Breaking what is the agent's, and seeing it mended: one thing by a command, or everything of a kind, one after the other.

LIMIT=${LIMIT:-30000} # ms; what the guest's emulation and others on the machine may take of it

SPOILT=0

spoil() { # spoil VIEW COMMAND...: the agent mends what the command breaks, until VIEW prints what it printed before
  local view=$1 before done begin took
  shift
  before=$($view) done=$(done_writes) begin=${EPOCHREALTIME/./}
  "$@"
  until [ "$(done_writes)" -gt "$done" ] && [ "$($view)" = "$before" ]; do
    took=$(((${EPOCHREALTIME/./} - begin) / 1000))
    [ $took -lt $LIMIT ] || { same "$view after: $*" "$before" "$($view)"; fail "not mended in $LIMIT ms: $*"; }
  done
  SPOILT=$((SPOILT + 1))
  say "$(printf '%5d ms  %s' "$(last_write_after "$begin")" "$*")"
}

spoil_every() { # spoil_every KIND: there is at least one
  local before=$SPOILT
  "spoil_$1"
  [ $SPOILT -gt "$before" ] || fail "there are no $1 to be spoilt"
}

# --- views

links() {
  ip -j -d link show | jq -c '.[] | select(.ifalias // "" | startswith("bgp-agent"))
    | [.ifname, .linkinfo.info_kind, .master, .mtu, .ifalias, .inet6_addr_gen_mode, (.flags | index("UP") != null),
       (.linkinfo.info_data | .stp_state, .vlan_default_pvid, .learning)]' | sort
}
addresses() { for link in $(marked_links | grep ^lo-); do ip -o address show dev "$link" | sed 's/^[0-9]*: //'; done | sort; }
neighbours() { ip neigh show nud permanent | grep -v ' dev br-[0-9]' | sort; } # those are zebra's
tables() { for vni in $VNIS; do routes "$vni" | sort; done; }
flows() { flows_of_agent | sort; }
ports() { ovs-vsctl --columns=name,tag,external_ids list port | grep -B 2 bgp-agent= | sort; }

# --- everything of a kind; VNIS names the tenants

spoil_addresses() {
  local device address
  while read -r device address; do
    spoil addresses ip address del "$address" dev "$device"
  done < <(addresses | awk '{ print $1, $3 }')
}

spoil_routes() {
  local vni family route
  for vni in $VNIS; do
    for family in -4 -6; do
      while read -r route; do
        # shellcheck disable=SC2086  # the route is words
        spoil tables ip $family route del $route table "$vni"
      done < <(ip $family route show table "$vni" proto 182 | sed 's/ pref medium//')
    done
  done
}

spoil_neighbours() {
  local address device
  while read -r address device; do
    spoil neighbours ip neigh del "$address" dev "$device"
    spoil neighbours ip neigh replace "$address" lladdr 02:00:00:00:00:09 nud permanent dev "$device"
  done < <(neighbours | awk '{ print $1, $3 }')
}

spoil_ports() {
  local port
  for port in $(ovs-vsctl -f csv --no-headings --columns=name,external_ids list port | sed -n 's/^"\?\([^",]*\)"\?,.*bgp-agent=.*/\1/p'); do
    spoil ports ovs-vsctl set port "$port" tag=7
    spoil ports ovs-vsctl remove port "$port" external_ids bgp-agent
    spoil ports ovs-vsctl del-port "$port"
  done
}

spoil_flows() { # each one goes, and each one does something else
  local match action
  while read -r match; do
    action=drop
    [[ $match != *actions=drop ]] || action=NORMAL
    match=${match%% actions=*}
    spoil flows ovs-ofctl -O OpenFlow13 --strict del-flows br-ex "cookie=0x3e6/-1,$match"
    spoil flows ovs-ofctl -O OpenFlow13 --strict mod-flows br-ex "$match,actions=$action"
  done < <(flows | sed 's/^ *cookie=0x3e6, *//; s/^table=0, *//')
}

spoil_frr() { # each line of each instance goes
  local vni block family line words
  for vni in $VNIS; do
    block="router bgp $AS vrf vrf-$vni" family=
    spoil frr_config_now frr -c "vrf vrf-$vni" -c "no vni $vni"
    while read -r line; do
      case $line in
        address-family*) family=$line ;;
        exit-address-family) family= ;;
        *)
          words=(-c "$block" ${family:+-c "$family"} -c "no $line")
          spoil frr_config_now frr "${words[@]}"
          ;;
      esac
    done < <(frr_config_now | sed -n "/^$block\$/,/^exit\$/p" | grep -vE '^ *!|^router|^exit$')
  done
}
frr() { vtysh -c 'configure terminal' "$@"; }
