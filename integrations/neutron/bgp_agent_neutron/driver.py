"""The service driver: checks what the BGPVPN API asks before it is written, and mirrors the routers that are touched.

    service_provider = BGPVPN:OVN:bgp_agent_neutron.driver.OVNBGPVPNDriver:default
"""

import dataclasses

from futurist import periodics
from networking_bgpvpn.neutron.services.service_drivers import driver_api
from neutron_lib import exceptions as n_exc
from neutron_lib.api.definitions import bgpvpn_routes_control
from neutron_lib.api.definitions import bgpvpn_vni
from neutron_lib.callbacks import events
from neutron_lib.callbacks import registry
from neutron_lib.callbacks import resources
from neutron_lib.plugins import directory
from oslo_log import log

from bgp_agent_neutron import database
from bgp_agent_neutron import mirror
from bgp_agent_neutron import northbound
from bgp_agent_neutron import options
from bgp_agent_neutron import rules

LOG = log.getLogger(__name__)


def refuse(reason):
    """Ends a request with HTTP 400 unless there is no reason to."""
    if reason:
        raise n_exc.BadRequest(resource="bgpvpn", msg=reason)


@registry.has_registry_receivers
class OVNBGPVPNDriver(driver_api.BGPVPNDriverRC):
    """Turns BGPVPNs and their associations into annotations of router ports in OVN's Northbound.

    The openstack client cannot associate a router where the API extension bgpvpn-routes-control is missing: it is there,
    and what it could do with routes is refused.
    """

    more_supported_extension_aliases = [bgpvpn_vni.ALIAS, bgpvpn_routes_control.ALIAS]

    def __init__(self, service_plugin):
        super().__init__(service_plugin)
        self.options = options.register()
        # The OVN maintenance worker asks every service plugin for its periodic tasks; this one has none of its own.
        service_plugin.ovn_maintenance_periodics = self.maintenance

    # -- before anything is written

    def create_bgpvpn_precommit(self, context, bgpvpn):
        self._check(context, bgpvpn)

    def update_bgpvpn_precommit(self, context, old_bgpvpn, new_bgpvpn):
        self._check(context, new_bgpvpn)

    def create_net_assoc_precommit(self, context, net_assoc):
        context = context.elevated()
        self._check_routers(context, database.routers_of_networks(context, [net_assoc["network_id"]]))

    def create_router_assoc_precommit(self, context, router_assoc):
        self._check_routers(context.elevated(), [router_assoc["router_id"]])

    def update_router_assoc_precommit(self, context, old_router_assoc, router_assoc):
        if old_router_assoc != router_assoc:
            refuse("advertise_extra_routes cannot be changed with OVN: extra routes of routers are not advertised")

    def create_port_assoc_precommit(self, context, port_assoc):
        refuse("port associations are not supported with OVN: associate the network or its router")

    @registry.receives(resources.ROUTER_INTERFACE, [events.BEFORE_CREATE])
    def _check_interface(self, resource, event, trigger, payload):
        network = payload.metadata.get("network_id")
        if network is None:
            return
        context = payload.context.elevated()
        addresses = payload.metadata["port"]["fixed_ips"]
        prefixes = database.prefixes(context, [address["subnet_id"] for address in addresses])
        for router in database.routers(context, [payload.resource_id]):
            interfaces = router.interfaces + (("the new port", network),)
            vpns = {**router.network_vpns, network: database.vpns_of_network(context, network)}
            subnets = router.subnets + tuple((network, prefix) for prefix in prefixes)
            router = dataclasses.replace(router, interfaces=interfaces, network_vpns=vpns, subnets=subnets)
            self._check_router(context, router)

    def _check(self, context, bgpvpn):
        if bgpvpn.get(bgpvpn_routes_control.LOCAL_PREF_KEY) is not None:
            refuse("local_pref is not supported with OVN")
        vpn = database.vpn(bgpvpn)
        refuse(rules.refusal(vpn))
        others = database.vpns_of_vni(context.elevated(), vpn.vni)
        refuse(rules.clash(vpn, others, self.options.bgp_as))

    def _check_routers(self, context, routers):
        for router in database.routers(context, list(routers)):
            self._check_router(context, router)

    @staticmethod
    def _check_router(context, router):
        refuse(rules.conflict(router))
        candidates = router.candidates()
        if candidates:
            beside = database.routers_of_vni(context, candidates[0].vni) - {router.id}
            refuse(rules.overlap(router, database.routers(context, list(beside))))

    # -- after it is written

    def update_bgpvpn_postcommit(self, context, old_bgpvpn, new_bgpvpn):
        self.mirror(database.routers_of_vpn(context.elevated(), new_bgpvpn["id"]))

    def delete_bgpvpn_postcommit(self, context, bgpvpn):
        of_networks = database.routers_of_networks(context.elevated(), bgpvpn["networks"])
        self.mirror(of_networks | set(bgpvpn["routers"]))

    def create_net_assoc_postcommit(self, context, net_assoc):
        self._mirror_network(context, net_assoc)

    def delete_net_assoc_postcommit(self, context, net_assoc):
        self._mirror_network(context, net_assoc)

    def create_router_assoc_postcommit(self, context, router_assoc):
        self.mirror([router_assoc["router_id"]])

    def delete_router_assoc_postcommit(self, context, router_assoc):
        self.mirror([router_assoc["router_id"]])

    def _mirror_network(self, context, net_assoc):
        self.mirror(database.routers_of_networks(context.elevated(), [net_assoc["network_id"]]))

    @registry.receives(resources.ROUTER_INTERFACE, [events.AFTER_CREATE, events.AFTER_DELETE])
    @registry.receives(resources.ROUTER_GATEWAY, [events.AFTER_CREATE, events.AFTER_DELETE])
    @registry.receives(resources.ROUTER, [events.AFTER_UPDATE])
    def _router_changed(self, resource, event, trigger, payload):
        self.mirror([payload.resource_id])

    def mirror(self, routers):
        """Makes OVN's annotations of these routers what the database says. The database is written already, so what
        fails here is no failure of the request: the maintenance worker does it again."""
        if not routers:
            return
        try:
            changed = mirror.some(self._nb(), routers)
        except Exception:
            LOG.exception(
                "BGPVPN: annotations of routers %s could not be written to OVN; the OVN maintenance worker tries again "
                "every %d s",
                ", ".join(sorted(routers)),
                self.options.sync_interval,
            )
            return
        for port, (gone, come) in changed.items():
            LOG.info("BGPVPN: port %s: %s set, %s removed", port, come, gone)

    @staticmethod
    def _nb():
        return directory.get_plugin().mechanism_manager.mech_drivers["ovn"].obj.nb_ovn

    # -- whatever was missed

    def maintenance(self, ovn_client):
        """The tasks of the OVN maintenance worker."""
        return [Repair(self._nb, self.options.sync_interval)]


class Repair:
    """Compares everything from time to time, and writes what differs."""

    def __init__(self, nb, interval):
        @periodics.periodic(spacing=interval, run_immediately=True)
        def repair():
            changes = mirror.all_differences(nb())
            if changes:
                LOG.warning("BGPVPN: annotations of ports %s were not as they should be", ", ".join(sorted(changes)))
                northbound.write(nb(), changes)

        self.repair = repair
