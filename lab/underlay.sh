# shellcheck shell=bash
# The BGP mode's part of the lab: a leaf that knows plain BGP alone, a host behind it, VMs on the provider network, and what
# the leaf must have. DRIVER and OPTIONS are what the agent is told in [DEFAULT].
#
#   vm-NAME ── br-int ── br-ex ─ the kernel's routes ─ fab ── leaf ── ext

EXT4=10.98.0.5 EXT6=2001:db8:98::5

plain_site() { # plain_site [VNI...]: the leaf, the host behind it, and this node; with VNIs the fabric speaks EVPN, too
  export DRIVER=${DRIVER:-ovn_bgp_driver} OPTIONS=${OPTIONS:-} OUR_COOKIES=0x3e7 VNIS=$*
  [ $# = 0 ] || OUR_COOKIES='0x3e6|0x3e7'
  mkdir -p $LOG /run/openvswitch /run/ovn /run/netns /run/lab/agent
  chmod 1777 $LOG
  make_leaf
  ip netns add ext
  make_far_host ext $EXT4 $EXT6
  for vni; do make_leaf_tenant "$vni"; done
  [ $# = 0 ] || leaf_frr_config "$@"
  plain_leaf_config
  start_frr leaf &
  start_central &
  make_plain_node &
  wait
  plant_foreign
  start_controller
  make_provider_network
}

link6() { echo "2001:db8:64:${VTEP##*.}::$1"; } # of this node's link to the leaf: the node's end is 1, the leaf's 2

make_plain_node() { # what make_node does, and an IPv6 link to the leaf, over which IPv6's routes are told
  link_to_leaf
  ip address add "$(link6 1)/64" dev fab nodad
  ip -n leaf address add "$(link6 2)/64" dev "fab-$NODE" nodad
  start_vswitch
  [ -z "$VNIS" ] || node_frr_config
  plain_node_config
  start_frr
}

plain_leaf_config() {
  mkdir -p /etc/frr/leaf
  cp /etc/frr/vtysh.conf /etc/frr/leaf/
  echo "log file $LOG/leaf-zebra.log" >>/etc/frr/leaf/zebra.conf
  cat >>/etc/frr/leaf/bgpd.conf <<CONFIG
log file $LOG/leaf-bgpd.log
router bgp $AS
 bgp router-id $LEAF
 neighbor nodes peer-group
 neighbor nodes remote-as $AS
 neighbor nodes update-source $LEAF
 neighbor nodes6 peer-group
 neighbor nodes6 remote-as $AS
 bgp listen range 100.65.0.0/24 peer-group nodes
 bgp listen range 2001:db8:64::/48 peer-group nodes6
 address-family ipv4 unicast
  redistribute connected
  neighbor nodes route-reflector-client
  no neighbor nodes6 activate
 exit-address-family
 address-family ipv6 unicast
  redistribute connected
  neighbor nodes6 activate
  neighbor nodes6 route-reflector-client
 exit-address-family
CONFIG
}

plain_node_config() { # the operator's FRR, without a word of what the agent adds
  echo "log file $LOG/zebra.log" >>/etc/frr/zebra.conf
  cat >>/etc/frr/bgpd.conf <<CONFIG
log file $LOG/bgpd.log
router bgp $AS
 bgp router-id $VTEP
 neighbor $LEAF remote-as $AS
 neighbor $LEAF update-source $VTEP
 neighbor $LEAF timers connect 1
 neighbor $(link6 2) remote-as $AS
 neighbor $(link6 2) timers connect 1
 address-family ipv4 unicast
  no neighbor $(link6 2) activate
 exit-address-family
 address-family ipv6 unicast
  neighbor $(link6 2) activate
 exit-address-family
CONFIG
}

join_plain() { # join_plain NODE...: more nodes of this cloud
  local node
  for node; do
    MAKE=make_plain_node start_node "$node"
    on "$node" start_controller
  done
}

# VM NAME: on the provider network, its last byte being N: 172.24.4.N and 2001:db8:ffff::N.
vm4() { echo "$PROVIDER4.$1"; }
vm6() { echo "$PROVIDER6::$1"; }
vm_mac() { printf 'fa:16:3e:01:00:%02x' "$1"; }

make_provider_port() { # make_provider_port N: a VM's port, bound nowhere yet
  ovn-nbctl lsp-add "$PROVIDER" "vm-$1" -- lsp-set-addresses "vm-$1" "$(vm_mac "$1") $(vm4 "$1") $(vm6 "$1")"
}

run_vm() { # run_vm N [MAC ADDRESS4/LENGTH ADDRESS6/LENGTH ROUTER4 ROUTER6]: on this node, bound to its port
  local mac=${2:-$(vm_mac "$1")} four=${3:-$(vm4 "$1")/24} six=${4:-$(vm6 "$1")/64}
  ip netns add "vm-$1"
  ip link add "vm-$1" up type veth peer name eth0 netns "vm-$1"
  ip -n "vm-$1" -b - <<LINKS
link set lo up
link set eth0 address $mac up
address add $four dev eth0
address add $six dev eth0 nodad
route add default via ${5:-$NEXTHOP4}
route add default via ${6:-$NEXTHOP6}
LINKS
  ovs-vsctl --may-exist add-port br-int "vm-$1" -- set interface "vm-$1" external_ids:iface-id="vm-$1"
}

provider_vm() { # provider_vm N: all of it, with one VM, but for the agent
  plain_site
  make_provider_port "$1"
  run_vm "$1"
  ovn-nbctl --timeout=60 --wait=hv sync
}

reach() { # reach N: both ways, both families
  expect_ping ext "$(vm4 "$1")"
  expect_ping ext "$(vm6 "$1")"
  expect_ping "vm-$1" $EXT4
  expect_ping "vm-$1" $EXT6
}

stop_vm() { # stop_vm N
  ovs-vsctl --if-exists del-port br-int "vm-$1"
  ip netns del "vm-$1"
}

# The routing table that the agent has made for br-ex.
bridge_table() { agent status --json | jq '.underlay.networks[0].table'; }
frr_has() { [[ $(frr_config_now) == *"$1"* ]]; }

# --- what the leaf has

# A line per route that a node told: PREFIX NODE.
leaf_table() {
  for family in ipv4 ipv6; do
    vtysh -N leaf -c "show bgp $family unicast json" 2>/dev/null | jq -r '.routes | to_entries[] | .key as $prefix
      | .value[] | select(.peerId != "(unspec)") | .nexthops[] | select(.scope != "link-local") | "\($prefix) \(.ip)"'
  done | sed -E 's/ (100\.65\.0\.|2001:db8:64:)([0-9]+)(::1)?$/ gw\2/' | sort
}

leaf_has() { # leaf_has LINE...: exactly these; a line is `PREFIX NODE`, or the number of a provider VM and its node
  local line expected=()
  for line; do
    case $line in
      *[./:]*) expected+=("$line") ;;
      "") ;;
      *) expected+=("$(vm4 "${line% *}")/32 ${line#* }" "$(vm6 "${line% *}")/128 ${line#* }") ;;
    esac
  done
  [ ${#expected[@]} != 0 ] || leaf_hears ipv4Unicast || fail "the leaf does not hear $NODE" || return
  same "the leaf's BGP table" "$(printf '%s\n' "${expected[@]}" | sort)" "$(leaf_table)"
}

# The same within a minute; and an agent that began anew would change nothing.
plain_exact() { # plain_exact LINE...
  settled
  within 60 leaf_has "$@"
  within 20 nothing_planned
  say "leaf: $*"
}
