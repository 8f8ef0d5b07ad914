"""Which port of a router carries which annotation, and what cannot be. Pure: no database, no OVN.

1. A router carries one VNI. With several BGPVPNs it is the VNI of a router association before that of a network
   association, then of the BGPVPN with the smallest id; BGPVPNs with another VNI are put aside. (The API refuses to make
   such an association; this holds where one exists all the same.)
2. The BGPVPNs of that VNI are one: route targets add up in the order of the BGPVPNs' ids, the first route distinguisher
   and the first AS hold.
3. A router association annotates all interface ports and the gateway port. A network association annotates the network's
   interface ports, and the gateway port of each router that has one of them.
4. Every annotated port of a router carries the same values.
"""

import dataclasses
import ipaddress
import json

PREFIX = "neutron_bgpvpn:"
KEYS = tuple(PREFIX + key for key in ("vni", "as", "type", "rt", "rd", "it", "et"))

# How many targets a list may have: the agents put a port with more aside (MAX_TARGETS in src/intent/annotation.rs).
MAX_TARGETS = 64

# The routing tables of these numbers are the kernel's own, and a VRF's table has its VNI's number.
RESERVED_VNIS = (253, 254, 255)


@dataclasses.dataclass(frozen=True)
class Vpn:
    """A BGPVPN."""

    id: str
    type: str
    vni: int | None
    route_targets: tuple = ()
    import_targets: tuple = ()
    export_targets: tuple = ()
    route_distinguishers: tuple = ()

    def asn(self, configured):
        """The AS: the configured one, else that of the first route target that names one, else None."""
        if configured is not None:
            return configured
        for target in self.route_targets + self.import_targets + self.export_targets:
            head = target.rpartition(":")[0]
            if head.isdecimal():
                return int(head)
        return None


@dataclasses.dataclass(frozen=True)
class Router:
    """A router with its ports, and the BGPVPNs that it and its networks are associated with."""

    id: str
    gateways: tuple = ()  # ids of ports
    interfaces: tuple = ()  # pairs of port id and network id
    snat: bool = False
    vpns: tuple = ()
    network_vpns: dict = dataclasses.field(default_factory=dict)  # network id to BGPVPNs
    subnets: tuple = ()  # pairs of network id and prefix, of the interfaces

    def candidates(self):
        """Every BGPVPN that reaches this router, in the order of the rules."""
        attached = {network for _, network in self.interfaces}
        of_networks = {vpn for network in attached for vpn in self.network_vpns.get(network, ())}
        ordered = sorted(self.vpns, key=_by_id) + sorted(of_networks - set(self.vpns), key=_by_id)
        return [vpn for vpn in ordered if vpn.type == "l3" and vpn.vni is not None]


def _by_id(vpn):
    return vpn.id


def refusal(vpn):
    """Why a BGPVPN cannot be served at all, or None."""
    if vpn.type != "l3":
        return f"type {vpn.type} is not supported with OVN: only l3 is"
    if vpn.vni is None:
        return "a vni is needed with OVN: it is the VXLAN identifier that gateways advertise"
    if vpn.vni in RESERVED_VNIS:
        return f"vni {vpn.vni} cannot be used: the routing table of that number is the kernel's own"
    for kind in ("route_targets", "import_targets", "export_targets", "route_distinguishers"):
        count = len(getattr(vpn, kind))
        if count > MAX_TARGETS:
            return f"{count} {kind} are too many: the agents take {MAX_TARGETS}"
    for target in vpn.route_targets + vpn.import_targets + vpn.export_targets + vpn.route_distinguishers:
        if target.startswith("0:"):
            return f"{target} names AS 0, which nobody may use"
    return None


def clash(vpn, others, configured_as):
    """Why a BGPVPN cannot be beside the others: a VNI is one BGP instance on a gateway node, and has one AS. Or None."""
    for other in others:
        if other.id == vpn.id or other.vni != vpn.vni:
            continue
        wanted, held = vpn.asn(configured_as), other.asn(configured_as)
        if wanted != held:
            return (
                f"vni {vpn.vni} is used by BGPVPN {other.id} with AS {held or 'of the agents'}, "
                f"not AS {wanted or 'of the agents'}"
            )
    return None


def conflict(router):
    """Why these associations of a router cannot all be, or None: it carries one VNI."""
    candidates = router.candidates()
    for other in candidates[1:]:
        if other.vni != candidates[0].vni:
            return (
                f"router {router.id} would have vni {candidates[0].vni} of BGPVPN {candidates[0].id} and vni "
                f"{other.vni} of BGPVPN {other.id}: its gateway can carry one"
            )
    for key, targets in _lists(candidates).items():
        if len(targets) > MAX_TARGETS:
            return (
                f"router {router.id} would have {len(targets)} targets ({key}) of all its BGPVPNs: the agents take "
                f"{MAX_TARGETS}"
            )
    return None


def overlap(router, others):
    """Why the subnets of a router cannot be in its VNI beside those of the others, or None: the fabric has each address
    once. A network that several routers are on is one."""
    vni = next((vpn.vni for vpn in router.candidates()), None)
    for other in others:
        if other.id == router.id or next((vpn.vni for vpn in other.candidates()), None) != vni:
            continue
        for network, prefix in served(router):
            for beside, held in served(other):
                if network != beside and ipaddress.ip_network(prefix).overlaps(ipaddress.ip_network(held)):
                    return (
                        f"subnet {prefix} of router {router.id} overlaps with {held} of router {other.id} in vni {vni}"
                    )
    return None


def served(router):
    """The subnets of a router that are in its VPN, each with its network."""
    chosen = _chosen(router)
    networks = {network for _, network in router.interfaces if _is_meant(router, network, chosen)}
    return [(network, prefix) for network, prefix in router.subnets if network in networks]


def _chosen(router):
    candidates = router.candidates()
    return [vpn for vpn in candidates if vpn.vni == candidates[0].vni]


def _is_meant(router, network, chosen):
    of_network = router.network_vpns.get(network, ())
    return any(vpn in chosen for vpn in router.vpns) or any(vpn in chosen for vpn in of_network)


def hides_its_vpn(router):
    """Whether SNAT on the gateway of a router in a VPN hides its VMs from it."""
    return router.snat and bool(router.gateways) and bool(router.candidates())


def annotations(router, configured_as):
    """The annotation of each port of a router: port id to external_ids, empty where the port has none."""
    chosen = _chosen(router)
    values = _values(chosen, configured_as) if chosen else {}
    wished = {port: values if _is_meant(router, network, chosen) else {} for port, network in router.interfaces}
    wished.update({port: values for port in router.gateways})
    return wished


def _values(vpns, configured_as):
    ordered = sorted(vpns, key=_by_id)
    values = {"vni": str(ordered[0].vni)}
    asn = next((vpn.asn(configured_as) for vpn in ordered if vpn.asn(configured_as)), None)
    if asn is not None:
        values["as"] = str(asn)
    for key, targets in _lists(ordered).items():
        if targets:
            values[key] = json.dumps(targets)
    return {PREFIX + key: value for key, value in values.items()}


def _lists(vpns):
    """The lists of an annotation, each target once, in the order of the BGPVPNs."""
    lists = {
        "rt": [target for vpn in vpns for target in vpn.route_targets],
        "it": [target for vpn in vpns for target in vpn.import_targets],
        "et": [target for vpn in vpns for target in vpn.export_targets],
        "rd": [target for vpn in vpns for target in vpn.route_distinguishers][:1],
    }
    return {key: list(dict.fromkeys(targets)) for key, targets in lists.items()}
