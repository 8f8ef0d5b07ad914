"""Makes OVN's annotations what Neutron's database says: of some routers, or of all."""

from neutron_lib import context as n_context
from oslo_config import cfg
from oslo_log import log

from bgp_agent_neutron import database
from bgp_agent_neutron import northbound
from bgp_agent_neutron import options
from bgp_agent_neutron import rules

LOG = log.getLogger(__name__)

# Another worker may write from an older state of the database at the same time: whoever comes last looks again.
LOOKS = 5


def wished(routers):
    """The annotation of every port of these routers."""
    configured_as = cfg.CONF[options.GROUP].bgp_as
    ports = {}
    for router in routers:
        reason = rules.conflict(router)
        if reason:
            LOG.warning("BGPVPN: %s; the first is served", reason)
        ports.update(rules.annotations(router, configured_as))
    return ports


def some(nb, ids):
    """Writes what the ports of these routers lack; gives what it changed."""
    changed = {}
    for _ in range(LOOKS):
        routers = database.routers(n_context.get_admin_context(), list(ids))
        changes = northbound.difference(nb, wished(routers))
        if not changes:
            break
        for router in filter(rules.hides_its_vpn, routers):
            LOG.warning(
                "BGPVPN: router %s has SNAT on: what its VMs begin leaves with the gateway's address, and not into the VPN; "
                "disable SNAT on the router",
                router.id,
            )
        northbound.write(nb, changes)
        changed.update(changes)
    return changed


def all_differences(nb):
    """What must change anywhere, ports that Neutron knows nothing of any more included. What an API worker is about to
    write, or wrote after the database was read here, is no difference: only what two looks show is."""
    first = _differences(nb)
    second = _differences(nb) if first else {}
    return {port: change for port, change in second.items() if first.get(port) == change}


def _differences(nb):
    ports = dict.fromkeys(northbound.standing(nb), {})
    ports.update(wished(database.routers(n_context.get_admin_context())))
    return northbound.difference(nb, ports)
