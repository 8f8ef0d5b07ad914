# The annotation goes, then the gateway moves to another chassis in one update: each time everything of the tenant goes
# from this node, what attracts traffic before any device. When the leaf lets the routes go is BGP's pace, not the agent's:
# it is shown, beside the times of what it follows from.

watch_removal() { # from here on: the node's addresses and links, and the leaf's routes, with times
  ip -ts monitor link address >/run/lab/log/removal-gw &
  WATCHERS=$!
  ip -n leaf -ts monitor route >/run/lab/log/removal-leaf &
  WATCHERS+=" $!"
  within 10 they_listen
}

they_listen() { # what is only there for them has been seen
  ip link add probe type dummy
  ip link del probe
  ip -n leaf route add blackhole 198.51.100.200
  ip -n leaf route del blackhole 198.51.100.200
  grep -q probe /run/lab/log/removal-gw && grep -q 198.51.100.200 /run/lab/log/removal-leaf
}

time_of() { # time_of first|last FILE REGEX: of the deletions that match
  local end=("head" -n 1)
  [ "$1" = first ] || end=("tail" -n 1)
  grep -E "Deleted.*$3" "$2" | "${end[@]}" | grep -oE '^\[[^]]*\]' || fail "no deletion of $3 in $2"
}

withdrawn_before_devices() {
  # shellcheck disable=SC2086  # a list of process ids
  kill $WATCHERS
  local address route device
  address=$(time_of last /run/lab/log/removal-gw 'inet.*lo-1001')
  route=$(time_of last /run/lab/log/removal-leaf "$VM4 |$VM6 ")
  device=$(time_of first /run/lab/log/removal-gw '(vrf|br|vxlan|lo|veth-vrf|veth-ovs)-1001[:@]')
  say "addresses gone $address, routes at the leaf gone $route, first device gone $device"
  [[ ! $address > $device ]] || fail "a device went before the addresses"
}

standing_tenant
watch_removal
remove_annotation 1001
within 60 nothing_made
within 20 gone_from_leaf
withdrawn_before_devices

annotate 1001
within 120 tenant_stands 1001
settled
expect_ping ext-1001 $VM4
add_chassis gw2
watch_removal
move_gateway 1001 gw2
within 60 nothing_made
within 20 gone_from_leaf
withdrawn_before_devices

# The VRF's device went before, while no agent ran: bgpd then clings to the L3VNI until there is a device again.
move_gateway 1001 gw1
within 120 tenant_stands 1001
settled
stop_agent
ip link del vrf-1001
move_gateway 1001 gw2
start_agent
within 60 nothing_made
settled
