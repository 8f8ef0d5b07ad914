# zebra of FRR 8.4.0 to 8.4.4 forgets a VTEP when an attribute of its only route changes: nobody reaches it any more. The agent
# sees it and has zebra told the route again. A newer one forgets none, and is told nothing.
metric() { # metric NUMBER: that of what the leaf tells of the tenant's far end
  vtysh -N leaf -c 'configure terminal' -c "router bgp $AS vrf vrf-1001" -c 'address-family ipv4 unicast' \
    -c "redistribute connected metric $1"
}
heard() { vtysh -c "show bgp vrf vrf-1001 ipv4 unicast 10.99.0.0/24 json" | grep -q "\"metric\": *$1\b"; } # heard METRIC
neighbour() { ip neigh show 100.65.0.9 dev br-1001 | grep -q extern_learn; }

standing_tenant
expect_ping ext-1001 $VM4
within 10 neighbour
for number in 1 2 3 4 5 6 7 8; do
  metric $number
  within 20 heard $number
  within 20 neighbour
  expect_ping ext-1001 $VM4
done
case $(vtysh -c 'show version' | head -1) in
  *" 8.4 "* | *" 8.4."[0-4]* | *" 8.5."[0-2]* | *" 8.5 "* | *" 9.0 "*) status_says '"vteps_forgotten":[1-9]' ;;
  *) status_says '"vteps_forgotten":0' ;;
esac
say "$(agent status --json | jq -c .zebra)"
exact "$(world 1001)"
