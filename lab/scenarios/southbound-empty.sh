# The Southbound comes back empty: what the node advertises stays, loud in log and status, through a restart of the agent
# too, and no ping is lost; `bgp-agent release` lets it go, its time does, and so does the data's return.
empty_southbound() { # the file is a new one; northd, which would fill it, is away
  stop_daemon /run/ovn/ovn-northd.pid
  stop_daemon /run/ovn/sb.pid
  rm /run/lab/sb.db
  start_database sb
}
fill_southbound() {
  start_northd
  ovn-nbctl --wait=sb sync
  # ovn-controller 23.03 ends by itself when its database comes back empty.
  kill -0 "$(cat /run/ovn/ovn-controller.pid)" 2>/dev/null || start_controller
}
held() { [ "$(agent status --json | jq -r .brake.held_prefixes)" = "$1" ]; }
not_held() { [ "$(agent status --json | jq -r .brake)" = null ]; }

standing_tenant mass_withdraw_limit=3 mass_withdraw_hold=0
dataplane >/run/lab/log/dataplane-before
expect_ping ext-1001 $VM4
start_stream ext-1001 $VM4
empty_southbound
within 60 held 4
agent_says 'the brake holds' || fail "nothing in the log"
agent status | grep -A 2 BRAKE || fail "nothing in the status"
stop_agent KILL
start_agent
within 60 held 4
tenant_stands 1001
same "dataplane while it is held" "$(cat /run/lab/log/dataplane-before)" "$(dataplane)"

stream_lost_nothing

# northd makes the rows anew, ovn-controller binds them again.
fill_southbound
within 120 not_held
settled
same "dataplane after the data's return" "$(cat /run/lab/log/dataplane-before)" "$(dataplane)"

empty_southbound
within 60 held 4
agent release
within 60 nothing_made
within 20 gone_from_leaf
not_held
fill_southbound
within 120 tenant_stands 1001
settled

# With a time it lets go by itself.
stop_agent
agent_config mass_withdraw_limit=3 mass_withdraw_hold=8
start_agent
settled
empty_southbound
within 60 held 4
tenant_stands 1001
within 60 not_held
within 60 nothing_made
agent_says 'mass_withdraw_hold has passed' || fail "nothing in the log"
