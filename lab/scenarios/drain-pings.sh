# A drain and its end change the MED of a tenant's routes: the leaf, whose zebra forgets a VTEP when an attribute of its routes
# changes under it (FRR 8.4.0 to 8.4.4), goes on reaching the tenant, after the second in which the routes are away.
both() { [ "$(ip -n leaf neigh show dev br-1001 | grep -c extern_learn)" = 2 ]; } # for each family

standing_tenant
expect_ping ext-1001 $VM4
for round in 1 2 3; do
  step "round $round"
  start_stream ext-1001 $VM4
  agent drain --keep
  within 60 leaf_metric_is $VM4/32 4294967294
  within 10 both
  expect_ping ext-1001 $VM4
  agent undrain
  within 60 leaf_metric_is $VM4/32 0
  within 10 both
  expect_ping ext-1001 $VM4
  stream_dark "drained and back"
  dark=$(longest_dark)
  { [ "$dark" -gt 500 ] && [ "$dark" -lt 6000 ]; } || fail "dark for $dark ms, not for about a second"
done
step "the agent ends while the routes are away"
agent drain --keep
stop_agent TERM
[ "$(frr_config_now | grep -c '^  advertise ipv4 unicast')" = 1 ] || fail "the routes stay away"
start_agent
settled
agent undrain
within 60 leaf_metric_is $VM4/32 0
within 10 both
settled
within 20 tenant_stands 1001
nothing_planned
expect_ping ext-1001 $VM4
