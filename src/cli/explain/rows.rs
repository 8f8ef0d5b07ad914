//! The rows that a chain is walked through: Port_Binding, Chassis, Datapath_Binding and load balancers of the Southbound, what
//! the Northbound tells of SNAT where that matters, and this node's settings and ports in Open_vSwitch. Read once, as they are.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use crate::{
    cli::{
        doctor::ovs::southbound_remotes,
        peers::database::{Database, Row, entry, strings, text},
    },
    config::Config,
    intent::port,
    northbound::Translations,
    ovsdb::{
        row::{RawRow, Row as Typed},
        tables::{CIDRS, DatapathGroup, LoadBalancer, LogicalRouter, LogicalRouterPort, Nat},
        value::Strings,
    },
    southbound::Balancers,
};

/// The rows.
#[derive(Debug, Default)]
pub struct Rows {
    /// This node's system-id.
    pub system_id: String,
    /// Physical networks, each with its bridge.
    pub mappings: BTreeMap<String, String>,
    /// OpenFlow numbers of this node's interfaces, by name; the error in place of one that does not work.
    pub interfaces: HashMap<String, Result<String, String>>,
    /// Names of this node's patch ports, by the localnet that they stand for.
    pub patches: HashMap<String, String>,
    /// Ports, by name.
    pub ports: BTreeMap<String, Port>,
    /// Names of chassis, by UUID.
    pub chassis: HashMap<String, String>,
    /// Names of datapaths, by UUID.
    pub datapaths: HashMap<String, Vec<String>>,
    /// Load balancers, where the BGP mode is on.
    pub balancers: Balancers,
    /// What routers translate, where that is asked; the error in place of a Northbound that does not answer.
    pub translations: Option<Result<Translations, String>>,
}

/// A row of Port_Binding.
#[derive(Clone, Debug, Default)]
pub struct Port {
    /// `logical_port`.
    pub name: String,
    /// `type`.
    pub kind: String,
    /// The UUID of its datapath.
    pub datapath: String,
    /// The UUID of its chassis.
    pub chassis: Option<String>,
    /// `mac`, split into words; behind `unknown` alone the addresses that Neutron knows.
    pub mac: Vec<String>,
    /// `nat_addresses`.
    pub nat: Strings,
    /// `tag`.
    pub tag: Option<u16>,
    row: Row,
}

impl Port {
    /// An option.
    pub fn option(&self, key: &str) -> Option<String> {
        entry(&self.row, "options", key)
    }

    /// An annotation, or whatever else stands in `external_ids`.
    pub fn external_id(&self, key: &str) -> Option<String> {
        entry(&self.row, "external_ids", key)
    }
}

impl Rows {
    /// Reads the databases.
    ///
    /// # Errors
    /// The local database or the Southbound does not answer, in words.
    pub fn read(config: &Config) -> Result<Self, String> {
        let mut rows = Self::default();
        let remotes = rows.read_vswitch(config)?;
        let mut database = Database::reach(&remotes, Some(&config.tls))?;
        let mut select = |table, columns: &[&str]| database.select("OVN_Southbound", table, columns);
        for row in select("Chassis", &["_uuid", "name"])? {
            rows.chassis.extend(text(&row, "_uuid").zip(text(&row, "name")));
        }
        for row in select("Datapath_Binding", &["_uuid", "external_ids"])? {
            let names = ["name", "name2", "logical-router", "logical-switch"];
            let names = names.into_iter().filter_map(|key| entry(&row, "external_ids", key)).collect();
            rows.datapaths.extend(text(&row, "_uuid").map(|uuid| (uuid, names)));
        }
        if config.modes.underlay {
            for (uuid, group) in typed(select(DatapathGroup::TABLE, &[])?) {
                rows.balancers.put_group(uuid, group);
            }
            for (uuid, balancer) in typed(select(LoadBalancer::TABLE, &[])?) {
                rows.balancers.put(uuid, Some(balancer));
            }
        }
        let columns = [
            "logical_port",
            "type",
            "datapath",
            "chassis",
            "mac",
            "options",
            "external_ids",
            "nat_addresses",
            "tag",
        ];
        for row in select("Port_Binding", &columns)? {
            rows.add(row);
        }
        rows.translations = config.asks_northbound().then(|| translations(config));
        Ok(rows)
    }

    /// Takes a port over.
    pub fn add(&mut self, row: Row) {
        let mac = row.get("mac").map(strings).unwrap_or_default();
        let given =
            entry(&row, "external_ids", CIDRS).filter(|_| port::is_unknown(mac.iter().map(String::as_str)));
        let words = mac.iter().chain(&given).flat_map(|words| words.split_whitespace());
        let port = Port {
            name: text(&row, "logical_port").unwrap_or_default(),
            kind: text(&row, "type").unwrap_or_default(),
            datapath: text(&row, "datapath").unwrap_or_default(),
            chassis: text(&row, "chassis"),
            nat: row.get("nat_addresses").map(strings).unwrap_or_default().iter().collect(),
            tag: text(&row, "tag").and_then(|tag| tag.parse().ok()).filter(|tag| *tag != 0),
            mac: words.map(str::to_owned).collect(),
            row,
        };
        self.ports.insert(port.name.clone(), port);
    }

    /// Reads this node's; gives where the Southbound is.
    fn read_vswitch(&mut self, config: &Config) -> Result<String, String> {
        let mut database = Database::reach(&config.ovsdb_connection, None)?;
        let mut select = |table, columns: &[&str]| database.select("Open_vSwitch", table, columns);
        let switch = select("Open_vSwitch", &["external_ids"])?.into_iter().next().unwrap_or_default();
        self.system_id = entry(&switch, "external_ids", "system-id").unwrap_or_default();
        let mappings = entry(&switch, "external_ids", "ovn-bridge-mappings").unwrap_or_default();
        let pair = |pair: &str| {
            let (network, bridge) = pair.trim().split_once(':')?;
            Some((network.to_owned(), bridge.to_owned()))
        };
        self.mappings = mappings.split(',').filter_map(pair).collect();
        for row in select("Port", &["name", "external_ids"])? {
            let localnet = entry(&row, "external_ids", "ovn-localnet-port");
            self.patches.extend(localnet.zip(text(&row, "name")));
        }
        for row in select("Interface", &["name", "ofport", "error"])? {
            let number = match text(&row, "error") {
                Some(error) => Err(error),
                None => text(&row, "ofport").ok_or_else(|| "it has no OpenFlow number yet".to_owned()),
            };
            self.interfaces.extend(text(&row, "name").map(|name| (name, number)));
        }
        southbound_remotes(config, &switch).ok_or_else(|| "ovn-remote is not set in Open_vSwitch".to_owned())
    }

    /// The ports of a datapath.
    pub fn on<'a>(&'a self, datapath: &'a str) -> impl Iterator<Item = &'a Port> {
        self.ports.values().filter(move |port| port.datapath == datapath)
    }

    /// The localnet port of a datapath; of several segments' the one that is mapped on this node.
    pub fn localnet(&self, datapath: &str) -> Option<&Port> {
        let is_mapped =
            |port: &&Port| port.option("network_name").is_some_and(|name| self.mappings.contains_key(&name));
        let localnets = || {
            let on_it = self.ports.values().filter(|port| port.datapath == datapath);
            on_it.filter(|port| port.kind == "localnet")
        };
        localnets().find(is_mapped).or_else(|| localnets().next())
    }

    /// The name of the chassis that a port is bound on.
    pub fn chassis_of(&self, port: &Port) -> Option<&str> {
        let uuid = port.chassis.as_ref()?;
        Some(self.chassis.get(uuid).map_or("a chassis that is gone", String::as_str))
    }
}

/// What the Northbound tells of SNAT.
fn translations(config: &Config) -> Result<Translations, String> {
    let mut database = Database::reach(&config.nb_connection, Some(&config.nb_tls))?;
    let mut select = |table, columns: &[&str]| database.select("OVN_Northbound", table, columns);
    let mut translations = Translations::default();
    translations.replace(
        typed(select(LogicalRouter::TABLE, &["_uuid", "ports", "nat"])?).collect(),
        typed(select(LogicalRouterPort::TABLE, &["_uuid", "name"])?).collect(),
        typed(select(Nat::TABLE, &["_uuid", "type", "logical_ip"])?).collect(),
    );
    Ok(translations)
}

/// Rows as types; one that cannot be read is left out.
fn typed<R: Typed>(rows: Vec<Row>) -> impl Iterator<Item = (Uuid, R)> {
    rows.into_iter().filter_map(|row| {
        let uuid = text(&row, "_uuid")?.parse().ok()?;
        let json = serde_json::to_string(&row).ok()?;
        Some((uuid, R::from_row(&RawRow::new(uuid, &json)).ok()?))
    })
}
