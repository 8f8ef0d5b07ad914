# The same as drift-shapes with attach = vrf, where routes and neighbours are on the bridge's own device and the VRF is the port.
# long: a part of make test-full, not of make test
# limit: 1200 s
DP=netdev
. "$lab/spoil.sh"
VNIS=1001
standing_tenant attach=vrf
for kind in routes neighbours ports flows; do
  step "$kind"
  spoil_every $kind
done
for dev in vrf-1001 br-1001 vxlan-1001 lo-1001; do spoil links ip link del $dev; done
spoil links ip link set vrf-1001 down
settled
within 20 nothing_planned
expect_ping ext-1001 $VM4
expect_ping vm-1001 $FAR6
