"""The driver in Neutron, with its database and API, and a Northbound made of dictionaries."""

import contextlib
from unittest import mock

import webob.exc
from networking_bgpvpn.tests.unit.services import test_plugin
from neutron_lib import context as n_context
from neutron_lib.plugins import directory
from oslo_config import cfg

from bgp_agent_neutron import driver
from bgp_agent_neutron import mirror
from bgp_agent_neutron import northbound
from bgp_agent_neutron import options
from bgp_agent_neutron import rules

DRIVER = "bgp_agent_neutron.driver.OVNBGPVPNDriver"
CORE = "neutron.tests.unit.extensions.test_l3.TestNoL3NatPlugin"


class Northbound:
    """Ports with external_ids; knows the few calls that are made."""

    def __init__(self):
        self.ports = {}
        self.down = False
        self.transactions = 0

    def port(self, name):
        return self.ports.setdefault(name, mock.Mock(external_ids={"neutron:revision_number": "1"}))

    def lookup(self, table, name, default=None):
        if self.down:
            raise RuntimeError("no connection")
        return self.port(name)

    def db_list_rows(self, table):
        rows = []
        for name, port in self.ports.items():
            row = mock.Mock(external_ids=port.external_ids)
            row.name = name
            rows.append(row)
        return mock.Mock(execute=lambda check_error: rows)

    @contextlib.contextmanager
    def transaction(self, check_error):
        commands = []
        yield mock.Mock(add=commands.append)
        self.transactions += 1
        for command in commands:
            command()

    def db_remove(self, table, name, column, *keys, if_exists):
        return lambda: [self.port(name).external_ids.pop(key, None) for key in keys]

    def db_set(self, table, name, *columns):
        return lambda: self.port(name).external_ids.update(columns[0][1])


class DriverCase(test_plugin.BgpvpnTestCaseMixin):
    def setUp(self):
        options.register()
        super().setUp(service_provider=DRIVER, core_plugin=CORE)
        self.nb = Northbound()
        mock.patch.object(driver.OVNBGPVPNDriver, "_nb", lambda _: self.nb).start()

    def vpn(self, vni=1001, **values):
        return self.bgpvpn(vni=vni, do_delete=False, **{"route_targets": [], **values})

    @contextlib.contextmanager
    def edge(self):
        """A router with a gateway on an external network, and an interface on one network."""
        with self.network() as external, self.subnet(network=external, cidr="172.24.4.0/24"):
            self._set_net_external(external["network"]["id"])
            with self.router(tenant_id=self._project_id) as router, self.network() as network:
                with self.subnet(network=network, cidr="10.0.1.0/24") as subnet:
                    self.router_id, self.network_id = router["router"]["id"], network["network"]["id"]
                    self._router_interface_action("add", self.router_id, subnet["subnet"]["id"], None)
                    self._add_external_gateway_to_router(self.router_id, external["network"]["id"])
                    self.external_id, self.subnet_id = external["network"]["id"], subnet["subnet"]["id"]
                    yield

    def annotated(self):
        """owner of each annotated port, and the annotations that there are."""
        found = {name: northbound.annotation(port.external_ids) for name, port in self.nb.ports.items()}
        ports = {name: pairs for name, pairs in found.items() if pairs}
        context = n_context.get_admin_context()
        owners = sorted(self.plugin_port(context, name)["device_owner"].rpartition("_")[2] for name in ports)
        values = {key.removeprefix(rules.PREFIX): value for pairs in ports.values() for key, value in pairs.items()}
        return owners, values

    def plugin_port(self, context, name):
        return directory.get_plugin().get_port(context, name)

    def ports_of_router(self):
        ports = directory.get_plugin().get_ports(n_context.get_admin_context(), {"device_id": [self.router_id]})
        return [(port["id"], port["device_owner"]) for port in ports]

    def request(self, method, path, body=None):
        if method == "put":
            request = self.new_update_request("bgpvpn/bgpvpns", {"bgpvpn": body}, path, as_admin=True)
        else:
            request = self.new_delete_request("bgpvpn/bgpvpns", path, as_admin=True)
        response = request.get_response(self.ext_api)
        self.assertLess(response.status_int, 300, response.body)


class Associations(DriverCase):
    def test_a_router_comes_changes_and_goes(self):
        with self.edge(), self.vpn(route_targets=["64999:1"]) as bgpvpn:
            id = bgpvpn["bgpvpn"]["id"]
            self.assertEqual(([], {}), self.annotated())
            with self.assoc_router(id, self.router_id):
                wished = {"vni": "1001", "as": "64999", "rt": '["64999:1"]'}
                self.assertEqual((["gateway", "interface"], wished), self.annotated())
                self.request("put", id, {"route_targets": [], "import_targets": ["65001:2"]})
                wished = {"vni": "1001", "as": "65001", "it": '["65001:2"]'}
                self.assertEqual((["gateway", "interface"], wished), self.annotated())
            self.assertEqual(([], {}), self.annotated())
            self.assertEqual(
                {"neutron:revision_number": "1"},
                {key: value for port in self.nb.ports.values() for key, value in port.external_ids.items()},
            )

    def test_a_network_comes_and_goes(self):
        with self.edge(), self.vpn() as bgpvpn, self.assoc_net(bgpvpn["bgpvpn"]["id"], self.network_id):
            self.assertEqual((["gateway", "interface"], {"vni": "1001"}), self.annotated())
        self.assertEqual(([], {}), self.annotated())

    def test_a_deleted_bgpvpn_leaves_nothing(self):
        with self.edge(), self.vpn() as one, self.vpn(vni=1001) as two:
            with self.assoc_router(one["bgpvpn"]["id"], self.router_id, do_disassociate=False):
                with self.assoc_router(two["bgpvpn"]["id"], self.router_id, do_disassociate=False):
                    self.request("delete", one["bgpvpn"]["id"])
                    self.assertEqual((["gateway", "interface"], {"vni": "1001"}), self.annotated())
                    self.request("delete", two["bgpvpn"]["id"])
                    self.assertEqual(([], {}), self.annotated())

    def test_interfaces_and_gateways_follow(self):
        with self.edge(), self.vpn() as bgpvpn, self.assoc_router(bgpvpn["bgpvpn"]["id"], self.router_id):
            with self.network() as network, self.subnet(network=network, cidr="10.0.2.0/24") as subnet:
                self._router_interface_action("add", self.router_id, subnet["subnet"]["id"], None)
                self.assertEqual(["gateway", "interface", "interface"], self.annotated()[0])
                port = self._router_interface_action("remove", self.router_id, subnet["subnet"]["id"], None)
                self.nb.ports.pop(port["port_id"])
            self._remove_external_gateway_from_router(self.router_id, self.external_id)
            gone = set(self.nb.ports) - {name for name, _ in self.ports_of_router()}
            for name in gone:
                self.nb.ports.pop(name)
            self.assertEqual(["interface"], self.annotated()[0])
            self._add_external_gateway_to_router(self.router_id, self.external_id)
            self.assertEqual(["gateway", "interface"], self.annotated()[0])

    def test_a_network_that_comes_to_a_router_later_takes_the_gateway_along(self):
        with self.edge(), self.network() as network, self.subnet(network=network, cidr="10.0.2.0/24") as subnet:
            with self.vpn() as bgpvpn, self.assoc_net(bgpvpn["bgpvpn"]["id"], network["network"]["id"]):
                self.assertEqual(([], {}), self.annotated())
                self._router_interface_action("add", self.router_id, subnet["subnet"]["id"], None)
                self.assertEqual((["gateway", "interface"], {"vni": "1001"}), self.annotated())
                port = self._router_interface_action("remove", self.router_id, subnet["subnet"]["id"], None)
                self.nb.ports.pop(port["port_id"])
                self.assertEqual(([], {}), self.annotated())


class Refusals(DriverCase):
    def refused(self, context_manager):
        error = self.assertRaises(webob.exc.HTTPClientError, context_manager.__enter__)
        self.assertEqual(400, error.code)
        return error.explanation

    def test_what_cannot_be_served(self):
        self.refused(self.vpn(type="l2"))
        self.refused(self.vpn(vni=None))
        self.refused(self.vpn(vni=254))
        self.refused(self.vpn(route_distinguishers=["0:1"]))
        self.refused(self.vpn(local_pref=7))
        with self.vpn(route_targets=["64999:1"]):
            self.refused(self.vpn(route_targets=["65001:1"]))
        self.assertEqual(1, len(self._list("bgpvpn/bgpvpns", as_admin=True)["bgpvpns"]))

    def test_associations_of_ports(self):
        with self.edge(), self.vpn() as bgpvpn:
            port = next(name for name, _ in self.ports_of_router())
            self.refused(self.assoc_port(bgpvpn["bgpvpn"]["id"], port))

    def test_a_second_vni_for_a_router(self):
        with self.edge(), self.vpn() as one, self.vpn(vni=1002) as two:
            with self.assoc_router(one["bgpvpn"]["id"], self.router_id):
                self.refused(self.assoc_router(two["bgpvpn"]["id"], self.router_id))
                with self.network() as network, self.subnet(network=network, cidr="10.0.2.0/24") as subnet:
                    with self.assoc_net(two["bgpvpn"]["id"], network["network"]["id"]):
                        self._router_interface_action(
                            "add", self.router_id, subnet["subnet"]["id"], None, expected_code=409
                        )
                self.assertEqual({"vni": "1001"}, self.annotated()[1])

    def test_subnets_of_two_routers_that_overlap_in_one_vni(self):
        with self.edge(), self.router(tenant_id=self._project_id) as other, self.network() as network:
            other_id = other["router"]["id"]
            with self.subnet(network=network, cidr="10.0.0.0/16") as subnet, self.network() as third:
                self._router_interface_action("add", other_id, subnet["subnet"]["id"], None)
                with self.vpn() as bgpvpn, self.assoc_router(bgpvpn["bgpvpn"]["id"], self.router_id):
                    reason = self.refused(self.assoc_router(bgpvpn["bgpvpn"]["id"], other_id))
                    self.assertIn("overlaps with 10.0.1.0/24", reason)
                    self.refused(self.assoc_net(bgpvpn["bgpvpn"]["id"], network["network"]["id"]))
                    self._router_interface_action("remove", other_id, subnet["subnet"]["id"], None)
                    with self.assoc_router(bgpvpn["bgpvpn"]["id"], other_id):
                        self._router_interface_action("add", other_id, subnet["subnet"]["id"], None, expected_code=409)
                        with self.subnet(network=third, cidr="10.1.2.0/24") as apart:
                            self._router_interface_action("add", other_id, apart["subnet"]["id"], None)
                with self.vpn(vni=1002) as elsewhere, self.assoc_router(elsewhere["bgpvpn"]["id"], other_id):
                    self._router_interface_action("add", other_id, subnet["subnet"]["id"], None)

    def test_more_targets_than_the_agents_take(self):
        targets = [f"64999:{n}" for n in range(65)]
        self.refused(self.vpn(import_targets=targets))
        with self.vpn(import_targets=targets[1:]):
            pass

    def test_two_networks_of_one_router_with_two_vnis(self):
        with self.edge(), self.network() as network, self.subnet(network=network, cidr="10.0.2.0/24") as subnet:
            with self.vpn() as one, self.vpn(vni=1002) as two:
                with self.assoc_net(one["bgpvpn"]["id"], self.network_id):
                    with self.assoc_net(two["bgpvpn"]["id"], network["network"]["id"]):
                        self._router_interface_action(
                            "add", self.router_id, subnet["subnet"]["id"], None, expected_code=409
                        )
                    self._router_interface_action("add", self.router_id, subnet["subnet"]["id"], None)
                    self.refused(self.assoc_net(two["bgpvpn"]["id"], network["network"]["id"]))


class Repairs(DriverCase):
    def test_what_ovn_did_not_take_is_written_later(self):
        with self.edge(), self.vpn() as bgpvpn:
            self.nb.down = True
            with self.assoc_router(bgpvpn["bgpvpn"]["id"], self.router_id):
                self.assertEqual(([], {}), self.annotated())
                self.nb.down = False
                (repair,) = self.bgpvpn_plugin.ovn_maintenance_periodics(ovn_client=None)
                self.assertEqual(cfg.CONF.ovn_bgpvpn.sync_interval, repair.repair._periodic_spacing)
                repair.repair()
                self.assertEqual((["gateway", "interface"], {"vni": "1001"}), self.annotated())

    def test_what_nobody_wishes_is_removed_and_what_stands_is_not_written_again(self):
        with self.edge(), self.vpn() as bgpvpn, self.assoc_router(bgpvpn["bgpvpn"]["id"], self.router_id):
            self.nb.port("stray").external_ids[rules.PREFIX + "vni"] = "7"
            port = next(name for name in self.nb.ports if name != "stray")
            self.nb.ports[port].external_ids.update({rules.PREFIX + "vni": "8", rules.PREFIX + "rt": "[]"})
            changes = mirror.all_differences(self.nb)
            self.assertEqual(
                {
                    "stray": ([rules.PREFIX + "vni"], {}),
                    port: ([rules.PREFIX + "rt"], {rules.PREFIX + "vni": "1001"}),
                },
                changes,
            )
            northbound.write(self.nb, changes)
            self.assertEqual({}, mirror.all_differences(self.nb))
            before = self.nb.transactions
            self.bgpvpn_plugin.driver.mirror([self.router_id])
            self.assertEqual(before, self.nb.transactions)
