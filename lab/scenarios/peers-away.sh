# The Southbound database, FRR, br-ex and the chassis' name are all missing when the agent starts: it waits and says so,
# and makes the tenant stand when they have come. What goes away later withdraws nothing.
topology
annotate 1001
ovn-nbctl --wait=hv sync
stop_daemon /run/ovn/ovn-controller.pid
stop_daemon /run/ovn/sb.pid
stop_frr
ovs-vsctl del-br br-ex -- remove open_vswitch . external_ids system-id
agent_config
start_agent

within 60 status_says system-id
within 60 status_says /run/frr
within 60 agent_says system-id
within 60 agent_says /run/frr
agent_runs
! agent wait --timeout 1 || fail "it says that all stands, with nothing there"

# They come one after the other; each time it says what is still missing.
start_frr
ovs-vsctl set open_vswitch . external_ids:system-id=gw1
within 60 status_says ovnsb_db.sock
start_database sb
within 60 status_says br-ex
within 60 agent_says br-ex
add_provider_bridge
plant_flows
start_controller
within 120 tenant_stands 1001
settled
expect_ping ext-1001 $VM4
expect_ping vm-1001 $FAR4

# The Southbound goes away, and comes back.
dataplane >/run/lab/log/dataplane-before
start_stream ext-1001 $VM4
stop_daemon /run/ovn/sb.pid
within 60 status_says ovnsb_db.sock
same "dataplane without the Southbound" "$(cat /run/lab/log/dataplane-before)" "$(dataplane)"
start_database sb
settled
stream_lost_nothing
same "dataplane after the Southbound came back" "$(cat /run/lab/log/dataplane-before)" "$(dataplane)"

# FRR starts anew and has forgotten all: it is told again.
stop_frr
start_frr
within 120 tenant_stands 1001
expect_ping ext-1001 $VM4
exact "$(world 1001)"
