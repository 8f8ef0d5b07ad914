# The package under systemd as process 1, over a copy of this machine's root file system, with real peers: by its unit, with
# all of the hardening, a tenant stands; one that hangs is started anew and takes over what stands; stopped, forwarding goes on.
# packaging/test-systemd has what needs no peers.
# long: a part of make test-full, not of make test
# limit: 1200 s
. "$lab/systemd.sh"
agent() { inside bgp-agent "$@"; }
says_how_it_is() { of_unit StatusText | grep -F '1 tenants, 4 prefixes; all stands'; }

topology 1001
annotate 1001
root=/run/sd/root
mkdir /run/sd
mount -t tmpfs tmpfs /run/sd
mkdir /run/sd/upper /run/sd/work $root
mount -t overlay overlay -o lowerdir=/,upperdir=/run/sd/upper,workdir=/run/sd/work $root
mount -t tmpfs tmpfs $root/run
for dir in openvswitch ovn frr work; do mkdir $root/run/$dir && mount --rbind /run/$dir $root/run/$dir; done
boot_systemd $root

step "started, a tenant stands, is seen, and answers"
installed /run/work/bgp-agent.deb
inside sed -i "s|^#* *evpn_local_ip *=.*|evpn_local_ip = $VTEP|; s|^#* *ovn_sb_connection *=.*|ovn_sb_connection = $OVN_SB_DB|" \
  /etc/bgp-agent/bgp-agent.conf
started
within 180 tenant_stands 1001
settled
expect_ping ext-1001 $VM4
expect_ping vm-1001 $FAR6
exit_status status 0 agent status --hops
says status 'everything wished stands' '^zebra +up' '^bgpd +up'
exit_status explain 0 agent explain $VM4 --vni 1001
within 60 says_how_it_is
inside stat -c '%U:%G %a %n' /run/bgp-agent/control.sock /var/lib/bgp-agent/ledger.json

step "one that hangs is started anew, and takes over what stands"
start_stream ext-1001 $VM4
started_anew
settled 120
tenant_stands 1001
stream_lost_nothing

step "stopped, forwarding goes on"
stopped
expect_ping ext-1001 $VM4
tenant_stands 1001
