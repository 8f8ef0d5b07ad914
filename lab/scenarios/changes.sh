# Annotations, gateways, subnets and VMs change while the tenant stands; after each step the node is exactly what the rows
# say, nothing of before is left anywhere, and the agent knows nothing more to do.
# limit: 1800 s
twin_is_bound() { [ "$(ovn-sbctl --bare --columns=chassis find port_binding logical_port=twin)" != "" ]; }

make_site 1001 1002
make_provider_network
make_tenants 1001
gateway=$(gateway_port 1001) subnet=$(subnet_port 1001) vm=$(vm_port 1001) mac=$(gateway_mac 1001) net=$(network 1001)
agent_config
start_agent
annotate 1001
exact "$(world 1001)"

step "another VNI: nothing of the old one stays"
annotate 1001 1002
exact "$(world 1001 | sed 's/1001/1002/g')"
expect_ping ext-1002 $VM4

step "an AS, on both ports; then none"
annotate_as 1001 65010
exact "$(world 1001 | sed 's/1001/1002/g; s/^tenant.*/& 65010/')"
remove_annotation 1001 as
exact "$(world 1001 | sed 's/1001/1002/g')"

step "the subnet's port names another VNI than its gateway: put aside, the gateway stands"
ovn-nbctl set logical_switch_port "$subnet" external_ids:"neutron_bgpvpn\:vni"=1001
within 60 status_says "annotated with VNI 1001, but its router.s gateway with VNI 1002"
exact "$(world 1001 | sed 's/1001/1002/g' | grep -vE '^(subnet|vm)')"

step "both are 1001 again, gateway last; then only the gateway is annotated"
ovn-nbctl set logical_switch_port "$gateway" external_ids:"neutron_bgpvpn\:vni"=1001
exact "$(world 1001)"
ovn-nbctl remove logical_switch_port "$subnet" external_ids "neutron_bgpvpn\:vni"
exact "$(world 1001 | grep -vE '^(subnet|vm)')"
annotate 1001

step "the gateway's MAC and IPv4 address change, and it gets a second one"
ovn-nbctl set logical_router_port "lrp-$gateway" mac='"fa:16:3e:7f:59:aa"' \
  networks='"172.24.4.200/24","172.24.4.201/24","2001:db8:ffff::1/64"'
changed=$(world 1001 | sed "s/$mac/fa:16:3e:7f:59:aa/; s/172.24.4.146/172.24.4.200/")
exact "$(sed '/^gateway/s/200/200 172.24.4.201/' <<<"$changed")"
expect_ping ext-1001 $VM4

step "IPv6 only: the IPv4 subnet has no way out"
ovn-nbctl set logical_router_port "lrp-$gateway" networks='"2001:db8:ffff::1/64"'
within 60 status_says "gateway cr-lrp-$gateway has no IPv4 address"
exact "$(grep -vE '^subnet.*20\.0' <<<"$changed" | sed "s/172.24.4.200 //; s/$VM4 //")"
ovn-nbctl set logical_router_port "lrp-$gateway" mac="\"$mac\"" networks='"172.24.4.146/24","2001:db8:ffff::1/64"'
exact "$(world 1001)"

step "a second prefix on the router's port, and a VM with several MACs and addresses, one of them outside"
ovn-nbctl set logical_router_port "lrp-$subnet" networks='"20.0.0.1/24","20.0.1.1/24","2001:db8:1::1/64"' \
  -- lsp-set-addresses "$vm" "fa:16:3e:00:00:10 $VM4 20.0.1.10" "fa:16:3e:00:00:11 $VM6 192.0.2.99"
within 60 status_says "192.0.2.99 is in no advertised subnet"
more="$(world 1001)
subnet 1001 veth-vrf-1001 20.0.1.0/24 172.24.4.146 $mac
vm 1001 20.0.1.10"
exact "$more"

step "allowed address pairs are not advertised, nor are ports with unknown addresses, nor unbound ones"
ovn-nbctl lsp-set-port-security "$vm" "fa:16:3e:00:00:10 $VM4 20.0.0.77" \
  -- lsp-add "$net" stranger -- lsp-set-addresses stranger unknown \
  -- lsp-add "$net" unbound -- lsp-set-addresses unbound "fa:16:3e:00:00:12 20.0.0.12" \
  -- lsp-add "$net" outside -- lsp-set-type outside external -- lsp-set-addresses outside "fa:16:3e:00:00:13 20.0.0.13"
ovn-nbctl --wait=hv sync
exact "$more"

step "an address that two ports claim stays while one of them is bound"
# ovn-nbctl refuses by itself what Neutron may well write.
ovn-nbctl lsp-add "$net" twin -- set logical_switch_port twin addresses="\"fa:16:3e:00:00:14 $VM4\""
ovs-vsctl add-port br-int twin -- set interface twin type=internal external_ids:iface-id=twin
within 60 twin_is_bound
exact "$more"
unbind_vm 1001
exact "$(world 1001 | sed "s/ $VM6//")
subnet 1001 veth-vrf-1001 20.0.1.0/24 172.24.4.146 $mac"
ovs-vsctl del-port twin
bind_vm 1001
exact "$more"

step "a second router with the same VNI, and the first one leaves"
use_network 30.0.0 2001:db8:3
make_logical_tenant 1002
annotate 1002 1001
second=$(world 1002 | sed 's/1002/1001/g' | grep -E '^(gateway|subnet)')
exact "$more
$second"
remove_annotation 1001
exact "$(world 1001 | grep -E '^(tenant|tie)')
$second"
remove_annotation 1002
exact ""
