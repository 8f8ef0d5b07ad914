# What is not the agent's is the same before a tenant came and after it left (every scenario's end compares what an
# operator has beside the tenants; here the whole node is compared): also a port on the provider bridge
# itself, and routes in the tenant's own table, link-local ones of both families among them.
topology
ovs-vsctl add-port br-ex operator1 -- set interface operator1 type=internal -- set port operator1 tag=7
dataplane >/run/lab/log/dataplane-before

agent_config
start_agent
annotate 1001
within 120 tenant_stands 1001
settled
for route in 198.51.100.7 169.254.7.0/24 fe80::7; do ip route add blackhole $route table 1001 proto static; done
operators_routes() { ip route show table 1001 type blackhole; ip -6 route show table 1001 type blackhole; }
before=$(operators_routes)
stop_agent
start_agent
settled
remove_annotation 1001
within 60 status_says 'still has routes of others'
same "the operator's routes" "$before" "$(operators_routes)"
for family in 4 6; do ip -$family route flush table 1001 type blackhole; done
within 60 nothing_made
same "dataplane" "$(cat /run/lab/log/dataplane-before)" "$(dataplane)"
