# shellcheck shell=bash
# The cloud: OVN's central databases, the provider network, and per tenant a router, a tenant network and a VM, named as
# Neutron would.

# For what is made from here on. Every tenant's network is a /24 and a /64 with its VM at 10: tenants may overlap. On the
# provider network nobody is at the routers' next hop.
use_network() { NET4=$1 NET6=$2 VM4=$1.10 VM6=$2::10; }
use_provider() { PROVIDER4=$1 PROVIDER6=$2 NEXTHOP4=$1.1 NEXTHOP6=$2::fffe; }
use_network 20.0.0 2001:db8:1
use_provider 172.24.4 2001:db8:ffff

# Names of tenant V. The first is the one of the blog's example.
gateway_port() { printf '5bc97046-6483-4e5a-98db-0e616acfac%02d' $(($1 - 994)); }
subnet_port() { printf '64e99514-6e13-43c9-a11f-7861bf6f75a%d' $(($1 - 997)); }
vm_port() { printf '77777777-7777-7777-7777-77777777%d' "$1"; }
router() { printf 'neutron-33333333-3333-3333-3333-33333333%d' "$1"; }
network() { printf 'neutron-11111111-1111-1111-1111-11111111%d' "$1"; }
PROVIDER=neutron-22222222-2222-2222-2222-222222222222
gateway_mac() { printf 'fa:16:3e:7f:59:%02x' $(($1 - 1001 + 0x7f)); }
gateway4() { echo $PROVIDER4.$(($1 - 855)); }
gateway6() { echo "$PROVIDER6::$(($1 - 1000))"; }

start_database() { # start_database nb|sb, from its file if there is one
  local db=/run/lab/$1.db
  [ -e "$db" ] || ovsdb-tool create "$db" "/usr/share/ovn/ovn-$1.ovsschema"
  ovsdb-server "$db" --remote="punix:/run/ovn/ovn$1_db.sock" --unixctl="/run/ovn/$1.ctl" --pidfile="/run/ovn/$1.pid" \
    --detach --log-file="$LOG/$1.log" -vconsole:off
}

start_central() {
  start_database nb &
  start_database sb &
  wait
  start_northd
  ovn-nbctl init
}

start_northd() { ovn-northd --pidfile --detach --log-file="$LOG/northd.log" -vconsole:off; }

make_provider_network() { # make_provider_network [LOCALNET PHYSNET [TAG]]
  local localnet=${1:-provnet-1}
  # shellcheck disable=SC2086  # the tag's part is words
  ovn-nbctl --may-exist ls-add "$PROVIDER" -- lsp-add "$PROVIDER" "$localnet" -- lsp-set-type "$localnet" localnet \
    -- lsp-set-addresses "$localnet" unknown -- lsp-set-options "$localnet" network_name="${2:-physnet1}" \
    ${3:+-- set logical_switch_port $localnet tag=$3}
}

make_logical_tenant() { # make_logical_tenant VNI: router, tenant network and VM port in OVN; no annotation yet
  local gateway subnet net vm router
  gateway=$(gateway_port "$1") subnet=$(subnet_port "$1") net=$(network "$1") vm=$(vm_port "$1") router=$(router "$1")
  ovn-nbctl lr-add "$router" -- ls-add "$net" \
    -- lrp-add "$router" "lrp-$gateway" "$(gateway_mac "$1")" "$(gateway4 "$1")/24" "$(gateway6 "$1")/64" \
    -- lrp-add "$router" "lrp-$subnet" fa:16:3e:8d:c4:51 "$NET4.1/24" "$NET6::1/64" \
    -- lrp-set-gateway-chassis "lrp-$gateway" "$NODE" 10 \
    -- lr-route-add "$router" 0.0.0.0/0 $NEXTHOP4 -- lr-route-add "$router" ::/0 $NEXTHOP6 \
    -- lsp-add "$PROVIDER" "$gateway" -- lsp-set-type "$gateway" router -- lsp-set-addresses "$gateway" router \
    -- lsp-set-options "$gateway" router-port="lrp-$gateway" \
    -- set logical_switch_port "$gateway" external_ids:neutron\\:device_owner=network:router_gateway \
    -- lsp-add "$net" "$subnet" -- lsp-set-type "$subnet" router -- lsp-set-addresses "$subnet" router \
    -- lsp-set-options "$subnet" router-port="lrp-$subnet" \
    -- set logical_switch_port "$subnet" external_ids:neutron\\:device_owner=network:router_interface \
    -- lsp-add "$net" "$vm" -- lsp-set-addresses "$vm" "fa:16:3e:00:00:10 $VM4 $VM6"
}

make_vm() { # make_vm VNI: on this node, a network namespace for a VM, bound to its logical port
  ip netns add "vm-$1"
  ip link add "vm-$1" up type veth peer name eth0 netns "vm-$1"
  ip -n "vm-$1" -b - <<LINKS
link set lo up
link set eth0 address fa:16:3e:00:00:10 up
address add $VM4/24 dev eth0
address add $VM6/64 dev eth0 nodad
route add default via $NET4.1
route add default via $NET6::1
LINKS
  bind_vm "$1"
}

bind_vm() { ovs-vsctl --may-exist add-port br-int "vm-$1" -- set interface "vm-$1" external_ids:iface-id="$(vm_port "$1")"; }
unbind_vm() { ovs-vsctl --if-exists del-port br-int "vm-$1"; }

# The blog's last section, to the letter.
annotate() { # annotate VNI [VALUE]
  ovn-nbctl set logical_switch_port "$(gateway_port "$1")" external_ids:"neutron_bgpvpn\:vni"="${2:-$1}" \
    -- set logical_switch_port "$(subnet_port "$1")" external_ids:"neutron_bgpvpn\:vni"="${2:-$1}"
}

annotate_as() { # annotate_as VNI AS
  ovn-nbctl set logical_switch_port "$(gateway_port "$1")" external_ids:"neutron_bgpvpn\:as"="$2" \
    -- set logical_switch_port "$(subnet_port "$1")" external_ids:"neutron_bgpvpn\:as"="$2"
}

remove_annotation() { # remove_annotation VNI [KEY]
  ovn-nbctl remove logical_switch_port "$(gateway_port "$1")" external_ids "neutron_bgpvpn\:${2:-vni}" \
    -- remove logical_switch_port "$(subnet_port "$1")" external_ids "neutron_bgpvpn\:${2:-vni}"
}

add_chassis() { # add_chassis NAME: another gateway node, as far as the Southbound database tells
  ovn-sbctl chassis-add "$1" geneve 100.65.0.2
}

# What ovn-controller of the chassis that takes over writes: A to B in one update, never empty in between.
move_gateway() { # move_gateway VNI CHASSIS
  local lrp uuid
  lrp=lrp-$(gateway_port "$1")
  uuid=$(ovn-sbctl --bare --columns=_uuid find chassis name="$2")
  # This node's ovn-controller must not have the word in between: once it wakes, the gateway is another's.
  kill -STOP "$(cat /run/ovn/ovn-controller.pid)"
  ovn-nbctl --wait=sb clear logical_router_port "$lrp" gateway_chassis -- lrp-set-gateway-chassis "$lrp" "$2" 10
  ovn-sbctl set port_binding "cr-$lrp" chassis="$uuid"
  kill -CONT "$(cat /run/ovn/ovn-controller.pid)"
}

prefer_gateway() { # prefer_gateway VNI NODE...: the nodes that may hold it, the best first; OVN moves it by itself
  local lrp node priority=100 commands=()
  lrp=lrp-$(gateway_port "$1")
  shift
  for node; do commands+=(-- lrp-set-gateway-chassis "$lrp" "$node" $((priority -= 10))); done
  ovn-nbctl --wait=sb "${commands[@]:1}"
}
