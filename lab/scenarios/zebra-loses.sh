# zebra stands still in the middle of a burst of binds and loses some of what the kernel tells it: the agent goes on without
# it, and when zebra reads again what it has lost is told anew, so that the leaf has every prefix. The same for unbinds, and
# no ping of the tenant is lost.
port=$(vm_port 1001)
in_kernel() { [ "$(ip -o address show dev lo-1001 | wc -l)" = "$1" ]; }
zebra_stands_still_for() { # zebra_stands_still_for ADDRESSES COUNT: the VM has these addresses more, COUNT prefixes in all
  say "zebra stands still: $2 prefixes"
  kill -STOP "$(cat /run/frr/zebra.pid)"
  ovn-nbctl lsp-set-addresses "$port" "$addresses $1"
  within 60 in_kernel "$2"
  within 30 status_says '"stuck":true'
  kill -CONT "$(cat /run/frr/zebra.pid)"
  within 90 type5_total "$2"
  settled
}

ZEBRA_OPTIONS="-s 131072" # a buffer so small that this burst overflows it
standing_tenant
addresses=$(ovn-nbctl lsp-get-addresses "$port")
expect_ping ext-1001 $VM4
start_stream ext-1001 $VM4
zebra_stands_still_for "$(printf "$NET4.%d " {20..219}; printf "$NET6::%d " {20..219})" 404
zebra_stands_still_for "" 4
status_says '"told_again":[1-9]'
say "$(agent status --json | jq -c .zebra)"
stream_lost_nothing
exact "$(world 1001)"
