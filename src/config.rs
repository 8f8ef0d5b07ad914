//! The agent's options: every one typed, with its default, and its place in the files for errors.
//!
//! Files are in OpenStack's INI. A file written for the Python ovn-bgp-agent works unchanged: its options that have no
//! meaning here are known and passed over; an unknown one is a warning with the nearest known name.

mod options;
pub mod oslo;
mod underlay;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    intent::Limits,
    model::{Asn, IfName},
    ovsdb::TlsOptions,
    reconcile::MassWithdraw,
};
use oslo::{Entry, Place};
pub use underlay::{Modes, TenantNetworks, Underlay};

/// How the VRF is tied to the provider bridge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attach {
    /// A veth pair, one end in the VRF, one on the bridge: works on every datapath.
    #[default]
    Veth,
    /// The VRF device itself is a port of the bridge, as in the blog's design: only the userspace datapath takes it.
    Vrf,
}

/// How the kernel is told an address that is to be advertised, so that FRR takes it from there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expose {
    /// As an address on the VNI's dummy, as in the blog's design: FRR redistributes connected prefixes.
    #[default]
    Dummy,
    /// As a host route in the VRF's table: FRR redistributes the kernel's routes, through a route-map that lets only
    /// these pass.
    Routes,
}

/// When the agent answers ARP and ND of OVN's router for its next hop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NextHopProxy {
    /// Where no real gateway can be: the provider bridge has no ports but its own, patch ports and ours.
    #[default]
    Auto,
    /// For every address.
    Always,
    /// Not at all.
    Never,
    /// For these addresses alone.
    Only(Vec<IpAddr>),
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// A line per event; to journald with its priority and without a time of our own.
    #[default]
    Text,
    /// An object per line.
    Json,
}

/// All options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Log at debug level.
    pub debug: bool,
    /// Which modes are on.
    pub modes: Modes,
    /// What the BGP mode is told.
    pub underlay: Underlay,
    /// How often everything is read back and compared.
    pub reconcile_interval: Duration,
    /// Remotes of the local Open_vSwitch database.
    pub ovsdb_connection: String,
    /// The AS of tenants whose annotation names none.
    pub bgp_as: Asn,
    /// The VTEP address, where it is given.
    pub evpn_local_ip: Option<IpAddr>,
    /// The interface whose first address is the VTEP address, where it is given.
    pub evpn_nic: Option<IfName>,
    /// VXLAN's UDP port.
    pub evpn_udp_dstport: u16,
    /// MTU in bytes of the devices that tenants' packets pass: VXLAN, bridge, veth, dummy.
    pub mtu: u32,
    /// Remotes of the Southbound; None: those of ovn-remote.
    pub sb_connection: Option<String>,
    /// Files for `ssl:` remotes.
    pub tls: TlsOptions,
    /// Remotes of the Northbound: `bgp-agent bgpvpn` speaks to it, and the agent where an option asks for it.
    pub nb_connection: String,
    /// Files for its `ssl:` remotes.
    pub nb_tls: TlsOptions,
    /// How the VRF is tied to the bridge.
    pub attach: Attach,
    /// How the addresses of tenants are told.
    pub expose: Expose,
    /// Another MED and other export targets are given to routes as they stand.
    pub attributes_in_place: bool,
    /// When next hops are answered for.
    pub next_hop_proxy: NextHopProxy,
    /// How many VM addresses are advertised at most.
    pub limits: Limits,
    /// When and how long a mass withdrawal is held.
    pub mass_withdraw: MassWithdraw,
    /// Where FRR's vty sockets are.
    pub frr_socket_dir: PathBuf,
    /// Where OVS's `BRIDGE.mgmt` sockets are.
    pub ovs_rundir: PathBuf,
    /// Where the ledger is kept.
    pub state_dir: PathBuf,
    /// The agent's own control socket.
    pub control_socket: PathBuf,
    /// Where metrics, health and the page are served; None: nowhere.
    pub metrics_listen: Option<SocketAddr>,
    /// How the log is written.
    pub log_format: LogFormat,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            debug: false,
            modes: Modes { evpn: true, underlay: false },
            underlay: Underlay::default(),
            reconcile_interval: Duration::from_secs(120),
            ovsdb_connection: "unix:/run/openvswitch/db.sock".to_owned(),
            bgp_as: Asn::new(64999).expect("64999 is an AS"),
            evpn_local_ip: None,
            evpn_nic: None,
            evpn_udp_dstport: 4789,
            mtu: 1500,
            sb_connection: None,
            tls: python_agents_tls(),
            nb_connection: "unix:/run/ovn/ovnnb_db.sock".to_owned(),
            nb_tls: python_agents_tls(),
            attach: Attach::default(),
            expose: Expose::default(),
            attributes_in_place: false,
            next_hop_proxy: NextHopProxy::default(),
            limits: Limits::NONE,
            mass_withdraw: MassWithdraw::default(),
            frr_socket_dir: "/run/frr".into(),
            ovs_rundir: "/run/openvswitch".into(),
            state_dir: "/var/lib/bgp-agent".into(),
            control_socket: "/run/bgp-agent/control.sock".into(),
            metrics_listen: Some((Ipv4Addr::LOCALHOST, 9644).into()),
            log_format: LogFormat::default(),
        }
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file or directory could not be read.
    #[error("{path}: {error}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A directory without a single *.conf.
    #[error("{0}: no *.conf file in this directory")]
    Empty(PathBuf),
    /// A line that is no INI.
    #[error(transparent)]
    Syntax(#[from] oslo::SyntaxError),
    /// A value that the option does not take.
    #[error("{place}: {key} = {value:?}: {allowed}")]
    Value {
        /// Where.
        place: Place,
        /// The option.
        key: String,
        /// What was written.
        value: String,
        /// What is allowed.
        allowed: String,
    },
}

/// A configuration with what is worth a warning or a word in the log.
#[derive(Debug)]
pub struct Loaded {
    /// The options.
    pub config: Config,
    /// Unknown options, with their place and the nearest known name.
    pub warnings: Vec<String>,
    /// What was decided for the operator, said once.
    pub notes: Vec<String>,
}

/// The Python agent's files (7.0).
fn python_agents_tls() -> TlsOptions {
    TlsOptions {
        private_key: "/etc/pki/tls/private/ovn_bgp_agent.key".into(),
        certificate: "/etc/pki/tls/certs/ovn_bgp_agent.crt".into(),
        ca_cert: "/etc/ipa/ca.crt".into(),
    }
}

impl Config {
    /// Reads a file, or all *.conf of a directory in name order; what is written later wins.
    pub fn load(path: &Path) -> Result<Loaded, ConfigError> {
        let mut entries = Vec::new();
        for file in files_at(path)? {
            let text = std::fs::read_to_string(&file)
                .map_err(|error| ConfigError::Read { path: file.clone(), error })?;
            entries.extend(oslo::parse(&file.display().to_string(), &text)?);
        }
        let mut loaded = Self::from_entries(&entries)?;
        let path = loaded.config.underlay.rt_tables.clone();
        loaded.config.underlay.tables =
            underlay::read_tables(&path).map_err(|error| ConfigError::Read { path, error })?;
        Ok(loaded)
    }

    /// The OpenFlow socket of a bridge: its name may hold a dot, which is no extension.
    pub fn mgmt_socket(&self, bridge: impl std::fmt::Display) -> PathBuf {
        self.ovs_rundir.join(format!("{bridge}.mgmt"))
    }

    /// Whether the Northbound is to be read, beside the Southbound.
    pub fn asks_northbound(&self) -> bool {
        self.modes.underlay && self.underlay.asks_northbound()
    }

    /// This configuration with what `new` says of the options that can change while the agent runs, and the names of the
    /// others that differ and need a restart.
    pub fn reloaded(&self, new: Self) -> (Self, Vec<&'static str>) {
        let live = Self {
            debug: new.debug,
            reconcile_interval: new.reconcile_interval,
            evpn_local_ip: new.evpn_local_ip,
            evpn_nic: new.evpn_nic,
            evpn_udp_dstport: new.evpn_udp_dstport,
            mtu: new.mtu,
            sb_connection: new.sb_connection.clone(),
            nb_connection: new.nb_connection.clone(),
            attach: new.attach,
            expose: new.expose,
            next_hop_proxy: new.next_hop_proxy.clone(),
            limits: new.limits,
            mass_withdraw: new.mass_withdraw,
            underlay: Underlay { tables: new.underlay.tables.clone(), ..self.underlay.clone() },
            ..self.clone()
        };
        let differs = [
            ("driver", live.modes != new.modes),
            ("an option of the BGP driver", live.underlay != new.underlay),
            ("ovsdb_connection", live.ovsdb_connection != new.ovsdb_connection),
            ("bgp_AS", live.bgp_as != new.bgp_as),
            ("attributes_in_place", live.attributes_in_place != new.attributes_in_place),
            ("ovn_sb_private_key, ovn_sb_certificate or ovn_sb_ca_cert", live.tls != new.tls),
            ("ovn_nb_private_key, ovn_nb_certificate or ovn_nb_ca_cert", live.nb_tls != new.nb_tls),
            ("frr_socket_dir", live.frr_socket_dir != new.frr_socket_dir),
            ("ovs_rundir", live.ovs_rundir != new.ovs_rundir),
            ("state_dir", live.state_dir != new.state_dir),
            ("control_socket", live.control_socket != new.control_socket),
            ("metrics_listen", live.metrics_listen != new.metrics_listen),
            ("log_format", live.log_format != new.log_format),
        ];
        let later = differs.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name);
        (live, later.collect())
    }

    /// The options that these entries give; an empty value takes back what was given before, as in oslo.config.
    pub fn from_entries(entries: &[Entry]) -> Result<Loaded, ConfigError> {
        let mut loaded = Loaded { config: Self::default(), warnings: Vec::new(), notes: Vec::new() };
        for (at, entry) in entries.iter().enumerate() {
            let takes_back = |later: &Entry| {
                later.value.is_empty() && (&later.section, &later.key) == (&entry.section, &entry.key)
            };
            if let Some(option) = options::find(&entry.section, &entry.key) {
                if entries[at..].iter().any(takes_back) {
                    continue;
                }
                (option.set)(&mut loaded.config, &entry.value).map_err(|allowed| ConfigError::Value {
                    place: entry.place.clone(),
                    key: entry.key.clone(),
                    value: entry.value.clone(),
                    allowed,
                })?;
            } else if !options::known_elsewhere(&entry.section, &entry.key) {
                loaded.warnings.push(unknown(entry));
            }
        }
        if loaded.config.modes.underlay {
            check_underlay(entries)?;
        }
        let names_driver =
            |entry: &Entry| entry.section == "DEFAULT" && entry.key == "driver" && !entry.value.is_empty();
        if !entries.iter().any(names_driver) {
            loaded
                .notes
                .push("no driver is configured: the EVPN driver (ovn_evpn_driver) is used".to_owned());
        }
        Ok(loaded)
    }
}

/// What the Python agent can do beside plain routes in the host's own tables is not passed over in silence.
fn check_underlay(entries: &[Entry]) -> Result<(), ConfigError> {
    let method = |entry: &&Entry| entry.section == "DEFAULT" && entry.key == "exposing_method";
    if let Some(entry) = entries.iter().rfind(method).filter(|entry| entry.value != "underlay") {
        return Err(ConfigError::Value {
            place: entry.place.clone(),
            key: entry.key.clone(),
            value: entry.value.clone(),
            allowed: "of the ovn_bgp_driver's methods only underlay is supported".to_owned(),
        });
    }
    Ok(())
}

fn unknown(entry: &Entry) -> String {
    let Entry { section, key, place, .. } = entry;
    match options::nearest(section, key) {
        Some(name) => {
            format!("{place}: unknown option {key} in [{section}] is ignored; did you mean {name}?")
        }
        None => format!("{place}: unknown option {key} in [{section}] is ignored"),
    }
}

fn files_at(path: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let read = |error| ConfigError::Read { path: path.to_owned(), error };
    if !std::fs::metadata(path).map_err(read)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(read)? {
        let file = entry.map_err(read)?.path();
        if file.extension().is_some_and(|extension| extension == "conf") {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() { Err(ConfigError::Empty(path.to_owned())) } else { Ok(files) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::MassWithdrawLimit;

    fn load(text: &str) -> Result<Loaded, ConfigError> {
        Config::from_entries(&oslo::parse("agent.conf", text)?)
    }

    #[test]
    fn the_seeds_file_is_taken() {
        let loaded =
            load("[DEFAULT]\ndebug=True\nreconcile_interval=120\ndriver=osp_ovn_evpn_driver\n").unwrap();
        assert!(loaded.config.debug);
        assert_eq!((loaded.warnings.len(), loaded.notes.len()), (0, 0));
    }

    #[test]
    fn a_file_of_the_python_agent_is_taken() {
        let text = "[DEFAULT]\ndriver = ovn_evpn_driver\novn_sb_private_key = /k\novn_sb_certificate = /c\n\
                    ovn_sb_ca_cert = /a\novn_nb_ca_cert = /n\nfrr_reconcile_interval = 15\nbgp_nic = bgp-nic\nexpose_tenant_networks = True\nlog_file = /x\n\
                    [ovn]\novn_sb_connection = ssl:192.0.2.1:6642\novn_nb_connection = x\n[agent]\nroot_helper = sudo\n\
                    [oslo_concurrency]\nlock_path = /l\n";
        let loaded = load(text).unwrap();
        assert_eq!(loaded.config.tls.ca_cert, Path::new("/a"));
        assert_eq!(loaded.config.nb_tls.ca_cert, Path::new("/n"));
        assert_eq!(loaded.config.sb_connection.as_deref(), Some("ssl:192.0.2.1:6642"));
        assert_eq!(loaded.warnings, Vec::<String>::new());
    }

    #[test]
    fn a_wrong_value_is_named_with_its_place_and_what_is_allowed() {
        for (line, allowed) in [
            ("debug = maybe", "true or false"),
            ("reconcile_interval = 0", "seconds"),
            ("driver = ovn_bgp_drivr", "ovn_bgp_driver"),
            ("driver = ovn_bgp_driver\nexposing_method = vrf", "only underlay"),
            ("driver = ovn_stretched_l2_bgp_driver", "ovn_evpn_driver"),
            ("bgp_AS = 0", "AS number"),
            ("evpn_local_ip = here", "IP address"),
            ("evpn_nic = a/b", "interface name"),
            ("evpn_udp_dstport = 65536", "port"),
        ] {
            let error = load(&format!("[DEFAULT]\n\n{line}\n")).unwrap_err().to_string();
            let place = format!("agent.conf:{}: ", 2 + line.lines().count());
            assert!(error.starts_with(&place) && error.contains(allowed), "{error}");
        }
    }

    #[test]
    fn drivers_are_named_old_and_new_one_or_both() {
        let modes = |driver: &str| load(&format!("[DEFAULT]\ndriver = {driver}\n")).unwrap().config.modes;
        for name in ["ovn_bgp_driver", "osp_ovn_bgp_driver"] {
            assert_eq!(modes(name), Modes { evpn: false, underlay: true });
        }
        assert_eq!(modes("ovn_evpn_driver,osp_ovn_bgp_driver"), Modes { evpn: true, underlay: true });
        assert_eq!(load("[DEFAULT]\n").unwrap().config.modes, Modes { evpn: true, underlay: false });
    }

    #[test]
    fn which_tenants_networks_are_plain_routes() {
        let tenants = |text: &str| {
            let loaded = load(&format!("[DEFAULT]\ndriver = ovn_bgp_driver\n{text}\n")).unwrap();
            (loaded.config.underlay.tenant_networks(), loaded.warnings.len())
        };
        assert_eq!(tenants(""), (TenantNetworks::None, 0));
        assert_eq!(tenants("expose_ipv6_gua_tenant_networks = True"), (TenantNetworks::Global, 0));
        let both = "expose_tenant_networks = True\nexpose_ipv6_gua_tenant_networks = True";
        assert_eq!(tenants(both), (TenantNetworks::All, 0));
        let asks = |text: &str| {
            let text = format!("[DEFAULT]\ndriver = ovn_bgp_driver\n{text}\n");
            load(&text).unwrap().config.asks_northbound()
        };
        let without_snat = "require_snat_disabled_for_tenant_networks = True";
        assert!(asks(&format!("expose_tenant_networks = True\n{without_snat}")));
        assert!(!asks(without_snat) && !asks("expose_tenant_networks = True"));
    }

    #[test]
    fn our_own_options() {
        let text = "[bgp_agent]\nattach = vrf\nexpose = routes\nnext_hop_proxy = 192.0.2.1, 2001:db8::1\nstate_dir = /s\n";
        let config = load(text).unwrap().config;
        assert_eq!((config.attach, config.expose), (Attach::Vrf, Expose::Routes));
        assert_eq!(
            config.next_hop_proxy,
            NextHopProxy::Only(vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()])
        );
        assert!(load("[bgp_agent]\nattach = wire\n").unwrap_err().to_string().contains("veth or vrf"));
    }

    #[test]
    fn a_reload_takes_what_it_can_and_names_the_rest() {
        let new = load(
            "[DEFAULT]\nevpn_local_ip = 192.0.2.7\nbgp_AS = 65001\n[bgp_agent]\nstate_dir = /s\nmax_prefixes = 7\n\
             mass_withdraw_limit = 5\n[ovn]\novn_nb_ca_cert = /n\n",
        );
        let (live, later) = Config::default().reloaded(new.unwrap().config);
        assert_eq!((live.limits.per_node, live.mass_withdraw.limit), (7, MassWithdrawLimit::Prefixes(5)));
        assert_eq!(live.evpn_local_ip.unwrap().to_string(), "192.0.2.7");
        let files = "ovn_nb_private_key, ovn_nb_certificate or ovn_nb_ca_cert";
        assert_eq!((live.bgp_as, later), (Config::default().bgp_as, vec!["bgp_AS", files, "state_dir"]));
    }

    #[test]
    fn the_brakes_options() {
        let brake =
            |text: &str| load(&format!("[bgp_agent]\n{text}\n")).map(|loaded| loaded.config.mass_withdraw);
        let options = brake("mass_withdraw_limit = 20%\nmass_withdraw_hold = 0").unwrap();
        assert_eq!(options, MassWithdraw { limit: MassWithdrawLimit::Percent(20), hold: None });
        assert_eq!(brake("mass_withdraw_limit = 7").unwrap().limit, MassWithdrawLimit::Prefixes(7));
        assert!(brake("mass_withdraw_limit = 101%").unwrap_err().to_string().contains("percentage"));
        assert!(brake("mass_withdraw_hold = soon").unwrap_err().to_string().contains("seconds"));
    }

    #[test]
    fn an_empty_value_is_none() {
        let loaded = load(
            "[DEFAULT]\nevpn_nic =\ndriver =\nbgp_AS = 7\nbgp_AS =\nreconcile_interval =\nreconcile_interval = 5\n\
             [ovn]\novn_sb_connection = ssl:192.0.2.1:6642\novn_sb_connection =\n",
        );
        let loaded = loaded.unwrap();
        let reconcile_interval = std::time::Duration::from_secs(5);
        assert_eq!(loaded.config, Config { reconcile_interval, ..Config::default() });
        assert_eq!((loaded.warnings.len(), loaded.notes.len()), (0, 1));
    }

    #[test]
    fn an_unknown_option_is_a_warning_with_the_nearest_name() {
        let warnings =
            load("[DEFAULT]\nreconcile_intervall = 5\n[bgp_agent]\nstate_dri = /x\n").unwrap().warnings;
        assert!(warnings[0].contains("did you mean reconcile_interval?"), "{warnings:?}");
        assert!(warnings[1].contains("did you mean state_dir?"), "{warnings:?}");
    }

    #[test]
    fn without_a_driver_the_log_says_which_is_used() {
        assert!(load("[DEFAULT]\n").unwrap().notes[0].contains("ovn_evpn_driver"));
    }

    #[test]
    fn a_directory_is_read_in_name_order() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("20-b.conf"), "[DEFAULT]\nbgp_AS = 2\n").unwrap();
        std::fs::write(dir.path().join("10-a.conf"), "[DEFAULT]\nbgp_AS = 1\ndebug = true\n").unwrap();
        std::fs::write(dir.path().join("30-c.txt"), "nothing").unwrap();
        let config = Config::load(dir.path()).unwrap().config;
        assert_eq!((config.bgp_as.get(), config.debug), (2, true));
        assert!(matches!(Config::load(Path::new("/nonexistent.conf")), Err(ConfigError::Read { .. })));
    }
}
