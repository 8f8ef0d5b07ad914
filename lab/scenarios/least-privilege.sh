# The agent as its own user: CAP_NET_ADMIN and nothing else, and the sockets of OVS, OVN and FRR by group. The whole life of
# a tenant. Without the capability, without a socket's permission, and on a full disk it runs on and says why it cannot go
# on. A second agent is refused and told the first one's pid. Without /proc it works, and says what it cannot see.
UNPRIVILEGED=65534 OVS_GROUP=6640
as_user() { # as_user CAPABILITIES COMMAND...
  local caps=$1 frr
  shift
  frr=$(getent group frrvty | cut -d: -f3)
  exec setpriv --reuid=$UNPRIVILEGED --regid=$UNPRIVILEGED --groups="$OVS_GROUP,$frr" --no-new-privs \
    --inh-caps="-all$caps" --ambient-caps="-all$caps" --bounding-set="-all$caps" "$@"
}
open_sockets() { # what OVS's and FRR's own --user options do: the group may write to the sockets
  chgrp $OVS_GROUP /run/openvswitch/*.sock /run/openvswitch/*.mgmt /run/ovn/ovnsb_db.sock
  chmod g+rw /run/openvswitch/*.sock /run/openvswitch/*.mgmt /run/ovn/ovnsb_db.sock
}

topology
mount -t tmpfs -o size=64k,uid=$UNPRIVILEGED tmpfs /run/lab/agent
chmod o+rx /run/lab /run/openvswitch /run/ovn
agent_config

step "no capability, and no permission on a socket"
chmod 0700 /run/openvswitch/db.sock
start_agent as_user ''
within 60 status_says 'Permission denied'
agent_runs
open_sockets
annotate 1001
within 60 status_says 'Operation not permitted'
agent_runs
stop_agent

step "with CAP_NET_ADMIN, and a full disk"
rm /run/lab/agent/ledger.json
dd if=/dev/zero of=/run/lab/agent/filler bs=4k 2>/dev/null || true
start_agent as_user ,+net_admin
within 60 status_says 'No space left on device'
agent_runs
same "links" "" "$(links_of 1001)"

step "with room"
rm /run/lab/agent/filler
within 120 tenant_stands 1001
settled
expect_ping ext-1001 $VM4
expect_ping vm-1001 $FAR4
say "$(grep -E 'Uid|CapEff' "/proc/$AGENT/status" | tr '\n\t' '  ')"
! agent run >/run/lab/second 2>&1 || fail "a second agent started"
grep -q "pid $AGENT" /run/lab/second || { cat /run/lab/second; fail "it does not name the first"; }
remove_annotation 1001
within 60 nothing_made

step "no /proc"
without_proc() { exec unshare --mount "$BASH" -c 'mount -t tmpfs tmpfs /proc && exec "$@"' - "$@"; }
stop_agent
start_agent without_proc
annotate 1001
within 120 tenant_stands 1001
settled
agent_says 'cannot read /proc/thread-self/net/netlink' || fail "nothing in the log"
expect_ping ext-1001 $VM4
