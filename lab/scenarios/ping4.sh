# Over IPv4, on the kernel's datapath, the far tenant reaches the VM and the VM reaches the far tenant; shown is how long
# after the agent's start the first ping is answered.
topology 1001
annotate 1001
ovn-nbctl --wait=hv sync
agent_config
begin=${EPOCHREALTIME/./}
start_agent
until ip netns exec ext-1001 ping -n -q -c 1 -W 0.2 $VM4 >/dev/null; do agent_runs; done
say "first ping $(((${EPOCHREALTIME/./} - begin) / 1000)) ms after the agent's start"
within 120 tenant_stands 1001
settled
expect_ping ext-1001 $VM4
expect_ping vm-1001 $FAR4
exact "$(world 1001)"
