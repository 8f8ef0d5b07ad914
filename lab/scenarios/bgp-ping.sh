# The BGP mode's smallest case: a VM on a provider network, reached from a host behind a leaf that knows plain BGP alone, and
# the other way, in both families; the leaf has its two host routes and no other.
provider_vm 50
agent_config
start_agent
plain_exact "50 gw1"
reach 50
agent explain "$(vm4 50)"
agent explain vm-50
agent doctor || true
agent status
