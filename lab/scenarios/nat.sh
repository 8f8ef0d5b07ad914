# A router with source NAT and a floating IP (docs/advertised.md): advertised are the gateway's and the VMs' own addresses
# and nothing else. Behind source NAT a VM is reached by its own address and speaks with its gateway's; with a floating IP
# it speaks with that, which the fabric does not know.
standing_tenant
router=$(router 1001)

step "source NAT"
ovn-nbctl --wait=hv lr-nat-add "$router" snat "$(gateway4 1001)" $NET4.0/24
exact "$(world 1001)"
expect_ping ext-1001 $VM4
expect_ping ext-1001 $VM6
expect_ping vm-1001 $FAR4
expect_ping ext-1001 "$(gateway4 1001)"
expect_ping ext-1001 "$(gateway6 1001)"

step "a floating IP"
ovn-nbctl --wait=hv lr-nat-add "$router" dnat_and_snat $PROVIDER4.222 $VM4
exact "$(world 1001)"
expect_no_ping ext-1001 $PROVIDER4.222
expect_no_ping vm-1001 $FAR4
expect_ping vm-1001 $FAR6

step "neither"
ovn-nbctl --wait=hv lr-nat-del "$router"
expect_ping vm-1001 $FAR4
exact "$(world 1001)"
