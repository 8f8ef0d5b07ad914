# Over IPv6, on the kernel's datapath, the far tenant reaches the VM and the VM reaches the far tenant.
standing_tenant
expect_ping ext-1001 $VM6
expect_ping vm-1001 $FAR6
exact "$(world 1001)"
