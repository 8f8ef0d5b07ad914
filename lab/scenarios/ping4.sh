# Over IPv4, on the kernel's datapath, the far tenant reaches the VM and the VM reaches the far tenant.
standing_tenant
expect_ping ext-1001 $VM4
expect_ping vm-1001 $FAR4
exact "$(world 1001)"
