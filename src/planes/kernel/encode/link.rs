//! Operations on links to netlink messages.
//!
//! **A new link gets an index of our choosing** (RTM_NEWLINK takes `ifi_index` as a wish, and so does the header of a
//! veth's other end; `rtnl_newlink_create` in net/core/rtnetlink.c, `veth_newlink`). A master, an address or a route
//! names its link by index, so a whole tree of links with all that is on them fits into one batch, with no reading back
//! in between. An index that is taken after all is refused.
//!
//! **A link is made in steps**, since RTM_NEWLINK sets neither the alias nor the per-device settings of a new link: made
//! in its master, marked and set, and only then brought up, so that no IPv6 link-local address appears in between.

use rustix::io::Errno;

use super::{Requests, Scene, Step};
use crate::{
    model::IfName,
    planes::{
        Verb,
        kernel::{decode::alias, object::*, uapi::*, wire::Writer},
    },
};

pub(super) fn encode(
    step: Step,
    verb: Verb,
    object: &Link,
    scene: &mut Scene<'_>,
    out: &mut Requests,
) -> Result<(), String> {
    match (verb, scene.link(object.name)) {
        (Verb::Remove, None) => Ok(()),
        (Verb::Remove, Some(standing)) => remove(step, object, standing, scene, out),
        (Verb::Create, None) => create(step, object, scene, out),
        (Verb::Create | Verb::Update, Some(standing)) => change(step, object, standing, scene, out),
        (Verb::Update, None) => Err("it is not there any more".to_owned()),
    }
}

/// By index, which is never given to another link soon: the name may belong to another one by now.
fn remove(
    step: Step,
    object: &Link,
    standing: (u32, Link),
    scene: &mut Scene<'_>,
    out: &mut Requests,
) -> Result<(), String> {
    let (index, standing) = standing;
    if object.owner.is_none() || standing.owner != object.owner {
        return Err("it does not carry our alias any more: left alone".to_owned());
    }
    let step = Step { fine: &[Errno::NODEV], ..step };
    out.message(step, RTM_DELLINK, 0, |w| write_head(w, index, 0, 0));
    scene.made.insert(object.name, None);
    Ok(())
}

fn create(step: Step, object: &Link, scene: &mut Scene<'_>, out: &mut Requests) -> Result<(), String> {
    if let LinkKind::Other(kind) = &object.kind {
        return Err(format!("a link of kind {kind:?} is not made by netlink"));
    }
    let master = object.master.map(|master| scene.needed(master)).transpose()?;
    let index = scene.indexes.fresh(scene.actual);
    let peer = match object.kind {
        LinkKind::Veth { peer: Some(peer) } => Some((peer, scene.indexes.fresh(scene.actual))),
        LinkKind::Veth { peer: None } => return Err("a veth needs the name of its other end".to_owned()),
        _ => None,
    };
    let lower = match object.kind {
        LinkKind::Vlan { of: Some(of), .. } => Some(scene.needed(of)?),
        LinkKind::Vlan { of: None, .. } => {
            return Err("a VLAN needs the name of the link it is of".to_owned());
        }
        _ => None,
    };
    out.message(step, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, |w| {
        write_head(w, index, 0, 0);
        w.text(IFLA_IFNAME, object.name.as_str());
        write_plain(w, object);
        if let Some(lower) = lower {
            w.number(IFLA_LINK, lower);
        }
        if let Some(master) = master {
            w.number(IFLA_MASTER, master);
        }
        w.nested(IFLA_LINKINFO, |w| write_new_kind(w, &object.kind, peer));
    });
    if let Some((name, index)) = peer {
        scene.made.insert(name, Some((index, other_end(name, object.name))));
    }
    mark(step, index, object, out, |_| {});
    bring(step, index, object.up, out);
    scene.made.insert(object.name, Some((index, object.clone())));
    Ok(())
}

/// The other end of a new pair as the kernel makes it: it waits for its own operation.
fn other_end(name: IfName, peer: IfName) -> Link {
    Link {
        name,
        kind: LinkKind::Veth { peer: Some(peer) },
        master: None,
        up: false,
        mtu: None,
        owner: None,
        settings: Settings::default(),
        mac: None,
    }
}

fn change(
    step: Step,
    object: &Link,
    standing: (u32, Link),
    scene: &mut Scene<'_>,
    out: &mut Requests,
) -> Result<(), String> {
    let (index, standing) = standing;
    same_kind(&object.kind, &standing.kind)?;
    if let Some(other) = standing.owner.filter(|owner| Some(*owner) != object.owner) {
        return Err(format!("it carries the alias of {other}"));
    }
    let master = object.master.map(|master| scene.needed(master)).transpose()?;
    if matches!(object.kind, LinkKind::Vxlan { .. } | LinkKind::Bridge) {
        let step = Step { doing: "change its kind's settings", ..step };
        out.message(step, RTM_NEWLINK, 0, |w| {
            write_head(w, index, 0, 0);
            w.nested(IFLA_LINKINFO, |w| write_changed_kind(w, &object.kind));
        });
    }
    mark(step, index, object, out, |w| {
        write_plain(w, object);
        // Where none is wished, the master is not ours to keep: OVS enslaves its ports.
        if let Some(master) = master {
            w.number(IFLA_MASTER, master);
        }
    });
    bring(step, index, object.up, out);
    scene.made.insert(object.name, Some((index, object.clone())));
    Ok(())
}

/// Whether a link that stands can be made what is wished. A VXLAN's local address can be changed (by an address of the
/// same family, which the kernel checks), its id and port cannot.
fn same_kind(wished: &LinkKind, standing: &LinkKind) -> Result<(), String> {
    let same = match (wished, standing) {
        (LinkKind::Vxlan { id, port, .. }, LinkKind::Vxlan { id: i, port: p, .. }) => (id, port) == (i, p),
        // What OVS has made is what was waited for, whatever the kernel calls its kind.
        (LinkKind::Other(_), LinkKind::Other(_)) => true,
        _ => wished == standing,
    };
    if same { Ok(()) } else { Err(format!("a foreign link of that name is there: {standing:?}")) }
}

/// Alias, settings, and what else `more` writes. IPv6 has a message of its own: where the host has none, or the link's
/// MTU is below what IPv6 needs, the kernel refuses it whole, and rightly nothing is to be done.
fn mark(step: Step, index: u32, object: &Link, out: &mut Requests, more: impl FnOnce(&mut Writer)) {
    let marking = Step { doing: "set its alias and settings", ..step };
    out.message(marking, RTM_SETLINK, 0, |w| {
        write_head(w, index, 0, 0);
        if let Some(owner) = object.owner {
            w.text(IFLA_IFALIAS, &alias(owner));
        }
        more(w);
        write_ipv4_settings(w, object.settings);
    });
    if object.settings.no_ipv6_autogen {
        let step = Step { doing: "set its IPv6 settings", fine: &[Errno::AFNOSUPPORT], ..step };
        out.message(step, RTM_SETLINK, 0, |w| {
            write_head(w, index, 0, 0);
            w.nested(IFLA_AF_SPEC, |w| {
                w.nested(u16::from(AF_INET6), |w| {
                    w.attribute(IFLA_INET6_ADDR_GEN_MODE, &[IN6_ADDR_GEN_MODE_NONE])
                });
            });
        });
    }
}

fn bring(step: Step, index: u32, up: bool, out: &mut Requests) {
    let step = Step { doing: if up { "bring it up" } else { "take it down" }, ..step };
    let flags = if up { IFF_UP } else { 0 };
    out.message(step, RTM_SETLINK, 0, |w| write_head(w, index, flags, IFF_UP));
}

/// `struct ifinfomsg`; `change` says which of the flags are meant.
fn write_head(w: &mut Writer, index: u32, flags: u32, change: u32) {
    w.fixed(&[AF_UNSPEC, 0, 0, 0]);
    for field in [index, flags, change] {
        w.fixed(&field.to_ne_bytes());
    }
}

fn write_plain(w: &mut Writer, object: &Link) {
    if let Some(mtu) = object.mtu {
        w.number(IFLA_MTU, mtu);
    }
    if let Some(mac) = object.mac {
        w.attribute(IFLA_ADDRESS, &mac.0);
    }
}

fn write_new_kind(w: &mut Writer, kind: &LinkKind, peer: Option<(IfName, u32)>) {
    w.text(IFLA_INFO_KIND, kind_word(kind));
    w.nested(IFLA_INFO_DATA, |w| match kind {
        LinkKind::Vrf { table } => w.number(IFLA_VRF_TABLE, *table),
        LinkKind::Vxlan { id, port, .. } => {
            w.number(IFLA_VXLAN_ID, *id);
            w.attribute(IFLA_VXLAN_PORT, &port.to_be_bytes());
            write_changeable(w, kind);
        }
        LinkKind::Veth { .. } => {
            let Some((name, index)) = peer else { return };
            w.nested(VETH_INFO_PEER, |w| {
                write_head(w, index, 0, 0);
                w.text(IFLA_IFNAME, name.as_str());
            });
        }
        LinkKind::Vlan { tag, .. } => w.attribute(IFLA_VLAN_ID, &tag.to_ne_bytes()),
        LinkKind::Bridge => write_changeable(w, kind),
        LinkKind::Dummy | LinkKind::Other(_) => {}
    });
}

fn write_changed_kind(w: &mut Writer, kind: &LinkKind) {
    w.text(IFLA_INFO_KIND, kind_word(kind));
    w.nested(IFLA_INFO_DATA, |w| write_changeable(w, kind));
}

fn write_changeable(w: &mut Writer, kind: &LinkKind) {
    match kind {
        LinkKind::Bridge => {
            w.number(IFLA_BR_STP_STATE, 0);
            // A port's PVID has no meaning without VLAN filtering, but zebra 8.4 keeps all VXLAN devices of one PVID, whatever
            // their bridge, under the first bridge that it sees, and dies when that one is gone (`zebra_evpn_vl_vxl_ref`).
            // A kernel without CONFIG_BRIDGE_VLAN_FILTERING passes over it.
            w.attribute(IFLA_BR_VLAN_DEFAULT_PVID, &0_u16.to_ne_bytes());
        }
        LinkKind::Vxlan { local, .. } => {
            w.ip(if local.is_ipv4() { IFLA_VXLAN_LOCAL } else { IFLA_VXLAN_LOCAL6 }, *local);
            w.attribute(IFLA_VXLAN_LEARNING, &[0]);
        }
        _ => {}
    }
}

/// The kernel's word for the kind.
fn kind_word(kind: &LinkKind) -> &str {
    match kind {
        LinkKind::Vrf { .. } => "vrf",
        LinkKind::Bridge => "bridge",
        LinkKind::Vxlan { .. } => "vxlan",
        LinkKind::Dummy => "dummy",
        LinkKind::Vlan { .. } => "vlan",
        LinkKind::Veth { .. } => "veth",
        LinkKind::Other(word) => word,
    }
}

/// `inet_set_link_af` in net/ipv4/devinet.c: each attribute's type is the number of the setting.
fn write_ipv4_settings(w: &mut Writer, settings: Settings) {
    if !settings.ipv4_forwarding && !settings.no_rp_filter {
        return;
    }
    w.nested(IFLA_AF_SPEC, |w| {
        w.nested(u16::from(AF_INET), |w| {
            w.nested(IFLA_INET_CONF, |w| {
                if settings.ipv4_forwarding {
                    w.number(IPV4_DEVCONF_FORWARDING, 1);
                }
                if settings.no_rp_filter {
                    w.number(IPV4_DEVCONF_RP_FILTER, 0);
                }
            });
        });
    });
}
