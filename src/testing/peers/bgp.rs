//! What FRR's fake makes of the kernel's addresses and routes, and what it answers about them; and its route-maps.

use super::*;
use crate::planes::frr::{
    object::UnusedMaps,
    question::{Answer, Held, ToCount},
};

impl Peers {
    /// zebra hears of an address, and BGP of it.
    pub(super) fn hear(&mut self, object: &Object, stands: bool) {
        let told = match object {
            // Those of whole subnets are not asked for.
            Object::Kernel(KernelObject::Address(address))
                if address.length == Prefix::from(address.ip).prefix_len() =>
            {
                (address.dev, address.ip)
            }
            Object::Kernel(KernelObject::Route(route)) if route.exposes() => {
                let Some(vni) = Vni::new(route.table) else { return };
                (names::dummy(vni), route.prefix.addr())
            }
            _ => return,
        };
        match stands {
            _ if self.deaf => false,
            true => self.bgp.insert(told),
            false => self.bgp.remove(&told),
        };
    }

    /// What bgpd tells of prefixes.
    pub(super) fn tell(&mut self, question: Question) -> Vec<Answer> {
        self.questions.push(question.clone());
        match question {
            Question::Originated(vrfs) => {
                let tell = |vrf| Answer::Originated { vrf, hosts: Some(self.originated(vrf)) };
                vrfs.into_iter().map(tell).collect()
            }
            Question::Count(vrfs) => vrfs.into_iter().map(|vrf| self.count(vrf)).collect(),
            // Who waits for one that does not come is not answered.
            Question::Sight(what) if self.originated(what.vrf).contains(&what.host) => {
                vec![Answer::Sighted { what, seen: true }]
            }
            Question::Sight(_) | Question::TellZebra(_) => Vec::new(),
        }
    }

    fn count(&self, ToCount { vrf, vni, known }: ToCount) -> Answer {
        let hosts = self.originated(vrf);
        let total = Some(hosts.len());
        let type5 = vni.map(|_| hosts.clone()).unwrap_or_default();
        let held = (known != total).then_some(Held { bgpd: hosts, type5 });
        Answer::Counted { vrf, total, held }
    }

    /// bgpd's route-maps of ours are told of where no instance names them any more.
    pub(super) fn settle_maps(&mut self) {
        let uses =
            |object: &Object| matches!(object, Object::Frr(FrrObject::Bgp(bgp)) if bgp.settings.uses_maps());
        let used = self.objects.values().any(uses);
        let key: Key = FrrKey::Maps.into();
        match (used, self.objects.contains_key(&key)) {
            (true, true) => self.take(&key),
            (false, false) if self.has_maps => self.put(FrrObject::Maps(UnusedMaps)),
            _ => {}
        }
        self.has_maps |= used;
    }

    /// What the VRF of a VNI, or that of the BGP mode, originates, as bgpd would tell it.
    fn originated(&self, vrf: IfName) -> BTreeSet<IpAddr> {
        let dummy = names::vni_of(&vrf).map_or(name("bgp-nic"), names::dummy);
        self.bgp.iter().filter(|(dev, _)| *dev == dummy).map(|(_, ip)| *ip).collect()
    }
}
