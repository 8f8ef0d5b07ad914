# The router's gateway lives on another chassis: this node makes nothing of it, until the gateway comes here.
topology
add_chassis gw2
move_gateway 1001 gw2
agent_config
start_agent
annotate 1001
ovn-nbctl --wait=sb sync
settled
# An event of the tenant's, to be wrong about.
unbind_vm 1001
bind_vm 1001
ovn-nbctl --wait=hv sync
settled
nothing_made
within 60 gone_from_leaf

move_gateway 1001 gw1
within 120 tenant_stands 1001
