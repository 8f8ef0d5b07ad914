"""Routers, their ports and their BGPVPNs, read from Neutron's database. It never writes."""

import collections

from networking_bgpvpn.neutron.db import bgpvpn_db
from networking_bgpvpn.neutron.services.common import utils
from neutron.db.models import l3 as l3_models
from neutron.db import models_v2
from neutron_lib import constants
from neutron_lib.db import api as db_api

from bgp_agent_neutron import rules


def vpn(row):
    """A BGPVPN from its row, or from the API's dictionary."""

    def targets(field):
        return tuple(utils.rtrd_str2list(row[field]))

    return rules.Vpn(
        id=row["id"],
        type=row["type"],
        vni=row["vni"],
        route_targets=targets("route_targets"),
        import_targets=targets("import_targets"),
        export_targets=targets("export_targets"),
        route_distinguishers=targets("route_distinguishers"),
    )


@db_api.CONTEXT_READER
def vpns_of_vni(context, vni):
    """The BGPVPNs with this VNI."""
    return [vpn(row) for row in context.session.query(bgpvpn_db.BGPVPN).filter_by(vni=vni)]


@db_api.CONTEXT_READER
def vpns_of_network(context, network):
    """The BGPVPNs that a network is associated with."""
    return tuple(_associations(context)[1][network])


@db_api.CONTEXT_READER
def routers_of_networks(context, networks):
    """The ids of the routers that have an interface on one of these networks."""
    ports = _router_ports(context, constants.DEVICE_OWNER_ROUTER_INTF)
    return {port.device_id for port in ports.filter(models_v2.Port.network_id.in_(networks))}


@db_api.CONTEXT_READER
def routers_of_vpn(context, vpn_id):
    """The ids of the routers that a BGPVPN reaches."""
    row = context.session.get(bgpvpn_db.BGPVPN, vpn_id)
    if row is None:
        return set()
    networks = [association.network_id for association in row.network_associations]
    routers = {association.router_id for association in row.router_associations}
    return routers | routers_of_networks(context, networks)


@db_api.CONTEXT_READER
def routers_of_vni(context, vni):
    """The ids of the routers that any BGPVPN with this VNI reaches."""
    rows = context.session.query(bgpvpn_db.BGPVPN).filter_by(vni=vni)
    return set().union(*(routers_of_vpn(context, row.id) for row in rows))


@db_api.CONTEXT_READER
def prefixes(context, subnets):
    """The prefixes of these subnets."""
    rows = context.session.query(models_v2.Subnet).filter(models_v2.Subnet.id.in_(subnets))
    return [row.cidr for row in rows]


@db_api.CONTEXT_READER
def routers(context, ids=None):
    """These routers, or all, each with its ports and BGPVPNs."""
    of_router, of_network = _associations(context)
    interfaces, gateways = collections.defaultdict(list), collections.defaultdict(list)
    for port in _router_ports(context, constants.DEVICE_OWNER_ROUTER_INTF, ids):
        interfaces[port.device_id].append((port.id, port.network_id))
    for port in _router_ports(context, constants.DEVICE_OWNER_ROUTER_GW, ids):
        gateways[port.device_id].append(port.id)
    subnets = _subnets(context, ids)
    rows = context.session.query(l3_models.Router)
    if ids is not None:
        rows = rows.filter(l3_models.Router.id.in_(ids))
    return [
        rules.Router(
            id=row.id,
            gateways=tuple(sorted(gateways[row.id])),
            interfaces=tuple(sorted(interfaces[row.id])),
            snat=bool(row.enable_snat),
            vpns=tuple(of_router[row.id]),
            network_vpns={network: tuple(of_network[network]) for _, network in interfaces[row.id]},
            subnets=tuple(sorted(subnets[row.id])),
        )
        for row in rows
    ]


def _router_ports(context, owner, routers=None):
    ports = context.session.query(models_v2.Port).filter_by(device_owner=owner)
    return ports if routers is None else ports.filter(models_v2.Port.device_id.in_(routers))


def _subnets(context, routers=None):
    """The subnets of routers' interfaces, each with its network."""
    port, allocation, subnet = models_v2.Port, models_v2.IPAllocation, models_v2.Subnet
    rows = context.session.query(port.device_id, subnet.network_id, subnet.cidr)
    rows = rows.join(allocation, allocation.port_id == port.id).join(subnet, subnet.id == allocation.subnet_id)
    rows = rows.filter(port.device_owner == constants.DEVICE_OWNER_ROUTER_INTF)
    found = collections.defaultdict(set)
    for router, network, prefix in rows if routers is None else rows.filter(port.device_id.in_(routers)):
        found[router].add((network, prefix))
    return found


def _associations(context):
    of_router, of_network = collections.defaultdict(list), collections.defaultdict(list)
    for row in context.session.query(bgpvpn_db.BGPVPN):
        for association in row.router_associations:
            of_router[association.router_id].append(vpn(row))
        for association in row.network_associations:
            of_network[association.network_id].append(vpn(row))
    return of_router, of_network
