//! The `nat_addresses` column of Port_Binding (ovn-sb(5)): which addresses a router answers for on a provider network, and on
//! which chassis.

use std::net::IpAddr;

use crate::{model::MacAddr, ovsdb::value::Strings};

/// One entry: `MAC IP.. [is_chassis_resident("PORT")]`.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Who answers.
    pub mac: MacAddr,
    /// For which addresses.
    pub addresses: Vec<IpAddr>,
    /// Where this port is; None: where the row's own port is.
    pub resident: Option<&'a str>,
}

/// The entries that can be read; `router` and what northd would not write are none.
pub fn entries(column: &Strings) -> impl Iterator<Item = Entry<'_>> {
    column.iter().filter_map(entry)
}

fn entry(text: &str) -> Option<Entry<'_>> {
    let mut words = text.split_ascii_whitespace();
    let mac = words.next()?.parse().ok()?;
    let mut entry = Entry { mac, addresses: Vec::new(), resident: None };
    for word in words {
        match word.parse() {
            Ok(address) if entry.resident.is_none() => entry.addresses.push(address),
            _ => entry.resident = Some(resident(word)?),
        }
    }
    Some(entry)
}

fn resident(word: &str) -> Option<&str> {
    word.strip_prefix("is_chassis_resident(\"")?.strip_suffix("\")")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(String, Vec<String>, Option<&str>)> {
        let entry = entry(text)?;
        let addresses = entry.addresses.iter().map(ToString::to_string).collect();
        Some((entry.mac.to_string(), addresses, entry.resident))
    }

    #[test]
    fn entries_are_as_northd_writes_them() {
        let central = read(r#"fa:16:3e:77:7f:9c 172.24.4.5 2001:db8::5 is_chassis_resident("cr-lrp-x")"#);
        let addresses = vec!["172.24.4.5".to_owned(), "2001:db8::5".to_owned()];
        assert_eq!(central, Some(("fa:16:3e:77:7f:9c".to_owned(), addresses, Some("cr-lrp-x"))));
        let own = read("fa:16:3e:77:7f:9c 172.24.4.5");
        assert_eq!(own, Some(("fa:16:3e:77:7f:9c".to_owned(), vec!["172.24.4.5".to_owned()], None)));
        for none in
            ["", "router", "fa:16:3e:77:7f:9c x", "fa:16:3e:77:7f:9c 1.2.3.4 !is_chassis_resident(\"p\")"]
        {
            assert_eq!(read(none), None, "{none:?}");
        }
    }
}
