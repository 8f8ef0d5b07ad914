# shellcheck shell=bash
# The lab's topology: a gateway node (OVN, OVS, FRR), a leaf with FRR of its own, and per tenant a VM on br-int (netns
# vm-V) and a far host behind the leaf (netns ext-V), V being the tenant's VNI; and what an operator has beside it.
#
#   vm-V ── br-int ── OVN router ── br-ex ··· the agent's part ··· vrf-V ══ VXLAN V ══ vrf-V on the leaf ── ext-V
#
# Sourced with an own network, mount and process namespace and an empty /run, so there is nothing to clean up.

lab=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
DP=${DP:-system}          # OVS datapath: system (the kernel's) or netdev (userspace)
. "$lab/fabric.sh"
. "$lab/node.sh"
. "$lab/cloud.sh"
. "$lab/underlay.sh"
be gw1

# Everything but the agent and the annotations.
topology() { # topology [VNI...]
  [ $# -gt 0 ] || set -- 1001
  make_site "$@"
  make_provider_network
  make_tenants "$@"
}

make_site() { # make_site VNI...: the leaf, with its side of the tenants, and the first node, with an empty cloud
  mkdir -p $LOG /run/openvswitch /run/ovn /run/netns /run/lab/agent
  chmod 1777 $LOG
  make_leaf
  for vni; do make_leaf_tenant "$vni"; done
  leaf_frr_config "$@"
  start_frr leaf &
  start_central &
  make_node &
  wait
  plant_foreign
  start_controller
}

make_tenants() { # make_tenants VNI...: routers, networks, and VMs on this node, once OVN has made them work
  for vni; do
    make_logical_tenant "$vni"
    make_vm "$vni"
  done
  ovn-nbctl --timeout=60 --wait=hv sync
}

# What an operator may have on a gateway node, with names and marks close to the agent's: no scenario may change it.
plant_foreign() {
  ip -b - <<LINKS
link add br-docker0 type bridge
link add br-1 type bridge
link add vxlan-x type vxlan id 77 dstport 4790 local $VTEP
link add lo-y type dummy
link add vrf-mgmt up type vrf table 500
link add lo-500 type dummy
link set lo-500 master vrf-mgmt up
address add 192.0.2.1/32 dev lo-500
route add 198.51.100.0/24 dev lo-500 table 500
LINKS
  ovs-vsctl add-br br-op -- set bridge br-op datapath_type="$DP" -- add-port br-op operator0 tag=7 \
    -- set interface operator0 type=internal -- set port operator0 external_ids:owner=operator
  plant_flows
  foreign >/run/lab/foreign
}

replant_foreign() { # after somebody has taken some of it away
  local link
  for link in br-docker0 br-1 vxlan-x lo-y lo-500 vrf-mgmt; do ip link del $link 2>/dev/null || true; done
  ovs-vsctl --if-exists del-br br-op
  plant_foreign
}

plant_flows() { # to be done again by who takes br-ex away
  ovs-ofctl add-flows br-ex - <<FLOWS
cookie=0x3e7,priority=900,ip,nw_src=192.0.2.7,actions=NORMAL
cookie=0x13e6,priority=901,ip,nw_src=192.0.2.8,actions=drop
FLOWS
}

all_foreign_stands() { # on every gateway node of the scenario
  local node
  foreign_stands
  for node in /run/node/gw*; do [ ! -e "$node/pid" ] || on "${node##*/}" foreign_stands; done
}

foreign_stands() { [ ! -e /run/lab/foreign ] || same "what is an operator's on $NODE" "$(cat /run/lab/foreign)" "$(foreign)"; }

foreign() { # all of that, as it is now
  for link in br-docker0 br-1 vxlan-x lo-y vrf-mgmt lo-500 br-op; do ip -d link show "$link" | sed -E 's/_timer +[0-9.]+//g'; done
  ip address show dev lo-500
  ip route show table 500
  ovs-vsctl --columns=name,tag,external_ids list port br-op operator0
  ovs-ofctl -O OpenFlow13 --no-stats dump-flows br-ex | grep -vE "cookie=(${OUR_COOKIES:-0x3e6})," | sort
  vtysh -c 'show running-config' 2>/dev/null | sed -n '/vrf-mgmt/,/^exit/p'
}
