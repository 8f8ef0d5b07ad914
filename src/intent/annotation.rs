//! The `neutron_bgpvpn:*` annotations of a port, parsed: numbers and route targets, or the reason why not.

use std::collections::BTreeSet;

use crate::{
    model::{Asn, ParseError, RouteTarget, Vni},
    ovsdb::value::Pairs,
};

/// How many route targets one annotation may list: far more than a VRF has, few enough for any line of FRR.
const MAX_TARGETS: usize = 64;

/// Every key of an annotation.
pub const KEYS: [&str; 7] = [
    "neutron_bgpvpn:vni",
    "neutron_bgpvpn:as",
    "neutron_bgpvpn:type",
    "neutron_bgpvpn:rt",
    "neutron_bgpvpn:rd",
    "neutron_bgpvpn:it",
    "neutron_bgpvpn:et",
];

/// What a port's annotation says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// `neutron_bgpvpn:vni`.
    pub vni: Vni,
    /// `neutron_bgpvpn:as`.
    pub asn: Option<Asn>,
    /// The first of `neutron_bgpvpn:rd`: of a list one may be chosen, says the BGPVPN API.
    pub rd: Option<RouteTarget>,
    /// `neutron_bgpvpn:rt` and `:it`.
    pub import: BTreeSet<RouteTarget>,
    /// `neutron_bgpvpn:rt` and `:et`.
    pub export: BTreeSet<RouteTarget>,
}

/// Why an annotation cannot be used: which key, and what is wrong with its value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neutron_bgpvpn:{key}: {problem}")]
pub struct AnnotationError {
    key: &'static str,
    problem: String,
}

/// Reads the annotation among these external_ids; None where there is none.
pub fn read(external_ids: &Pairs) -> Result<Option<Annotation>, AnnotationError> {
    let Some(vni) = external_ids.get("neutron_bgpvpn:vni") else {
        return Ok(None);
    };
    if let Some(kind) = external_ids.get("neutron_bgpvpn:type").filter(|kind| *kind != "l3") {
        let problem = format!("{kind:?} is not supported; only l3 is");
        return Err(AnnotationError { key: "type", problem });
    }
    let vni = vni.parse().map_err(|error| wrong("vni", error))?;
    let asn = external_ids.get("neutron_bgpvpn:as").map(str::parse).transpose();
    let both = targets(external_ids, "rt", "neutron_bgpvpn:rt")?;
    let import = targets(external_ids, "it", "neutron_bgpvpn:it")?;
    let export = targets(external_ids, "et", "neutron_bgpvpn:et")?;
    let with_both = |own: Vec<RouteTarget>| own.into_iter().chain(both.iter().copied()).collect();
    let rd = targets(external_ids, "rd", "neutron_bgpvpn:rd")?.first().copied();
    let asn = asn.map_err(|error| wrong("as", error))?;
    Ok(Some(Annotation { vni, asn, rd, import: with_both(import), export: with_both(export) }))
}

fn wrong(key: &'static str, error: ParseError) -> AnnotationError {
    AnnotationError { key, problem: error.to_string() }
}

fn targets(
    external_ids: &Pairs,
    key: &'static str,
    full_key: &str,
) -> Result<Vec<RouteTarget>, AnnotationError> {
    let refused = |problem| AnnotationError { key, problem };
    let items = list(external_ids.get(full_key).unwrap_or_default()).map_err(refused)?;
    if items.len() > MAX_TARGETS {
        return Err(refused(format!("{} entries; at most {MAX_TARGETS} are taken", items.len())));
    }
    let targets = items.into_iter().map(|item| match item.parse() {
        Ok(target) if RouteTarget::is_of_as_0(&target) => {
            Err(refused(format!("{item} names AS 0, which nobody may use")))
        }
        other => other.map_err(|error| wrong(key, error)),
    });
    targets.collect()
}

/// The entries of a list: JSON as the reference driver writes it, or plain text with commas, which is how networking-bgpvpn
/// keeps it in its database and how one entry is written by hand.
fn list(text: &str) -> Result<Vec<String>, String> {
    let not_json = |_| "not a JSON list of strings, as in [\"64999:1001\"]".to_owned();
    match text.trim_start().as_bytes().first() {
        None => Ok(Vec::new()),
        Some(b'[') => serde_json::from_str(text).map_err(not_json),
        Some(b'"') => serde_json::from_str(text).map(|one| vec![one]).map_err(not_json),
        Some(_) => Ok(text.split(',').map(|item| item.trim().to_owned()).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_pairs(pairs: &[(&str, &str)]) -> Result<Option<Annotation>, AnnotationError> {
        let name = |key: &str| format!("neutron_bgpvpn:{key}").into();
        read(&pairs.iter().map(|(key, value)| (name(key), (*value).into())).collect())
    }

    #[test]
    fn the_seeds_example_sets_only_the_vni() {
        let annotation = read_pairs(&[("vni", "1001")]).unwrap().unwrap();
        assert_eq!((annotation.vni.get(), annotation.asn), (1001, None));
        assert_eq!(read_pairs(&[]), Ok(None));
        assert_eq!(read_pairs(&[("as", "64999")]), Ok(None));
    }

    #[test]
    fn route_targets_are_lists() {
        let annotation = read_pairs(&[
            ("vni", "7"),
            ("as", "4200000000"),
            ("rt", r#"["64999:7"]"#),
            ("it", r#"["64999:8","192.0.2.1:9"]"#),
            ("et", "[]"),
            ("rd", r#"["64999:70","64999:7"]"#),
        ]);
        let annotation = annotation.unwrap().unwrap();
        assert_eq!((annotation.import.len(), annotation.export.len()), (3, 1));
        assert_eq!(annotation.rd.unwrap().to_string(), "64999:70");
    }

    #[test]
    fn a_list_has_several_spellings() {
        let exported = |text| {
            let annotation = read_pairs(&[("vni", "7"), ("et", text)]).unwrap().unwrap();
            annotation.export.iter().map(RouteTarget::to_string).collect::<Vec<_>>()
        };
        for one in ["64999:7", r#""64999:7""#, r#"["64999:7"]"#, " 64999:7 ", "64999:7,64999:7"] {
            assert_eq!(exported(one), ["64999:7"], "{one:?}");
        }
        let three = ["64999:7", "4200000000:65535", "192.0.2.1:9"];
        assert_eq!(exported("192.0.2.1:9, 4200000000:65535,64999:7"), three);
        for none in ["", "[]", " "] {
            assert!(exported(none).is_empty(), "{none:?}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused_with_the_key() {
        for (key, value) in [
            ("vni", "abc"),
            ("vni", "0"),
            ("vni", "16777216"),
            ("vni", "1001\nno router bgp"),
            ("as", "0"),
            ("as", "64999 vrf x"),
            ("rt", "64999:7,"),
            ("rt", r#"["64999:7""#),
            ("rt", "64999:7\nno router bgp"),
            ("rt", "0:7"),
            ("it", "4200000000:65536"),
            ("et", r#"["x"]"#),
            ("et", r#"{"a":"64999:7"}"#),
            ("rd", r#"[7]"#),
            ("rd", "192.0.2.1:65536"),
            ("type", "l2"),
        ] {
            let mut pairs = vec![(key, value)];
            if key != "vni" {
                pairs.push(("vni", "7"));
            }
            let error = read_pairs(&pairs).unwrap_err().to_string();
            assert!(error.starts_with(&format!("neutron_bgpvpn:{key}: ")), "{error}");
        }
    }
}
