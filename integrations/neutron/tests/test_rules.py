"""The rules, without Neutron: which port of a router carries which annotation, and what is refused."""

import dataclasses
import unittest

from bgp_agent_neutron import rules

PORTS = {"interfaces": (("if-1", "net-1"), ("if-2", "net-2")), "gateways": ("gw",)}


def vpn(vni=1001, id="a", **values):
    return rules.Vpn(id=id, type="l3", vni=vni, **values)


def annotated(router, configured_as=None):
    """The ports with an annotation, and each key's value where all of them have the same."""
    ports = {port: pairs for port, pairs in rules.annotations(router, configured_as).items() if pairs}
    values = next(iter(ports.values()), {})
    assert all(pairs == values for pairs in ports.values())
    return sorted(ports), {key.removeprefix(rules.PREFIX): value for key, value in values.items()}


class Ports(unittest.TestCase):
    def test_a_router_association_is_for_all_ports(self):
        self.assertEqual(
            (["gw", "if-1", "if-2"], {"vni": "1001"}), annotated(rules.Router("r", vpns=(vpn(),), **PORTS))
        )

    def test_a_network_association_is_for_its_ports_and_the_gateway(self):
        router = rules.Router("r", network_vpns={"net-2": (vpn(),)}, **PORTS)
        self.assertEqual(["gw", "if-2"], annotated(router)[0])

    def test_a_network_that_is_not_on_the_router_means_nothing(self):
        router = rules.Router("r", network_vpns={"net-3": (vpn(),)}, **PORTS)
        self.assertEqual([], annotated(router)[0])

    def test_without_bgpvpn_every_port_is_wished_bare(self):
        self.assertEqual({"if-1": {}, "if-2": {}, "gw": {}}, rules.annotations(rules.Router("r", **PORTS), None))

    def test_a_router_without_gateway_has_its_interfaces_annotated(self):
        router = rules.Router("r", vpns=(vpn(),), interfaces=PORTS["interfaces"])
        self.assertEqual(["if-1", "if-2"], annotated(router)[0])

    def test_without_vni_or_of_type_l2_nothing_is_annotated(self):
        for wrong in (vpn(vni=None), rules.Vpn(id="a", type="l2", vni=7)):
            self.assertEqual([], annotated(rules.Router("r", vpns=(wrong,), **PORTS))[0])


class Overlaps(unittest.TestCase):
    def router(self, id, *subnets, vpns=(vpn(),), **values):
        interfaces = tuple((f"port-{n}", network) for n, (network, _) in enumerate(subnets))
        return rules.Router(id, interfaces=interfaces, subnets=subnets, vpns=vpns, **values)

    def test_subnets_of_two_routers_in_one_vni(self):
        one = self.router("one", ("net-1", "10.0.0.0/16"), ("net-2", "2001:db8::/64"))
        for subnets, refused in (
            ((("net-3", "10.0.7.0/24"),), True),
            ((("net-3", "10.1.0.0/24"),), False),
            ((("net-3", "2001:db8::/48"),), True),
            # One network with two routers has each of its addresses once.
            ((("net-1", "10.0.0.0/16"),), False),
        ):
            reason = rules.overlap(self.router("two", *subnets), [one])
            self.assertEqual(refused, reason is not None, subnets)
            if refused:
                self.assertIn("of router two overlaps with", reason)

    def test_other_vnis_and_networks_that_are_in_no_vpn_do_not_matter(self):
        one = self.router("one", ("net-1", "10.0.0.0/16"))
        self.assertIsNone(rules.overlap(self.router("two", ("net-3", "10.0.0.0/24"), vpns=(vpn(vni=7),)), [one]))
        self.assertIsNone(rules.overlap(one, [one]))
        apart = self.router("two", ("net-3", "10.0.0.0/24"), ("net-4", "10.1.0.0/24"), vpns=())
        of_one_network = dataclasses.replace(apart, network_vpns={"net-4": (vpn(),)})
        self.assertIsNone(rules.overlap(of_one_network, [one]))
        self.assertIsNotNone(rules.overlap(dataclasses.replace(apart, network_vpns={"net-3": (vpn(),)}), [one]))


class Targets(unittest.TestCase):
    def test_more_than_the_agents_take_are_refused(self):
        def targets(count, first=0):
            return tuple(f"64999:{first + n}" for n in range(count))

        for kind in ("route_targets", "import_targets", "export_targets", "route_distinguishers"):
            self.assertIsNone(rules.refusal(vpn(**{kind: targets(64)})))
            self.assertIn("65 " + kind, rules.refusal(vpn(**{kind: targets(65)})))
        two = [vpn(id=id, route_targets=targets(40, first)) for id, first in (("a", 0), ("b", 40))]
        self.assertIn("80 targets", rules.conflict(rules.Router("r", vpns=tuple(two))))
        same = [vpn(id=id, route_targets=targets(40)) for id in ("a", "b")]
        self.assertIsNone(rules.conflict(rules.Router("r", vpns=tuple(same))))


class Snat(unittest.TestCase):
    def test_it_matters_for_a_router_with_gateway_in_a_vpn(self):
        router = rules.Router("r", snat=True, vpns=(vpn(),), **PORTS)
        self.assertTrue(rules.hides_its_vpn(router))
        for other in ({"snat": False}, {"gateways": ()}, {"vpns": ()}):
            self.assertFalse(rules.hides_its_vpn(dataclasses.replace(router, **other)))


class Values(unittest.TestCase):
    def values(self, *vpns, configured_as=None):
        return annotated(rules.Router("r", vpns=vpns, **PORTS), configured_as)[1]

    def test_lists_are_json(self):
        values = self.values(
            vpn(
                route_targets=("64999:1",),
                import_targets=("64999:2", "192.0.2.1:3"),
                export_targets=("4200000000:4",),
                route_distinguishers=("64999:5", "64999:6"),
            )
        )
        self.assertEqual(
            {
                "vni": "1001",
                "as": "64999",
                "rt": '["64999:1"]',
                "it": '["64999:2", "192.0.2.1:3"]',
                "et": '["4200000000:4"]',
                "rd": '["64999:5"]',
            },
            values,
        )

    def test_the_as_is_the_configured_one_else_a_route_targets_else_the_agents(self):
        two = vpn(route_targets=("192.0.2.1:3",), export_targets=("4200000000:4",))
        self.assertEqual("65001", self.values(two, configured_as=65001)["as"])
        self.assertEqual("4200000000", self.values(two)["as"])
        self.assertNotIn("as", self.values(vpn(route_targets=("192.0.2.1:3",))))

    def test_bgpvpns_of_one_vni_add_up(self):
        b = vpn(id="b", route_targets=("64999:1", "64999:2"), route_distinguishers=("64999:8",))
        a = vpn(id="a", route_targets=("64999:1", "64999:9"))
        self.assertEqual(
            {"vni": "1001", "as": "64999", "rt": '["64999:1", "64999:9", "64999:2"]', "rd": '["64999:8"]'},
            self.values(b, a),
        )


class Conflicts(unittest.TestCase):
    def test_a_router_carries_one_vni(self):
        router = rules.Router("r", vpns=(vpn(),), network_vpns={"net-1": (vpn(1002, "0"),)}, **PORTS)
        self.assertIn("vni 1001 of BGPVPN a and vni 1002 of BGPVPN 0", rules.conflict(router))
        # Where it is so all the same, the router's association comes first.
        self.assertEqual((["gw", "if-1", "if-2"], {"vni": "1001"}), annotated(router))
        both = dataclasses.replace(router, vpns=(), network_vpns={"net-1": (vpn(1002, "b"),), "net-2": (vpn(),)})
        self.assertIsNotNone(rules.conflict(both))
        self.assertEqual((["gw", "if-2"], {"vni": "1001"}), annotated(both))
        self.assertIsNone(rules.conflict(dataclasses.replace(router, network_vpns={"net-1": (vpn(id="b"),)})))

    def test_a_vni_has_one_as(self):
        one, other = vpn(route_targets=("64999:1",)), vpn(id="b", route_targets=("65001:1",))
        self.assertIn("with AS 64999, not AS 65001", rules.clash(other, [one, other], None))
        self.assertIn("not AS of the agents", rules.clash(vpn(id="c"), [one], None))
        self.assertIsNone(rules.clash(other, [one], 64999))
        self.assertIsNone(rules.clash(one, [one], None))

    def test_what_cannot_be_served(self):
        for words, bgpvpn in {
            "type l2": rules.Vpn(id="a", type="l2", vni=7),
            "a vni is needed": vpn(vni=None),
            "vni 254": vpn(254),
            "0:7 names AS 0": vpn(import_targets=("64999:1", "0:7")),
        }.items():
            self.assertIn(words, rules.refusal(bgpvpn))
        self.assertIsNone(rules.refusal(vpn(route_distinguishers=("192.0.2.1:5",))))
