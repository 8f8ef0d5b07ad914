# OVN's central is reached by ssl: alone, with certificates of ovs-pki, and the Southbound is a cluster of three. Its leader is
# killed, a follower hangs and comes back with old rows as the only server left, and the others come back: what stands
# stays through all of it, for a minute too, no ping is lost, and it is said how long the agent was blind.
# long: a part of make test-full, not of make test
# limit: 1800 s
export OVN_NB_DB=ssl:127.0.0.1:16640 OVN_SB_DB=ssl:127.0.0.1:16641,ssl:127.0.0.1:16642,ssl:127.0.0.1:16643
pki=/run/lab/pki
keys=(--private-key=$pki/lab-privkey.pem --certificate=$pki/lab-cert.pem --ca-cert=$pki/authority/switchca/cacert.pem)
export OVN_NBCTL_OPTIONS="${keys[*]}" OVN_SBCTL_OPTIONS="${keys[*]}"

# --- the topology's functions, by ssl: and with a cluster

make_certificates() {
  mkdir $pki
  local ovs_pki=(ovs-pki --dir=$pki/authority --log=$LOG/pki.log)
  (cd $pki && "${ovs_pki[@]}" init && "${ovs_pki[@]}" -u req+sign lab) >$LOG/pki.out 2>&1
}

serve() { # serve NAME PORT: the database of that name in /run/lab
  ovsdb-server "/run/lab/$1.db" --remote="pssl:$2:127.0.0.1" "${keys[@]}" --unixctl="/run/ovn/$1.ctl" \
    --pidfile="/run/ovn/$1.pid" --detach --log-file="$LOG/$1.log" -vconsole:off
}

start_member() { # start_member N: of the Southbound's cluster
  serve "sb$1" "1664$1"
  within 60 is_member "$1"
}

raft() { ovs-appctl --timeout=5 -t "/run/ovn/sb$1.ctl" cluster/status OVN_Southbound; }
is_member() { raft "$1" | grep -q '^Status: cluster member'; }
leads() { raft "$1" 2>/dev/null | grep -q '^Role: leader'; }

start_central() {
  local schema=/usr/share/ovn/ovn-sb.ovsschema raft=ssl:127.0.0.1:1665 member
  make_certificates
  ovsdb-tool create /run/lab/nb.db /usr/share/ovn/ovn-nb.ovsschema
  serve nb 16640
  ovsdb-tool create-cluster /run/lab/sb1.db $schema ${raft}1
  start_member 1
  for member in 2 3; do
    ovsdb-tool join-cluster /run/lab/sb$member.db OVN_Southbound $raft$member ${raft}1
    start_member $member
  done
  start_northd
  ovn-nbctl init
}

start_northd() { ovn-northd "${keys[@]}" --pidfile --detach --log-file="$LOG/northd.log" -vconsole:off; }
start_controller() { ovn-controller "${keys[@]}" --pidfile --detach --log-file="$LOG/controller.log" -vconsole:off; }

# --- what is done to it

leader() { # the member that leads
  for member in 1 2 3; do
    if leads $member; then echo $member; return; fi
  done
  return 1
}

agents_member() { # the member that the agent reads from
  ss -Htnp state established | sed -n "s/.*127\.0\.0\.1:1664\([123]\) .*pid=$AGENT,.*/\1/p" | grep .
}

signal() { kill "-$2" "$(cat "/run/ovn/sb$1.pid")"; } # signal MEMBER SIGNAL
others() { for member in 1 2 3; do [ $member = "$1" ] || echo $member; done; }

extra=20 # the last byte of the VM's address that was given last
give_address() { # another one, in place of the one before
  extra=$((extra + 1))
  ovn-nbctl --timeout=30 lsp-set-addresses "$(vm_port 1001)" "fa:16:3e:00:00:10 $VM4 $VM6 ${VM4%.*}.$extra"
}
leaf_has_it() { type5_is 1001 "$VM4/32" "$(gateway4 1001)/32" "$VM6/128" "$(gateway6 1001)/128" "${VM4%.*}.$extra/32"; }

timed() { # timed WHEN: how long a change now takes to the leaf, OVN's own time with it
  local begin=${EPOCHREALTIME/./}
  give_address
  within 120 leaf_has_it
  say "$1: a change is at the leaf after $(((${EPOCHREALTIME/./} - begin) / 1000)) ms"
}

trouble_begins() {
  mark=$(wc -l <$LOG/agent.log)
  say "the agent reads from member $(agents_member || echo none), $(leader || echo none) leads"
  start_stream ext-1001 $VM4
}

# From the agent's log since then, for how long at a time it was without a session: the Southbound's rows are the end.
trouble_ends() { # trouble_ends WHEN
  stream_lost_nothing
  tail -n +$((mark + 1)) $LOG/agent.log | awk -v when="$1" '
    function at(stamp) { gsub(/[-T:Z]/, " ", stamp); split(stamp, part, "."); return mktime(substr(part[1], 1, 19)) + ("0." part[2]) }
    /Southbound is away/ && !since { since = at($1) }
    /Southbound rows/ && since { dark = at($1) - since; if (dark > most) most = dark; since = 0 }
    END { printf "       %s: the agent was blind for %d ms at most\n", when, 1000 * most }'
}

topology
agent_config
sed -i "s#^ovn_sb_connection=.*#&\novn_nb_connection=$OVN_NB_DB#
  /^ovn_sb_connection/a ovn_sb_private_key=$pki/lab-privkey.pem\novn_sb_certificate=$pki/lab-cert.pem\novn_sb_ca_cert=$pki/authority/switchca/cacert.pem
  /^ovn_sb_connection/a ovn_nb_private_key=$pki/lab-privkey.pem\novn_nb_certificate=$pki/lab-cert.pem\novn_nb_ca_cert=$pki/authority/switchca/cacert.pem" /run/lab/agent.conf
start_agent
# The Northbound by ssl:, too.
agent bgpvpn associate --router "$(router 1001)" --vni 1001 --wait
within 60 tenant_stands 1001
exact "$(world 1001)"
expect_ping ext-1001 $VM4
timed "all is well"

step "the leader is killed"
trouble_begins
lost=$(leader)
signal "$lost" KILL
timed "the leader killed"
trouble_ends "the leader killed"
rm -f /run/ovn/sb"$lost".{pid,ctl}
start_member "$lost"

step "the server that the agent reads from hangs, while the cluster goes on"
hung=$(agents_member)
# A leader that hangs is a leader lost, which was tried.
if leads "$hung"; then
  ovs-appctl -t "/run/ovn/sb$hung.ctl" cluster/failure-test transfer-leadership OVN_Southbound >/dev/null 2>&1 || signal "$hung" STOP
fi
trouble_begins
signal "$hung" STOP
timed "a server hangs"
trouble_ends "a server hangs"

step "that server is the only one left, and knows less than the agent"
trouble_begins
for member in $(others "$hung"); do
  signal "$member" KILL
  rm -f /run/ovn/sb"$member".{pid,ctl}
done
signal "$hung" CONT
within 60 status_says '"southbound":\{[^}]*"reason"'
alone=$SECONDS
while ((SECONDS - alone < 60)); do leaf_has_it; done # for longer than any election takes

step "the others come back"
starts=()
for member in $(others "$hung"); do
  serve "sb$member" "1664$member" &
  starts+=($!)
done
wait "${starts[@]}"
for member in 1 2 3; do within 120 is_member $member; done
timed "all are back"
trouble_ends "one server only"
ovn-nbctl lsp-set-addresses "$(vm_port 1001)" "fa:16:3e:00:00:10 $VM4 $VM6"
exact "$(world 1001)"
