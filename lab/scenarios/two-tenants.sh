# Two tenants with the same subnets and VM addresses on one gateway: each far host reaches the VM of its own VNI, and no
# other. Nor does anything leave its VRF by the node's own routes.
topology 1001 1002
for vni in 1001 1002; do ip -n ext-$vni address add 10.99.0.$((vni - 910))/24 dev eth0; done
agent_config
start_agent
annotate 1001
annotate 1002
within 120 tenant_stands 1001
within 120 tenant_stands 1002
settled

for vni in 1001 1002; do
  other=$((2003 - vni))
  expect_ping ext-$vni $VM4
  expect_ping ext-$vni $VM6
  before=$(echo_requests vm-$other)
  expect_ping ext-$vni $VM4
  same "pings that came to the VM of $other" "$before" "$(echo_requests vm-$other)"
done
# The far hosts differ in one address, so that the VMs can tell them apart.
expect_ping vm-1001 10.99.0.91
expect_no_ping vm-1001 10.99.0.92
expect_ping vm-1002 10.99.0.92
expect_no_ping vm-1002 10.99.0.91
exact "$(world 1001; world 1002)"

# The node's own table leads to the leaf, a tenant's does not: nothing of a VM comes there, until somebody takes off what
# keeps it in.
requests=$(echo_requests leaf)
for vni in 1001 1002; do expect_no_ping vm-$vni $LEAF; done
same "pings that came to the leaf" "$requests" "$(echo_requests leaf)"
leaks() { ip netns exec vm-1001 ping -n -q -c 1 -W 1 $LEAF >/dev/null || [ "$(echo_requests leaf)" -gt "$requests" ]; }
stop_agent
ip route del unreachable default table 1001 metric 4278198272
within 20 leaks
