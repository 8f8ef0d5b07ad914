//! Objects by their keys, for tables of a hundred thousand of them: an object carries its key, so that is not kept a second
//! time beside it, and a part takes the room of a VNI where it is a tenant's.

use std::{hash::BuildHasher, sync::Arc};

use foldhash::fast::RandomState;
use hashbrown::{HashTable, hash_table::Entry};

use super::{
    object::{Key, Object},
    part::Part,
};
use crate::model::Vni;

/// What carries its key.
pub trait Keyed {
    /// That of its object.
    fn key(&self) -> Key;
}

impl Keyed for Arc<Object> {
    fn key(&self) -> Key {
        Object::key(self)
    }
}

/// What a part wishes.
#[derive(Clone, Debug)]
pub struct Wished {
    whose: Whose,
    /// The object as it should be.
    pub object: Arc<Object>,
}

/// A part in little room.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Whose {
    Tenant(Vni),
    Other(Box<Part>),
}

impl Wished {
    /// An object of this part's.
    pub fn new(part: Part, object: Arc<Object>) -> Self {
        let whose = part.vni().map_or_else(|| Whose::Other(Box::new(part)), Whose::Tenant);
        Self { whose, object }
    }

    /// Whose wish it is.
    pub fn part(&self) -> Part {
        match &self.whose {
            Whose::Tenant(vni) => Part::Vni(*vni),
            Whose::Other(part) => **part,
        }
    }
}

impl Keyed for Wished {
    fn key(&self) -> Key {
        Object::key(&self.object)
    }
}

/// The table. Its hash is seeded by chance, as that of `KeyMap`.
#[derive(Debug)]
pub struct Table<T> {
    rows: HashTable<T>,
    seed: RandomState,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { rows: HashTable::new(), seed: RandomState::default() }
    }
}

impl<T: Keyed> Table<T> {
    /// What is there under this key.
    pub fn get(&self, key: &Key) -> Option<&T> {
        self.rows.find(self.seed.hash_one(key), |row| row.key() == *key)
    }

    /// Whether something is.
    pub fn has(&self, key: &Key) -> bool {
        self.get(key).is_some()
    }

    /// Puts it under its object's key; gives what was there before.
    pub fn put(&mut self, row: T) -> Option<T> {
        let key = row.key();
        let hash = |row: &T| self.seed.hash_one(row.key());
        match self.rows.entry(self.seed.hash_one(&key), |row| row.key() == key, hash) {
            Entry::Occupied(mut held) => Some(std::mem::replace(held.get_mut(), row)),
            Entry::Vacant(free) => {
                free.insert(row);
                None
            }
        }
    }

    /// Takes what is there under this key away.
    pub fn take(&mut self, key: &Key) -> Option<T> {
        let held = self.rows.find_entry(self.seed.hash_one(key), |row| row.key() == *key);
        held.ok().map(|held| held.remove().0)
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.rows.iter()
    }

    /// The key of each.
    pub fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        self.rows.iter().map(|row| row.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planes::kernel::object::{Address, KernelKey, KernelObject};

    fn address(number: u8, length: u8) -> Arc<Object> {
        let dev = "lo-1".parse().unwrap();
        Arc::new(
            KernelObject::Address(Address { length, ..Address::host(dev, [10, 0, 0, number].into()) }).into(),
        )
    }

    #[test]
    fn rows_are_found_replaced_and_taken_by_the_key_of_their_object() {
        let mut table = Table::default();
        for number in 0..=255 {
            assert!(table.put(address(number, 32)).is_none());
        }
        let key = address(7, 32).key();
        assert_eq!(table.get(&key), Some(&address(7, 32)));
        assert_eq!(table.put(address(7, 32)), Some(address(7, 32)));
        assert_eq!(table.iter().count(), 256);
        assert!(!table.has(&address(7, 24).key()), "another length is another key");
        assert_eq!(table.take(&key), Some(address(7, 32)));
        assert!(table.take(&key).is_none() && !table.has(&key));
        assert_eq!(
            table.keys().filter(|key| matches!(key, Key::Kernel(KernelKey::Address(..)))).count(),
            255
        );
    }

    #[test]
    fn a_part_is_what_it_was() {
        let vni = Part::Vni(Vni::new(7).unwrap());
        for part in [vni, Part::Base, Part::Network(uuid::Uuid::from_u128(1))] {
            assert_eq!(Wished::new(part, address(1, 32)).part(), part);
        }
        assert_eq!(size_of::<Wished>(), 24);
    }
}
