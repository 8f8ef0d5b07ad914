# shellcheck shell=bash
# The fabric: a leaf with FRR of its own, which every node has a link to and which reflects the nodes' routes; behind it
# each tenant's far host. And FRR's configuration and daemons, the leaf's and the nodes'.

AS=64999
LEAF=100.65.0.9
FAR4=10.99.0.5 FAR6=2001:db8:99::5      # every tenant's far host has these: tenants may overlap

forward() { # makes this network namespace a router
  sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
}

make_leaf() {
  ip netns add leaf
  ip -n leaf -b - <<LINKS
link set lo up
address add $LEAF/32 dev lo
LINKS
  ip netns exec leaf "$BASH" -c "$(declare -f forward); forward"
}

link_to_leaf() { # this node's VTEP address, its link to the leaf, and routes both ways
  local net=100.64.${VTEP##*.}.
  ip -b - <<LINKS
address add $VTEP/32 dev lo
link add fab type veth peer name fab-$NODE netns leaf
address add ${net}1/30 dev fab
link set fab up
route add ${LEAF%.*}.0/24 via ${net}2 src $VTEP
LINKS
  ip -n leaf -b - <<LINKS
address add ${net}2/30 dev fab-$NODE
link set fab-$NODE up
route add $VTEP/32 via ${net}1
LINKS
  forward
}

make_leaf_tenant() { # make_leaf_tenant VNI: its VRF on the leaf, and its far host
  ip netns add "ext-$1"
  ip -n leaf -b - <<LINKS
link add vrf-$1 up type vrf table $1
link add br-$1 type bridge stp_state 0
link set br-$1 master vrf-$1 addrgenmode none up
link add vxlan-$1 type vxlan id $1 dstport 4789 local $LEAF nolearning
link set vxlan-$1 master br-$1 up
LINKS
  make_far_host "ext-$1" $FAR4 $FAR6 "vrf-$1"
}

make_far_host() { # make_far_host NAME ADDRESS4 ADDRESS6 [VRF]: behind the leaf, which is 1 in its networks; its namespace is there
  ip -n leaf -b - <<LINKS
link add $1 type veth peer name eth0 netns $1
link set $1 ${4:+master $4} up
address add ${2%.*}.1/24 dev $1
address add ${3%::*}::1/64 dev $1 nodad
LINKS
  ip -n "$1" -b - <<LINKS
link set lo up
link set eth0 up
address add $2/24 dev eth0
address add $3/64 dev eth0 nodad
route add default via ${2%.*}.1
route add default via ${3%::*}::1
LINKS
}

# The operator's FRR on a node: what it has before any agent, and a VRF of the operator's own. The files lie where each
# daemon looks for its own: from FRR 10 on mgmtd owns VRF blocks, and reads zebra's file for that.
node_frr_config() {
  echo "log file $LOG/zebra.log
vrf vrf-mgmt
 vni 77
exit-vrf" >/etc/frr/zebra.conf
  cat >/etc/frr/bgpd.conf <<CONFIG
log file $LOG/bgpd.log
router bgp $AS
 bgp router-id $VTEP
 neighbor $LEAF remote-as $AS
 neighbor $LEAF update-source $VTEP
 neighbor $LEAF timers connect 1
 address-family l2vpn evpn
  neighbor $LEAF activate
  advertise-all-vni
 exit-address-family
router bgp $AS vrf vrf-mgmt
 address-family ipv4 unicast
  redistribute connected
 exit-address-family
CONFIG
}

leaf_frr_config() { # leaf_frr_config VNI...: it knows the tenants, and takes any node for a neighbour
  mkdir /etc/frr/leaf
  cp /etc/frr/vtysh.conf /etc/frr/leaf/
  echo "log file $LOG/leaf-zebra.log" >/etc/frr/leaf/zebra.conf
  cat >/etc/frr/leaf/bgpd.conf <<CONFIG
log file $LOG/leaf-bgpd.log
router bgp $AS
 bgp router-id $LEAF
 neighbor nodes peer-group
 neighbor nodes remote-as $AS
 neighbor nodes update-source $LEAF
 bgp listen range 100.65.0.0/24 peer-group nodes
 address-family l2vpn evpn
  neighbor nodes activate
  neighbor nodes route-reflector-client
  advertise-all-vni
 exit-address-family
CONFIG
  for vni; do
    printf 'vrf vrf-%s\n vni %s\nexit-vrf\n' "$vni" "$vni" >>/etc/frr/leaf/zebra.conf
    cat >>/etc/frr/leaf/bgpd.conf <<CONFIG
router bgp $AS vrf vrf-$vni
 address-family ipv4 unicast
  redistribute connected
 exit-address-family
 address-family ipv6 unicast
  redistribute connected
 exit-address-family
 address-family l2vpn evpn
  advertise ipv4 unicast
  advertise ipv6 unicast
 exit-address-family
CONFIG
  done
}

# In the order in which they are started.
frr_daemons() { for daemon in mgmtd zebra bgpd; do [ ! -x /usr/lib/frr/$daemon ] || echo $daemon; done; }

start_frr() { # start_frr [leaf]: this node's FRR or the leaf's
  local daemon
  chown -R frr:frr /etc/frr
  install -d -o frr -g frr /run/frr ${1:+/run/frr/leaf}
  for daemon in $(frr_daemons); do start_frr_daemon "$daemon" "$@"; done
}

# Without the TCP port of its vty, which nobody needs. mgmtd reads zebra's file from /etc/frr whatever its -N says, so the
# leaf's daemons have an /etc/frr of their own, with all of it once more in the folder that the others look in.
start_frr_daemon() { # start_frr_daemon DAEMON [leaf]: this node's zebra with ZEBRA_OPTIONS
  local options=
  [ "$*" != zebra ] || options=${ZEBRA_OPTIONS:-}
  if [ $# = 1 ]; then
    # shellcheck disable=SC2086  # the options are words
    "/usr/lib/frr/$1" -d -P 0 $options
    return
  fi
  [ -e /etc/frr/leaf/leaf ] || ln -s . /etc/frr/leaf/leaf
  ip netns exec leaf "$BASH" -c 'mount --bind /etc/frr/leaf /etc/frr && exec "/usr/lib/frr/$0" -d -N leaf -P 0' "$1"
}

stop_frr() {
  local daemon
  for daemon in $(frr_daemons | tac); do stop_daemon "/run/frr/$daemon.pid"; done
}

stop_daemon() { # stop_daemon PIDFILE [SIGNAL]: ends it, and waits until it has ended
  local pid
  read -r pid <"$1" && kill "-${2:-TERM}" "$pid" || return
  while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
}
