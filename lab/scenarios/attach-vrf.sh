# attach = vrf, the blog's own way: the VRF device itself is the port of br-ex. Only the userspace datapath takes one.
DP=netdev
standing_tenant attach=vrf
same "ports of br-ex" vrf-1001 "$(ovs-vsctl list-ports br-ex | grep -v ^patch-)"
same "links" "br-1001 lo-1001 vrf-1001 vxlan-1001" "$(links_of 1001)"
expect_ping ext-1001 $VM4
expect_ping vm-1001 $FAR4
expect_ping ext-1001 $VM6
expect_ping vm-1001 $FAR6
exit_status explain 0 agent explain $VM4 --vni 1001
says explain 'flow .* [1-9][0-9]* packets' 'type-5 .*VNI 1001.*RT:64999:1001'
remove_annotation 1001
within 60 nothing_made
