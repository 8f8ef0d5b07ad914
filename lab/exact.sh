# shellcheck shell=bash
# The exact state of a node: everything of the agent's in kernel, OVS, flows, FRR and at the leaf, compared with what a
# few lines say of the world. Written from the design and not from the agent: it knows nothing of how the agent works.
#
#   tenant VNI [AS]
#   tie VNI BRIDGE LOCALNET DEVICE PORT [TAG]   the VRF's way to a bridge: its device, and that device's port
#   gateway VNI DEVICE MAC ADDRESS...           a router's gateway, reached by that tie; its next hops are answered
#   subnet VNI DEVICE PREFIX VIA MAC...         routed by VIA, taken from these routers
#   vm VNI ADDRESS...                           behind its subnet's line
#
# EXPOSE says how addresses are exposed: on dummies, or by routes.

world() { # world VNI...: the lines of a tenant as the topology makes it
  for vni; do
    cat <<WORLD
tenant $vni
tie $vni br-ex provnet-1 veth-vrf-$vni veth-ovs-$vni
gateway $vni veth-vrf-$vni $(gateway_mac "$vni") $(gateway4 "$vni") $(gateway6 "$vni")
subnet $vni veth-vrf-$vni $NET4.0/24 $(gateway4 "$vni") $(gateway_mac "$vni")
subnet $vni veth-vrf-$vni $NET6::/64 $(gateway6 "$vni") $(gateway_mac "$vni")
vm $vni $VM4 $VM6
WORLD
  done
}

exact() { # exact WORLD: within a minute the node is exactly that, and an agent that began anew would change nothing
  WORLD=$1
  settled
  within 60 exactly_the_world
  within 20 nothing_planned
}

nothing_planned() { agent plan >/run/lab/plan || { cat /run/lab/plan; return 1; }; }

exactly_the_world() {
  local expected
  expected=$(expected_state <<<"$WORLD" | sort)
  same "state of $NODE" "$expected" "$(seen_state | tr -s ' ' | sed 's/ $//' | sort)"
}

# --- what should be there

expected_state() {
  local -A bridge patch port tag as ofport way mac_of
  local kind vni line name number
  while IFS=, read -r name number; do ofport[${name//\"/}]=$number; done < <(
    ovs-vsctl -f csv --no-headings --columns=name,ofport list interface)
  while read -r kind vni line; do
    # shellcheck disable=SC2086  # the line is words
    [ -z "$kind" ] || "expected_$kind" "$vni" $line
  done
  ! by_routes || [ ${#as[@]} = 0 ] || expected_route_maps
}

by_routes() { [ "${EXPOSE:-dummy}" = routes ]; }

expected_route_maps() {
  local map
  for map in "routes 0" "drained 4294967294"; do
    echo "frr route-map bgp-agent-${map% *} permit 10 / match metric 182"
    echo "frr route-map bgp-agent-${map% *} permit 10 / set metric ${map#* }"
  done
}

expected_link() { # expected_link VNI NAME KIND MASTER DETAIL
  local mtu= # that of a VRF is no limit, that of a port that OVS made is OVS's
  [[ ! $3 =~ ^(bridge|vxlan|dummy|veth)$ ]] || mtu=1500
  echo "link $2 $3 of $1 in $4 up none${mtu:+ mtu=$mtu}${5:+ $5}"
}

routing() { echo "settings $1 forwarding=1 rp_filter=0"; }

expected_tenant() { # VNI [AS]
  local vrf=vrf-$1
  as[$1]=${2:-$AS}
  expected_link "$1" "$vrf" vrf - "table=$1"
  expected_link "$1" "br-$1" bridge "$vrf" "stp=0 pvid=0"
  expected_link "$1" "vxlan-$1" vxlan "br-$1" "id=$1 local=$VTEP port=4789 learning=false"
  by_routes || expected_link "$1" "lo-$1" dummy "$vrf"
  routing "$vrf"
  routing "br-$1"
  echo "route $1 unreachable default proto 182 metric 4278198272"
  echo "route $1 unreachable default dev lo proto 182 metric 4278198272 pref medium"
  echo "frr vrf $vrf / vni $1"
  local instance="router bgp ${as[$1]} vrf $vrf"
  echo "frr $instance / bgp router-id $VTEP"
  local source=connected
  ! by_routes || source="kernel route-map bgp-agent-routes"
  for family in ipv4 ipv6; do
    echo "frr $instance / address-family $family unicast / redistribute $source"
    echo "frr $instance / address-family l2vpn evpn / advertise $family unicast"
  done
}

expected_tie() { # VNI BRIDGE LOCALNET DEVICE PORT [TAG]
  bridge[$4]=$2 port[$4]=$5 tag[$4]=${6:-} patch[$4]="patch-$3-to-br-int"
  read -r "mac_of[$4]" <"/sys/class/net/$4/address" || true # it may not be there yet
  routing "$4"
  echo "port $5 on $2"
  echo "mark $5 ${6:-[]} {bgp-agent=\"$1\"}"
  if [ -n "${6:-}" ]; then
    expected_link "$1" "$4" "$(internal_kind)" "vrf-$1"
  else
    expected_link "$1" "$4" veth "vrf-$1" "peer=$5"
    expected_link "$1" "$5" veth - "peer=$4"
  fi
  echo "flow $2 priority=900,in_port=${ofport[$5]:-none} actions=drop"
}

expected_gateway() { # VNI DEVICE MAC ADDRESS...
  local vni=$1 device=$2 mac=$3 push= scope="scope link"
  local from=${ofport[${patch[$device]}]:-none} answer=${mac_of[$device]:-none}
  shift 3
  ! by_routes || scope+=" metric 1024"
  for address; do
    way[$vni,$address]="dev $device"
    expected_address "$vni" "$address"
    echo "neighbour $address dev $device lladdr $mac PERMANENT"
    case $address in
      *:*) echo "route $vni $address dev $device proto 182 metric 1024 pref medium" ;;
      *) echo "route $vni $address dev $device proto 182 $scope" ;;
    esac
  done
  [ -z "${tag[$device]}" ] || push="push_vlan:0x8100,set_field:$((4096 + ${tag[$device]}))->vlan_vid,"
  echo "flow ${bridge[$device]} priority=1000,in_port=${ofport[${port[$device]}]:-none},dl_dst=$mac actions=${push}output:$from"
  for address; do
    expected_redirect "$device" "$address" "$mac"
    [[ $address = *:* ]] ||
      echo "flow ${bridge[$device]} priority=1002,arp,in_port=$from,dl_src=$mac,arp_tpa=$address,arp_op=1 actions=NORMAL"
  done
  echo "flow ${bridge[$device]} priority=1001,arp,in_port=$from,dl_src=$mac,arp_op=1" \
    "actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],set_field:$answer->eth_src,set_field:2->arp_op,move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],set_field:$answer->arp_sha,move:NXM_OF_ARP_TPA[]->NXM_NX_REG0[],move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],move:NXM_NX_REG0[]->NXM_OF_ARP_SPA[],IN_PORT"
  echo "flow ${bridge[$device]} priority=1001,icmp6,in_port=$from,dl_src=$mac,icmp_type=135,icmp_code=0" \
    "actions=set_field:$answer->eth_dst,controller(id=998)"
  echo "flow ${bridge[$device]} priority=899,in_port=$from,dl_src=$mac,dl_dst=$answer actions=drop"
}

expected_subnet() { # VNI DEVICE PREFIX VIA MAC...
  local vni=$1 device=$2 prefix=$3 via=$4
  shift 4
  case $prefix in # of lengths 24 and 64: what all addresses in it begin with
    *:*) way[$vni,${prefix%:*/*}*]="via $via dev $device" ;;
    *) way[$vni,${prefix%.*}.*]="via $via dev $device" ;;
  esac
  case $prefix in
    *:*) echo "route $vni $prefix via $via dev $device proto 182 metric 1024 pref medium" ;;
    *) echo "route $vni $prefix via $via dev $device proto 182" ;;
  esac
  for mac; do expected_redirect "$device" "$prefix" "$mac"; done
}

expected_redirect() { # DEVICE PREFIX MAC
  local source=ip match= pop= from=${ofport[${patch[$1]}]:-none}
  [ -z "${tag[$1]}" ] || match=vlan_tci=0x1000/0x1000, pop=pop_vlan,
  case $2 in
    *:*) source=ipv6 match+=dl_src=$3,ipv6_src=$2 ;;
    *) match+=dl_src=$3,nw_src=$2 ;;
  esac
  echo "flow ${bridge[$1]} priority=1000,$source,in_port=$from,$match" \
    "actions=${pop}set_field:${mac_of[$1]:-none}->eth_dst,output:${ofport[${port[$1]}]:-none}"
}

expected_vm() { # VNI ADDRESS...
  local vni=$1
  shift
  for address; do expected_address "$vni" "$address"; done
}

expected_address() { # VNI ADDRESS: on the dummy or as a route, and at the leaf
  local length=32
  [[ $2 != *:* ]] || length=128
  if by_routes; then expected_route "$1" "$2"; else echo "address $2/$length lo-$1"; fi
  echo "leaf $2/$length $1 ${as[$1]}:$1"
}

expected_route() { # VNI ADDRESS: by the way of the gateway with that address, else of the subnet that holds it
  local at lead=${way[$1,$2]:-}
  for at in "${!way[@]}"; do
    # shellcheck disable=SC2053  # it is a pattern
    [ -n "$lead" ] || [[ $1,$2 != $at ]] || lead=${way[$at]}
  done
  local scope= onlink= preference=
  [[ $lead != via* ]] || onlink=" onlink"
  [[ $2 = *:* || $lead = via* ]] || scope=" scope link"
  [[ $2 != *:* ]] || preference=" pref medium"
  echo "route $1 $2 $lead proto 182$scope metric 182$onlink$preference"
}

internal_kind() { [ "$DP" = system ] && echo openvswitch || echo tun; }

# --- what is there

seen_state() { # the three ask different servers, so they do it at the same time
  seen_in_frr >/run/lab/seen.frr & local frr=$!
  seen_in_ovs >/run/lab/seen.ovs & local ovs=$!
  seen_in_kernel
  wait $frr $ovs
  cat /run/lab/seen.frr /run/lab/seen.ovs
}

seen_in_kernel() {
  local links link forwarding rp_filter vni
  links=$(ip -d -j link show | jq -r '.[] | select(.ifalias // "" | startswith("bgp-agent ")) | .linkinfo as $info | $info.info_data as $data
    | "link \(.ifname) \($info.info_kind) of \(.ifalias[10:]) in \(if .master == "ovs-system" then "-" else .master // "-" end)"
      + " \(if .flags | index("UP") then "up" else "down" end) \(.inet6_addr_gen_mode) "
      + (if $info.info_kind | IN("bridge", "vxlan", "dummy", "veth") then "mtu=\(.mtu) " else "" end)
      + ({ vrf: "table=\($data.table)", bridge: "stp=\($data.stp_state) pvid=\($data.vlan_default_pvid)", veth: "peer=\(.link)",
           vxlan: "id=\($data.id) local=\($data.local) port=\($data.port) learning=\($data.learning)" }[$info.info_kind] // "")')
  echo "$links"
  links=$(awk '{ print $2 }' <<<"$links")
  for link in $links; do
    case $link in vrf-* | br-* | veth-vrf-* | vv-* | vlan-* | vl-*) ;; *) continue ;; esac
    read -r forwarding <"/proc/sys/net/ipv4/conf/$link/forwarding"
    read -r rp_filter <"/proc/sys/net/ipv4/conf/$link/rp_filter"
    echo "settings $link forwarding=$forwarding rp_filter=$rp_filter"
  done
  ip -o address show | awk -v links="$links" '
    BEGIN { split(links, names, "\n"); for (i in names) ours[names[i]] }
    $2 in ours { print "address", $4 ($4 ~ /\// ? "" : $3 == "inet" ? "/32" : "/128"), $2 }'
  for link in $links; do
    [[ $link == vrf-* ]] || continue
    vni=${link#vrf-}
    # zebra's own, and the kernel's multicast route of every IPv6 device, are not the agent's.
    { ip route show table "$vni"; ip -6 route show table "$vni"; } | grep -vE ' proto bgp |^multicast ff00::/8 ' | sed "s/^/route $vni /"
  done
  # Some need no device, so that they outlive their VRF.
  ip route show table all proto 182 | awk -v links="$links" '
    BEGIN { split(links, names, "\n"); for (i in names) ours[names[i]] }
    { for (i = 1; i < NF; i++) if ($i == "table" && !("vrf-" $(i + 1) in ours)) print "left", $0 }'
  ip neigh show nud permanent | sed -n '/ PERMANENT/s/^/neighbour /p'
}

seen_in_ovs() {
  local bridge
  ovs-vsctl -f table --no-headings --columns=name,tag,external_ids list port | grep bgp-agent= | sed 's/^/mark /'
  for bridge in $(ovs-vsctl list-br | grep -vxE 'br-int|br-op'); do
    ovs-vsctl list-ports "$bridge" | grep -v ^patch- | sed "s/\$/ on $bridge/; s/^/port /"
    ovs-ofctl -O OpenFlow13 --no-stats dump-flows "$bridge" 'cookie=0x3e6/-1' | sed -n "s/^ *cookie=0x3e6, table=0, */flow $bridge /p; s/^ *cookie=0x3e6, *priority/flow $bridge priority/p"
  done
}

seen_in_frr() {
  frr_config_now | awk '/^(vrf|router) .*vrf-[0-9]+$|^route-map bgp-agent-/ { top = $0; next } /^exit|^route-map / { top = "" }
    top == "" || $1 == "!" || /exit-/ { family = ""; next }
    $1 == "address-family" { family = $0 " /"; next }
    { $1 = $1; line = "frr " top " / " family " " $0; gsub(/ +/, " ", line); print line }'
  type5_routes | sed 's/^/leaf /'
}

marked_links() { ip -j link show | jq -r '.[] | select(.ifalias // "" | startswith("bgp-agent ")) | .ifname'; }
