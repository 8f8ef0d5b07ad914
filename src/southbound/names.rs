//! Ports by name, where the name stands in the row alone: of 100,000 ports a second copy would take 7 MiB.

use std::{collections::HashMap, hash::BuildHasher};

use foldhash::fast::RandomState;
use hashbrown::{HashTable, hash_table::Entry};
use uuid::Uuid;

use crate::ovsdb::tables::PortBinding;

/// The uuids of rows that are in the map which is passed with each call. The hash is seeded by chance, since names come from
/// others.
#[derive(Debug, Default)]
pub struct Names {
    uuids: HashTable<Uuid>,
    seed: RandomState,
}

impl Names {
    /// The port that has this name.
    pub fn get<'p>(
        &self,
        name: &str,
        ports: &'p HashMap<Uuid, PortBinding>,
    ) -> Option<(&'p Uuid, &'p PortBinding)> {
        let is_named = |uuid: &Uuid| name_of(uuid, ports) == name;
        ports.get_key_value(self.uuids.find(self.seed.hash_one(name), is_named)?)
    }

    /// The name of this port is its from now on, whoever had it.
    pub fn put(&mut self, uuid: Uuid, ports: &HashMap<Uuid, PortBinding>) {
        let name = name_of(&uuid, ports);
        let is_named = |uuid: &Uuid| name_of(uuid, ports) == name;
        let hash = |uuid: &Uuid| self.seed.hash_one(name_of(uuid, ports));
        match self.uuids.entry(self.seed.hash_one(name), is_named, hash) {
            Entry::Occupied(mut held) => *held.get_mut() = uuid,
            Entry::Vacant(free) => drop(free.insert(uuid)),
        }
    }

    /// A port that had this name is gone; another may have taken the name already.
    pub fn remove(&mut self, name: &str, uuid: Uuid) {
        if let Ok(held) = self.uuids.find_entry(self.seed.hash_one(name), |held| *held == uuid) {
            held.remove();
        }
    }
}

fn name_of<'p>(uuid: &Uuid, ports: &'p HashMap<Uuid, PortBinding>) -> &'p str {
    ports.get(uuid).map_or("", |row| &row.logical_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_its_last_ports() {
        let (mut names, mut ports) = (Names::default(), HashMap::new());
        let uuid = Uuid::from_u128;
        for number in 0..100 {
            let row = PortBinding { logical_port: format!("p{number}").into(), ..PortBinding::default() };
            ports.insert(uuid(number), row);
            names.put(uuid(number), &ports);
        }
        fn found(names: &Names, ports: &HashMap<Uuid, PortBinding>, name: &str) -> Option<Uuid> {
            names.get(name, ports).map(|(uuid, _)| *uuid)
        }
        assert_eq!(found(&names, &ports, "p7"), Some(uuid(7)));
        assert_eq!(found(&names, &ports, "p100"), None);
        let taken = ports[&uuid(7)].clone();
        ports.insert(uuid(200), taken);
        names.put(uuid(200), &ports);
        assert_eq!(found(&names, &ports, "p7"), Some(uuid(200)));
        ports.remove(&uuid(7));
        names.remove("p7", uuid(7));
        assert_eq!(found(&names, &ports, "p7"), Some(uuid(200)), "the other has it");
        ports.remove(&uuid(200));
        names.remove("p7", uuid(200));
        assert_eq!(found(&names, &ports, "p7"), None);
    }
}
