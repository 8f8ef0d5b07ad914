//! The load balancers of the Southbound and where they are: rows of Load_Balancer and of the datapath groups that these refer to.
//! Where one is are its routers or, as an OVN tells it that has no column for them, its switches. An index leads from a datapath
//! to the load balancers there.
//!
//! Pure. A row that cannot be read counts as not there until it comes whole again.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use uuid::Uuid;

use super::remove_from;
use crate::ovsdb::{
    row::{Kind, RawChange, Row, RowError},
    tables::{DatapathGroup, LoadBalancer},
};

/// The rows, and what is known by them.
#[derive(Debug, Default)]
pub struct Balancers {
    rows: Table<LoadBalancer>,
    groups: Table<DatapathGroup>,
    /// Which load balancers refer to a group, and which are at a datapath.
    users: BTreeMap<Uuid, BTreeSet<Uuid>>,
    on: BTreeMap<Uuid, BTreeSet<Uuid>>,
    touched: BTreeSet<Uuid>,
}

/// The rows of a table; None: it cannot be read.
#[derive(Debug)]
struct Table<R>(HashMap<Uuid, Option<R>>);

impl<R> Default for Table<R> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<R: Row> Table<R> {
    fn get(&self, uuid: &Uuid) -> Option<&R> {
        self.0.get(uuid)?.as_ref()
    }

    fn apply(&mut self, change: &RawChange<'_>) {
        let row = match change.kind {
            Kind::Delete => return drop(self.0.remove(&change.uuid)),
            Kind::Initial | Kind::Insert => R::from_row(&change.row),
            Kind::Modify => {
                let Some(mut row) = self.get(&change.uuid).cloned() else { return };
                row.apply(&change.row).map(|()| row)
            }
        };
        let row = row.inspect_err(|error| tracing::warn!(%error, "a Southbound row is put aside"));
        self.0.insert(change.uuid, row.ok());
    }
}

impl Balancers {
    /// Whether a table is one of those that are held here.
    pub(super) fn holds(table: &str) -> bool {
        table == LoadBalancer::TABLE || table == DatapathGroup::TABLE
    }

    /// Whether a row of one of these tables was seen.
    pub(super) fn knows(&self, table: &str, uuid: &Uuid) -> bool {
        match table {
            LoadBalancer::TABLE => self.rows.0.contains_key(uuid),
            _ => self.groups.0.contains_key(uuid),
        }
    }

    /// Whether the row of such a change can be read at all, be it as what it should be or not.
    pub(super) fn is_json(change: &RawChange<'_>) -> Result<(), RowError> {
        let read = match change.table {
            LoadBalancer::TABLE => LoadBalancer::from_row(&change.row).map(drop),
            _ => DatapathGroup::from_row(&change.row).map(drop),
        };
        read.or_else(|error| if error.malformed { Err(error) } else { Ok(()) })
    }

    /// Takes in the change of a row of one of these tables.
    pub(super) fn apply(&mut self, change: &RawChange<'_>) {
        match change.table {
            LoadBalancer::TABLE => self.edit(change.uuid, |rows| rows.apply(change)),
            _ => self.edit_group(change.uuid, |groups| groups.apply(change)),
        }
    }

    fn edit(&mut self, uuid: Uuid, edit: impl FnOnce(&mut Table<LoadBalancer>)) {
        self.unplace(uuid);
        edit(&mut self.rows);
        self.place(uuid);
    }

    fn edit_group(&mut self, group: Uuid, edit: impl FnOnce(&mut Table<DatapathGroup>)) {
        let users = self.users.get(&group).cloned().unwrap_or_default();
        users.iter().for_each(|uuid| self.unplace(*uuid));
        edit(&mut self.groups);
        users.iter().for_each(|uuid| self.place(*uuid));
    }

    /// A load balancer came or changed; None: it went.
    pub fn put(&mut self, uuid: Uuid, row: Option<LoadBalancer>) {
        self.edit(uuid, |rows| match row {
            Some(row) => drop(rows.0.insert(uuid, Some(row))),
            None => drop(rows.0.remove(&uuid)),
        });
    }

    /// A group of datapaths came or changed.
    pub fn put_group(&mut self, uuid: Uuid, row: DatapathGroup) {
        self.edit_group(uuid, |groups| drop(groups.0.insert(uuid, Some(row))));
    }

    /// Everything is given anew.
    pub fn clear(&mut self) {
        let touched =
            std::mem::take(&mut self.touched).into_iter().chain(self.rows.0.keys().copied()).collect();
        *self = Self { touched, ..Self::default() };
    }

    /// The load balancers that came, went or changed since this was last called.
    pub(super) fn take_touched(&mut self) -> BTreeSet<Uuid> {
        std::mem::take(&mut self.touched)
    }

    /// The load balancer of this uuid.
    pub fn get(&self, uuid: &Uuid) -> Option<&LoadBalancer> {
        self.rows.get(uuid)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&Uuid, &LoadBalancer)> {
        self.rows.0.iter().filter_map(|(uuid, row)| Some((uuid, row.as_ref()?)))
    }

    /// The load balancers at this datapath.
    pub fn on(&self, datapath: Uuid) -> impl Iterator<Item = Uuid> + '_ {
        self.on.get(&datapath).into_iter().flatten().copied()
    }

    /// Whether all that says where a load balancer is has come.
    pub fn is_whole(&self, balancer: &LoadBalancer) -> bool {
        balancer.group().is_none_or(|group| self.groups.0.contains_key(&group))
    }

    /// Where a load balancer is: its routers, or its switches where it names these alone.
    pub fn places<'a>(&'a self, balancer: &'a LoadBalancer) -> impl Iterator<Item = Uuid> + 'a {
        let single = balancer.datapaths.iter().filter(|_| balancer.names_switches_alone());
        let group = balancer.group().and_then(|group| self.groups.get(&group));
        single.chain(group.into_iter().flat_map(|group| &group.datapaths)).copied()
    }

    fn places_of(&self, uuid: &Uuid) -> BTreeSet<Uuid> {
        self.rows.get(uuid).into_iter().flat_map(|row| self.places(row)).collect()
    }

    fn place(&mut self, uuid: Uuid) {
        self.touched.insert(uuid);
        for datapath in self.places_of(&uuid) {
            self.on.entry(datapath).or_default().insert(uuid);
        }
        if let Some(group) = self.rows.get(&uuid).and_then(LoadBalancer::group) {
            self.users.entry(group).or_default().insert(uuid);
        }
    }

    fn unplace(&mut self, uuid: Uuid) {
        for datapath in self.places_of(&uuid) {
            remove_from(&mut self.on, &datapath, &uuid);
        }
        if let Some(group) = self.rows.get(&uuid).and_then(LoadBalancer::group) {
            remove_from(&mut self.users, &group, &uuid);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        ovsdb::updates::{Origin, Updates},
        southbound::{Replica, feed},
    };

    fn told(replica: &mut Replica, table: &str, uuid: Uuid, change: Value, origin: Origin) {
        let update = json!({ table: { uuid.to_string(): change } });
        feed::apply(replica, &Updates::told(&update, origin)).unwrap();
    }

    #[test]
    fn a_balancer_is_where_its_groups_are_whichever_row_comes_first() {
        let mut replica = Replica::default();
        let [balancer, group, router, switch] = [1, 2, 3, 4].map(Uuid::from_u128);
        let id = |uuid: Uuid| json!(["uuid", uuid.to_string()]);
        let on = |replica: &Replica, datapath| replica.balancers().on(datapath).collect::<Vec<_>>();
        let row = json!({"name": "lb", "vips": ["map", [["172.24.4.9:80", "20.0.0.10:80"]]], "datapaths": id(switch)});
        told(&mut replica, "Load_Balancer", balancer, json!({ "insert": row }), Origin::Live);
        assert_eq!(on(&replica, switch), [balancer], "an older OVN");
        let grouped = json!({ "modify": {"lr_datapath_group": id(group)} });
        told(&mut replica, "Load_Balancer", balancer, grouped, Origin::Live);
        let whole = |replica: &Replica| {
            let balancers = replica.balancers();
            balancers.is_whole(balancers.get(&balancer).unwrap())
        };
        assert!(!whole(&replica) && on(&replica, switch).is_empty() && on(&replica, router).is_empty());
        assert_eq!(replica.take_touched().balancers, [balancer].into());
        let members = json!({ "insert": {"datapaths": id(router)} });
        told(&mut replica, "Logical_DP_Group", group, members, Origin::Live);
        assert!(whole(&replica));
        assert_eq!(on(&replica, router), [balancer]);
        assert_eq!(replica.take_touched().balancers, [balancer].into());
        let elsewhere = json!({ "modify": {"datapaths": ["set", [id(router), id(switch)]]} });
        told(&mut replica, "Logical_DP_Group", group, elsewhere, Origin::Live);
        assert!(on(&replica, router).is_empty(), "a difference: the one goes, the other comes");
        assert_eq!(on(&replica, switch), [balancer]);
        let switch_alone =
            json!({ "modify": {"lr_datapath_group": ["set", []], "ls_datapath_group": id(group)} });
        told(&mut replica, "Load_Balancer", balancer, switch_alone, Origin::Live);
        assert!(on(&replica, switch).is_empty(), "a newer OVN names the routers, and there is none");
        told(&mut replica, "Load_Balancer", balancer, json!({ "delete": null }), Origin::Live);
        assert!(replica.balancers().users.is_empty() && replica.balancers().on.is_empty());
    }

    #[test]
    fn one_that_cannot_be_read_is_not_there_until_it_comes_whole() {
        let mut replica = Replica::default();
        let balancer = Uuid::from_u128(1);
        let bad = json!({ "insert": {"name": 7} });
        told(&mut replica, "Load_Balancer", balancer, bad, Origin::Live);
        told(&mut replica, "Load_Balancer", balancer, json!({ "modify": {"name": "lb"} }), Origin::Live);
        assert_eq!(replica.balancers().get(&balancer), None);
        let good = json!({ "initial": {"name": "lb"} });
        told(&mut replica, "Load_Balancer", balancer, good, Origin::Reload);
        assert_eq!(&*replica.balancers().get(&balancer).unwrap().name, "lb");
    }
}
