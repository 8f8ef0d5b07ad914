# The same on OVS's userspace datapath, both families, both ways.
DP=netdev
standing_tenant
expect_ping ext-1001 $VM4
expect_ping vm-1001 $FAR4
expect_ping ext-1001 $VM6
expect_ping vm-1001 $FAR6
