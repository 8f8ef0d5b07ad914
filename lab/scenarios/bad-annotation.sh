# Annotations that are no VNI, one of them made to reach FRR's configuration: the agent runs on and says why, FRR sees
# nothing of it, and the neighbour tenant is served.
topology 1001 1002
agent_config
start_agent
annotate 1001
within 120 tenant_stands 1001
settled
config=$(frr_config_now)

for value in abc 0 16777216 '"1002\nno router bgp 64999"'; do
  say "VNI $value"
  annotate 1002 "$value"
  ovn-nbctl --wait=sb sync
  word=${value%\"} word=${word##* } # its last one
  within 60 status_says "[^0-9]$word[^0-9 ]* is not a VNI"
  agent_runs
  same "links of 1002" "" "$(links_of 1002)"
  same "FRR's configuration" "$config" "$(frr_config_now)"
  expect_ping ext-1001 $VM4
  same "FRR's configuration" "$config" "$(frr_config_now)"
done

annotate 1002
within 120 tenant_stands 1002
tenant_stands 1001
