//! What this plane is asked beside the objects that it keeps, and what it answers. No other plane knows any of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use crate::model::{Asn, IfName};

/// Up to how many prefixes of a table are looked at one by one to be counted. bgpd serves nobody else for 25 us per prefix that it
/// shows as JSON [FRR 8.4.4].
pub const COUNT_AT_MOST: usize = 10_000;

/// A question. One that cannot be answered, since the session is down or goes down, is not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Which host prefixes does BGP originate in each of these VRFs? Answered by one `Originated` each.
    Originated(Vec<IfName>),
    /// How far have the host prefixes of these VRFs come? Answered by one `Counted` each.
    Count(Vec<ToCount>),
    /// Tell zebra all routes of these instances again, if they are there. Not answered.
    TellZebra(BTreeSet<(Asn, IfName)>),
    /// Say so when this host prefix is there. Takes the place of the last such question.
    Sight(Sight),
}

/// A VRF whose prefixes are to be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToCount {
    /// The VRF.
    pub vrf: IfName,
    /// Its VNI; None: there are no type-5 routes to be counted.
    pub vni: Option<u32>,
    /// How many prefixes its table had when it was last counted: where it has as many still, that is the answer.
    pub known: Option<usize>,
}

/// A host prefix that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// The VRF that is to originate it.
    pub vrf: IfName,
    /// Its address.
    pub host: IpAddr,
    /// The VNI with which it is to be a type-5 route; None: being in the VRF's table is enough.
    pub vni: Option<u32>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What BGP originates in a VRF.
    Originated {
        /// The VRF.
        vrf: IfName,
        /// The addresses that it originates as host prefixes; None: that could not be read, as where there is no instance.
        hosts: Option<BTreeSet<IpAddr>>,
    },
    /// How far the prefixes of a VRF have come.
    Counted {
        /// The VRF.
        vrf: IfName,
        /// How many prefixes its table has, of whatever origin; None: that could not be read.
        total: Option<usize>,
        /// What this node originates; None: as at the last count, or too many to be listed.
        held: Option<Held>,
    },
    /// What was waited for.
    Sighted {
        /// What it was.
        what: Sight,
        /// It is there; false: it is not waited for any longer.
        seen: bool,
    },
}

/// What this node originates of a VRF, as host prefixes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// In the VRF's BGP table.
    pub bgpd: BTreeSet<IpAddr>,
    /// As type-5 routes under the VRF's route distinguisher.
    pub type5: BTreeSet<IpAddr>,
}

/// FRR's daemons that are spoken with, by name; each with the reason where it cannot be spoken with.
pub type Daemons = BTreeMap<&'static str, Option<String>>;
