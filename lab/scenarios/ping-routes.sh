# With expose = routes the tenants reach each other by both families, and the node is exactly what the cloud says.
EXPOSE=routes # agent_config and exact read it
standing_tenant
expect_ping ext-1001 $VM4
expect_ping vm-1001 $FAR4
expect_ping ext-1001 $VM6
expect_ping vm-1001 $FAR6
exact "$(world 1001)"
