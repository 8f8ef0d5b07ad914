//! The addresses of a Port_Binding: the `mac` column as northd writes it, read leniently, or what Neutron knows.

use std::net::IpAddr;

use crate::{
    model::{MacAddr, Prefix},
    ovsdb::{
        tables::{CIDRS, PortBinding},
        value::Strings,
    },
};

/// A router port's addresses: `MAC IP/len IP/len ..`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterAddresses {
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// Its addresses, each with the length of its network.
    pub networks: Vec<Prefix>,
}

/// Reads a router port's `mac`; a text that is none of it is the reason why not.
pub fn router(mac: &Strings) -> Result<RouterAddresses, String> {
    let mut words = mac.iter().flat_map(|element| element.split_ascii_whitespace());
    let first = words.next().ok_or("its mac column is empty")?;
    let mac = first.parse().map_err(|error| format!("its mac column begins with {first:?}: {error}"))?;
    let mut networks = Vec::new();
    for word in words {
        networks.push(
            word.parse().map_err(|_| format!("its mac column holds {word:?}, which is no address/length"))?,
        );
    }
    Ok(RouterAddresses { mac, networks })
}

/// The IP addresses of a workload port, each with the Ethernet address that stands before it in its element. `dynamic` and
/// `router` hold none, and neither does `unknown`: where OVN knows nothing else (Neutron writes that alone for ports without
/// port security on networks without DHCP), they are those that Neutron gave the port.
pub fn workload(row: &PortBinding) -> impl Iterator<Item = (Option<MacAddr>, IpAddr)> + '_ {
    let known = row.mac.iter().flat_map(|element| {
        let mut words = element.split_ascii_whitespace();
        let first = words.next();
        let mac = first.and_then(|word| word.parse().ok());
        let words = first.filter(|_| mac.is_none()).into_iter().chain(words);
        words.filter_map(move |word| Some((mac, word.parse().ok()?)))
    });
    let given = row.external_ids.get(CIDRS).filter(|_| is_unknown(row.mac.iter())).unwrap_or_default();
    let given = given.split_ascii_whitespace().filter_map(|word| word.parse::<Prefix>().ok());
    known.chain(given.map(|prefix| (None, prefix.addr())))
}

/// OVN knows no address of a port with this `mac` column.
pub fn is_unknown<'a>(mac: impl IntoIterator<Item = &'a str>) -> bool {
    mac.into_iter().eq(["unknown"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(elements: &[&str]) -> Strings {
        elements.iter().collect()
    }

    #[test]
    fn a_router_port_has_networks() {
        let read = router(&column(&["fa:16:3e:7f:59:7f 172.24.4.146/24 2001:db8:ffff::1/64"])).unwrap();
        assert_eq!(read.networks.len(), 2);
        for bad in
            [&[][..], &["router"], &["fa:16:3e:7f:59:7f 172.24.4.146"], &["fa:16:3e:7f:59:7f 1.2.3.4/33"]]
        {
            assert!(router(&column(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_workload_may_have_several_elements_and_none() {
        let all = |elements: &[&str]| {
            let row = PortBinding { mac: column(elements), ..PortBinding::default() };
            workload(&row).map(|(_, ip)| ip.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(all(&["fa:16:3e:00:00:10 20.0.0.10 2001:db8:1::10"]), ["20.0.0.10", "2001:db8:1::10"]);
        assert_eq!(
            all(&["fa:16:3e:00:00:10 20.0.0.10", "fa:16:3e:00:00:11 20.0.0.11"]),
            ["20.0.0.10", "20.0.0.11"]
        );
        assert_eq!(all(&["unknown"]), Vec::<String>::new());
        assert_eq!(all(&["dynamic", "fa:16:3e:00:00:10 dynamic"]), Vec::<String>::new());
    }

    #[test]
    fn of_a_port_that_ovn_knows_nothing_of_neutron_knows_the_addresses() {
        let cidrs = [(CIDRS.into(), "20.0.0.10/24 x 2001:db8:1::10/64".into())];
        let mut row = PortBinding { external_ids: cidrs.into_iter().collect(), ..PortBinding::default() };
        let all = |row: &PortBinding| workload(row).map(|(_, ip)| ip.to_string()).collect::<Vec<_>>();
        assert_eq!(all(&row), Vec::<String>::new());
        row.mac = column(&["unknown"]);
        assert_eq!(all(&row), ["20.0.0.10", "2001:db8:1::10"]);
        row.mac = column(&["fa:16:3e:00:00:10 20.0.0.11", "unknown"]);
        assert_eq!(all(&row), ["20.0.0.11"]);
    }
}
