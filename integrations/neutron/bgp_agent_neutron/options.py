"""The options in [ovn_bgpvpn] of Neutron's configuration."""

from oslo_config import cfg

GROUP = "ovn_bgpvpn"

OPTIONS = [
    cfg.IntOpt(
        "bgp_as",
        min=1,
        max=2**32 - 1,
        help="AS of the tenants' BGP instances on the gateway nodes. Without it the AS of a BGPVPN's first route target "
        "of the form AS:number is taken; where there is none, the agents' own bgp_AS holds.",
    ),
    cfg.IntOpt(
        "sync_interval",
        default=60,
        min=1,
        help="Seconds between two comparisons of Neutron's database with OVN's annotations in the OVN maintenance "
        "worker. What could not be written at once is written then.",
    ),
]


def register(conf=cfg.CONF):
    """Makes the options known."""
    conf.register_opts(OPTIONS, GROUP)
    return conf[GROUP]
