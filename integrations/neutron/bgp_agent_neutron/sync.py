"""bgp-agent-neutron-sync: compares OVN's annotations with Neutron's database, and repairs them.

Exit status 0 when all is as it should be, or is now; 1 where `--mode log` found differences.
"""

import sys

from neutron.common import config as common_config
from neutron.conf.plugins.ml2.drivers.ovn import ovn_conf
from neutron.plugins.ml2.drivers.ovn.mech_driver.ovsdb import impl_idl_ovn
from neutron.plugins.ml2.drivers.ovn.mech_driver.ovsdb import worker
from oslo_config import cfg
from oslo_log import log

from bgp_agent_neutron import mirror
from bgp_agent_neutron import northbound
from bgp_agent_neutron import options

MODE = cfg.StrOpt(
    "mode",
    default="repair",
    choices=[("log", "only say what differs"), ("repair", "write what differs")],
    help="What to do about differences.",
)


def main():
    """The command; its options are those of the Neutron server: --config-file, --config-dir."""
    conf = cfg.CONF
    common_config.register_common_config_options()
    ovn_conf.register_opts()
    options.register(conf)
    conf.register_cli_opt(MODE)
    conf(project="neutron")
    log.setup(conf, "bgp-agent-neutron-sync")
    nb = impl_idl_ovn.OvsdbNbOvnIdl.from_worker(worker.MaintenanceWorker)
    changes = mirror.all_differences(nb)
    for port, (gone, come) in sorted(changes.items()):
        print(f"port {port}: {come or 'nothing'} to be set, {gone or 'nothing'} to be removed")
    if conf.mode == "log":
        return 1 if changes else 0
    northbound.write(nb, changes)
    print(f"{len(changes)} ports repaired")
    return 0


if __name__ == "__main__":
    sys.exit(main())
