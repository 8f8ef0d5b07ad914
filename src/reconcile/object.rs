//! One word for the objects of all planes, so that the reconciler compares, orders and counts them alike.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use crate::{
    ledger::Entry,
    model::{IfName, Vni},
    planes::{
        flows::object::{FlowsKey, FlowsObject},
        frr::object::{FrrKey, FrrObject},
        kernel::object::{KernelKey, KernelObject},
        vswitch::object::{VswitchKey, VswitchObject},
    },
};

/// Any object that the agent keeps or sees.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Object {
    /// An entry of the ledger.
    Ledger(Entry),
    /// Of the kernel.
    Kernel(KernelObject),
    /// Of the local OVS database.
    Vswitch(VswitchObject),
    /// Of a provider bridge.
    Flows(FlowsObject),
    /// Of FRR.
    Frr(FrrObject),
}

/// What names any object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// An entry of the ledger.
    Ledger(Vni),
    /// Of the kernel.
    Kernel(KernelKey),
    /// Of the local OVS database.
    Vswitch(VswitchKey),
    /// Of a provider bridge.
    Flows(FlowsKey),
    /// Of FRR.
    Frr(FrrKey),
}

/// A table by key. One event asks such tables some twenty times: theirs is a hash that is quick for short keys, and seeded by
/// chance, since keys come from others.
pub type KeyMap<V> = HashMap<Key, V, foldhash::fast::RandomState>;

/// A set of keys, likewise.
pub type KeySet = HashSet<Key, foldhash::fast::RandomState>;

/// Who carries operations out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PlaneId {
    /// The ledger's file.
    Ledger,
    /// The netlink sockets.
    Kernel,
    /// The session with the local OVS database.
    Vswitch,
    /// The sessions with FRR's daemons.
    Frr,
    /// The OpenFlow session with this bridge.
    Flows(IfName),
}

impl fmt::Display for PlaneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ledger => f.write_str("ledger"),
            Self::Kernel => f.write_str("kernel"),
            Self::Vswitch => f.write_str("vswitch"),
            Self::Frr => f.write_str("frr"),
            Self::Flows(bridge) => write!(f, "flows of {bridge}"),
        }
    }
}

impl fmt::Display for Object {
    /// One line as an operator would say it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ledger(entry) => {
                write!(f, "ledger {} as {} of {}", entry.vni, entry.asn, entry.gateways.join(" "))
            }
            Self::Kernel(object) => object.fmt(f),
            Self::Vswitch(object) => object.fmt(f),
            Self::Flows(object) => object.fmt(f),
            Self::Frr(object) => object.fmt(f),
        }
    }
}

impl Object {
    /// What names this object.
    pub fn key(&self) -> Key {
        match self {
            Self::Ledger(entry) => Key::Ledger(entry.vni),
            Self::Kernel(object) => Key::Kernel(object.key()),
            Self::Vswitch(object) => Key::Vswitch(object.key()),
            Self::Flows(object) => Key::Flows(object.key()),
            Self::Frr(object) => Key::Frr(object.key()),
        }
    }
}

impl Key {
    /// Whose object it is.
    pub fn plane(&self) -> PlaneId {
        match self {
            Self::Ledger(_) => PlaneId::Ledger,
            Self::Kernel(_) => PlaneId::Kernel,
            Self::Vswitch(_) => PlaneId::Vswitch,
            Self::Frr(_) => PlaneId::Frr,
            Self::Flows(
                FlowsKey::Redirect(bridge, ..)
                | FlowsKey::Reply(bridge, ..)
                | FlowsKey::OwnArp(bridge, ..)
                | FlowsKey::Inject(bridge, ..)
                | FlowsKey::Guard(bridge, _)
                | FlowsKey::Stray(bridge, ..)
                | FlowsKey::Discovery(bridge, ..)
                | FlowsKey::Probe(bridge, _)
                | FlowsKey::Outgoing(bridge, ..)
                | FlowsKey::AnyReply(bridge, ..)
                | FlowsKey::Behind(bridge, ..)
                | FlowsKey::Unknown(bridge, ..)
                | FlowsKey::Port(bridge, _),
            ) => PlaneId::Flows(*bridge),
        }
    }
}

/// An object that was given to another plane than its own.
#[derive(Debug, PartialEq, Eq)]
pub struct Misdirected;

macro_rules! into_object {
    ($($plane:ident: $object:ty, $key:ty;)*) => {$(
        impl From<$object> for Object {
            fn from(object: $object) -> Self {
                Self::$plane(object)
            }
        }

        impl TryFrom<Object> for $object {
            type Error = Misdirected;

            fn try_from(object: Object) -> Result<Self, Misdirected> {
                match object {
                    Object::$plane(object) => Ok(object),
                    _ => Err(Misdirected),
                }
            }
        }

        impl From<$key> for Key {
            fn from(key: $key) -> Self {
                Self::$plane(key)
            }
        }
    )*};
}

into_object! {
    Ledger: Entry, Vni;
    Kernel: KernelObject, KernelKey;
    Vswitch: VswitchObject, VswitchKey;
    Flows: FlowsObject, FlowsKey;
    Frr: FrrObject, FrrKey;
}
