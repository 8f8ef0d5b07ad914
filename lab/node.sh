# shellcheck shell=bash
# A node: Open vSwitch, ovn-controller, and on a gateway the provider bridge. The scenario's own namespaces are the first
# one, gw1; others (gw2, gw3, compute1) have network, mount and host name of their own, and `on NODE COMMAND` runs a
# command or a function there. Node N's VTEP is 100.65.0.N, a compute node's 100.65.0.1N.

be() { # be NODE [CENTRAL]: the names by which functions know where they run; CENTRAL is the folder of OVN's databases
  NODE=$1 CENTRAL=${2:-/run/ovn} LOG=/run/lab/log
  case $1 in
    gw*) VTEP=100.65.0.${1#gw} ;;
    compute*) VTEP=100.65.0.1${1#compute} ;;
  esac
  export OVN_NB_DB=unix:$CENTRAL/ovnnb_db.sock OVN_SB_DB=unix:$CENTRAL/ovnsb_db.sock
}

start_node() { # start_node NODE [own]: a bare one in the cloud of this node, or in a cloud of its own
  local dir=/run/node/$1 central=/run/central
  mkdir -p "$dir"/{openvswitch,ovn,frr/leaf,netns,lab/log,lab/agent} /run/central
  chmod 1777 "$dir/lab/log"
  touch "$dir/netns/leaf"
  [ "${2:-}" != own ] || central=/run/ovn
  echo "DP=$DP; be $1 $central" >"$dir/lab/env"
  unshare --mount --net --uts "$BASH" -ec '
    mount --bind /run/ovn /run/central
    mount --bind /run/frr/leaf "$1/frr/leaf"
    mount --bind /run/netns/leaf "$1/netns/leaf"
    for dir in openvswitch ovn frr netns lab; do mount --rbind "$1/$dir" "/run/$dir"; done
    mount -t tmpfs tmpfs /etc/frr
    mount -t sysfs sysfs /sys
    hostname "${1##*/}"
    ip link set lo up
    touch /run/lab/up
    exec sleep infinity' - "$dir" &
  echo $! >"$dir/pid"
  within 60 [ -e "$dir/lab/up" ]
  on "$1" "${MAKE:-make_node}"
  [[ $1 != gw* ]] || on "$1" plant_foreign
}

join() { # join NODE...: more nodes for this node's cloud; they are set up side by side
  local node starts=()
  for node; do
    start_node "$node" &
    starts+=($!)
  done
  for start in "${starts[@]}"; do wait "$start"; done
  for node; do on "$node" start_controller; done
}

on() { # on NODE COMMAND [ARG...]: there; COMMAND may be a function
  local node=$1
  shift
  [ "$node" != "$NODE" ] || { "$@"; return; }
  nsenter --target "$(cat "/run/node/$node/pid")" --mount --net --uts -- "$BASH" -c '
    set -eEuo pipefail
    . "$0/topology.sh"; . "$0/checks.sh"; . /run/lab/env
    "$@"' "$lab" "$@"
}

make_node() { # what this node has before OVN's controller starts
  link_to_leaf
  start_vswitch
  [[ $NODE != gw* ]] || { node_frr_config; start_frr; }
}

start_vswitch() { # OVS with OVN's settings, and on a gateway the provider bridge
  local gateway=()
  [[ $NODE != gw* ]] || gateway=(external_ids:ovn-bridge-mappings=physnet1:br-ex external_ids:ovn-cms-options=enable-chassis-as-gw)
  [ -e /run/lab/conf.db ] || ovsdb-tool create /run/lab/conf.db /usr/share/openvswitch/vswitch.ovsschema
  start_ovsdb
  ovs-vsctl --no-wait init -- set Open_vSwitch . external_ids:system-id="$NODE" external_ids:hostname="$NODE" \
    external_ids:ovn-remote="$OVN_SB_DB" external_ids:ovn-encap-type=geneve external_ids:ovn-encap-ip="$VTEP" \
    external_ids:ovn-bridge-datapath-type="$DP" "${gateway[@]}"
  start_vswitchd
  [ ${#gateway[@]} = 0 ] || add_provider_bridge
}

start_ovsdb() { ovsdb-server /run/lab/conf.db --remote=punix:/run/openvswitch/db.sock --pidfile --detach --log-file="$LOG/ovsdb.log" -vconsole:off; }
start_vswitchd() { ovs-vswitchd --pidfile --detach --log-file="$LOG/vswitchd.log" -vconsole:off; }

add_provider_bridge() { # add_provider_bridge [NAME]
  ovs-vsctl --may-exist add-br "${1:-br-ex}" -- set bridge "${1:-br-ex}" datapath_type="$DP"
  ip link set "${1:-br-ex}" up
}

start_controller() { ovn-controller --pidfile --detach --log-file="$LOG/controller.log" -vconsole:off; }
