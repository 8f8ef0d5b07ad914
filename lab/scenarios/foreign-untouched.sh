# What is not the agent's is the same before a tenant came and after it left (every scenario's end compares what an
# operator has beside the tenants; here the whole node is compared): also a port on the provider bridge
# itself, and a route in the tenant's own table.
topology
ovs-vsctl add-port br-ex operator1 -- set interface operator1 type=internal -- set port operator1 tag=7
dataplane >/run/lab/log/dataplane-before

agent_config
start_agent
annotate 1001
within 120 tenant_stands 1001
settled
ip route add blackhole 198.51.100.7 table 1001 proto static
stop_agent
start_agent
settled
remove_annotation 1001
within 60 status_says 'still has routes of others'
same "the operator's route" "blackhole 198.51.100.7 proto static" "$(ip route show table 1001 | sed 's/ *$//')"
ip route del blackhole 198.51.100.7 table 1001
within 60 nothing_made
same "dataplane" "$(cat /run/lab/log/dataplane-before)" "$(dataplane)"
