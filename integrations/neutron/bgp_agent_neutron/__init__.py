"""Neutron BGPVPN service driver for OVN.

    BGPVPN API -> driver -> Neutron's database
                     |          |
                     |          v
                     |       database -> rules (pure) -> annotations wished
                     |                                        |
                     +--------------> northbound  <-----------+  only the difference is written
    maintenance worker, sync ------------^

It never counts on having heard of a change: whatever happens, the routers that it touches are looked at as a whole.
"""
