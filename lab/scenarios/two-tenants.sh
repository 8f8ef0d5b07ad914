# Two tenants with the same subnets and VM addresses on one gateway: each far host reaches the VM of its own VNI, and no
# other.
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
