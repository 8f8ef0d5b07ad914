//! The values of OVSDB (RFC 7047 section 5.1): atoms, sets and maps, decoded into the type that the reader wants and
//! encoded from [`Value`]; and the difference in which `modify` of update2 and update3 tells a change (ovsdb-server(7)
//! 4.1.14). It knows no table.

pub(super) mod decode;
pub(super) mod encode;
mod strings;

use std::collections::BTreeMap;

use serde::{Deserializer, de::Error};
use uuid::Uuid;

use decode::{Atoms, Map, Text, Texts};
pub use encode::Value;
pub use strings::Strings;

/// How the value of a column is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// It is the value.
    Whole,
    /// It is the difference between the value before and now.
    Difference,
}

/// The content of one column that can be decoded, and changed by a difference.
pub trait Column: Sized {
    /// Take in `value`, read in this way. On an error the content is as it was.
    fn read<'de, D: Deserializer<'de>>(&mut self, value: D, how: Read) -> Result<(), D::Error>;
}

/// One atom of a kind: what each JSON form makes of it, if anything.
pub trait Atom: Sized + Ord {
    /// What is expected, for errors.
    const KIND: &'static str;

    /// From a string.
    fn from_text(_: &str) -> Option<Self> {
        None
    }

    /// From an integer.
    fn from_integer(_: i64) -> Option<Self> {
        None
    }

    /// From a boolean.
    fn from_boolean(_: bool) -> Option<Self> {
        None
    }

    /// From `["uuid", ..]`.
    fn from_uuid(_: Uuid) -> Option<Self> {
        None
    }
}

impl Atom for Box<str> {
    const KIND: &'static str = "a string";

    fn from_text(text: &str) -> Option<Self> {
        Some(text.into())
    }
}

impl Atom for i64 {
    const KIND: &'static str = "an integer";

    fn from_integer(number: i64) -> Option<Self> {
        Some(number)
    }
}

impl Atom for u16 {
    const KIND: &'static str = "an integer from 0 to 65535";

    fn from_integer(number: i64) -> Option<Self> {
        number.try_into().ok()
    }
}

impl Atom for bool {
    const KIND: &'static str = "a boolean";

    fn from_boolean(flag: bool) -> Option<Self> {
        Some(flag)
    }
}

impl Atom for Uuid {
    const KIND: &'static str = "a uuid";

    fn from_uuid(uuid: Uuid) -> Option<Self> {
        Some(uuid)
    }
}

/// A column of exactly one atom: the difference is the new value.
impl<T: Atom> Column for T {
    fn read<'de, D: Deserializer<'de>>(&mut self, value: D, _: Read) -> Result<(), D::Error> {
        let mut atoms = value.deserialize_any(Atoms::<T>::new())?;
        match (atoms.pop(), atoms.is_empty()) {
            (Some(atom), true) => *self = atom,
            _ => return Err(D::Error::custom(format!("not {}", T::KIND))),
        }
        Ok(())
    }
}

/// A column of at most one atom: the difference is the new value too, since OVSDB counts only columns that can hold
/// more than one as sets (`ovsdb_datum_diff` and `ovsdb_type_is_composite` in OVS).
impl<T: Atom> Column for Option<T> {
    fn read<'de, D: Deserializer<'de>>(&mut self, value: D, _: Read) -> Result<(), D::Error> {
        let mut atoms = value.deserialize_any(Atoms::<T>::new())?;
        if atoms.len() > 1 {
            return Err(D::Error::custom(format!("{} values where one at most is due", atoms.len())));
        }
        *self = atoms.pop();
        Ok(())
    }
}

/// A set, kept sorted: the difference names the elements that are in only one of both.
impl<T: Atom> Column for Vec<T> {
    fn read<'de, D: Deserializer<'de>>(&mut self, value: D, how: Read) -> Result<(), D::Error> {
        let atoms = value.deserialize_any(Atoms::<T>::new())?;
        *self = match how {
            Read::Whole => atoms,
            Read::Difference => toggle(std::mem::take(self), atoms),
        };
        self.shrink_to_fit();
        Ok(())
    }
}

/// A set of strings, likewise.
impl Column for Strings {
    fn read<'de, D: Deserializer<'de>>(&mut self, value: D, how: Read) -> Result<(), D::Error> {
        let texts = value.deserialize_any(Texts)?;
        let texts = texts.iter().map(|Text(text)| &**text);
        *self = match how {
            Read::Whole => Self::packed(texts),
            Read::Difference => Self::packed(toggle(self.iter(), texts).into_iter()),
        };
        Ok(())
    }
}

/// What is in only one of two sorted sets.
fn toggle<T: Ord>(old: impl IntoIterator<Item = T>, difference: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut all: Vec<T> = old.into_iter().chain(difference).collect();
    all.sort();
    let mut kept: Vec<T> = Vec::with_capacity(all.len());
    for atom in all {
        match kept.last() {
            Some(last) if *last == atom => drop(kept.pop()),
            _ => kept.push(atom),
        }
    }
    kept
}

/// A map of strings, or the part of one that is of interest: each key, in their order, and its value behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pairs(Strings);

impl Pairs {
    /// The value of this key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(held, _)| *held == key).map(|(_, value)| value)
    }

    /// All pairs by ascending key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut strings = self.0.iter();
        std::iter::from_fn(move || Some((strings.next()?, strings.next()?)))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Take in a value as [`Column::read`] does, but only the pairs whose key `keep` wants.
    pub fn read_kept<'de, D: Deserializer<'de>>(
        &mut self,
        value: D,
        how: Read,
        keep: fn(&str) -> bool,
    ) -> Result<(), D::Error> {
        let mut pairs = value.deserialize_seq(Map(keep))?;
        pairs.sort();
        if let Some(twice) = pairs.windows(2).find(|two| two[0].0 == two[1].0) {
            return Err(D::Error::custom(format!("the key {:?} is there twice", twice[0].0.0)));
        }
        let pairs = pairs.iter().map(|(Text(key), Text(value))| (&**key, &**value));
        *self = match how {
            Read::Whole => Self::sorted(pairs),
            Read::Difference => Self::sorted(self.changed(pairs).iter().map(|(key, value)| (*key, *value))),
        };
        Ok(())
    }

    fn sorted<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Self {
        Self(Strings::packed(pairs.flat_map(|(key, value)| [key, value])))
    }

    /// Of a pair in a difference: the same pair is gone, another value is the new one.
    fn changed<'a>(
        &'a self,
        difference: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> BTreeMap<&'a str, &'a str> {
        let mut changed = BTreeMap::from_iter(self.iter());
        for (key, value) in difference {
            if changed.insert(key, value) == Some(value) {
                changed.remove(key);
            }
        }
        changed
    }
}

impl Column for Pairs {
    fn read<'de, D: Deserializer<'de>>(&mut self, value: D, how: Read) -> Result<(), D::Error> {
        self.read_kept(value, how, |_| true)
    }
}

impl FromIterator<(Box<str>, Box<str>)> for Pairs {
    /// Of pairs with the same key the last one stays.
    fn from_iter<I: IntoIterator<Item = (Box<str>, Box<str>)>>(pairs: I) -> Self {
        let pairs = BTreeMap::from_iter(pairs);
        Self::sorted(pairs.iter().map(|(key, value)| (&**key, &**value)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn taken<C: Column>(mut content: C, value: serde_json::Value, how: Read) -> Result<C, String> {
        content.read(value, how).map_err(|error| error.to_string())?;
        Ok(content)
    }

    fn whole<C: Column + Default>(value: serde_json::Value) -> Result<C, String> {
        taken(C::default(), value, Read::Whole)
    }

    #[test]
    fn atoms_and_sets_have_the_forms_of_the_rfc() {
        let uuid = "b9427d35-251d-4012-a2a5-c3ff73265ac8";
        assert_eq!(whole::<Uuid>(json!(["uuid", uuid])), Ok(uuid.parse().unwrap()));
        assert_eq!(whole::<Vec<Uuid>>(json!(["set", [["uuid", uuid]]])), Ok(vec![uuid.parse().unwrap()]));
        assert_eq!(whole::<Vec<Uuid>>(json!(["uuid", uuid])), Ok(vec![uuid.parse().unwrap()]));
        assert_eq!(whole::<Option<bool>>(json!(["set", []])), Ok(None));
        assert_eq!(whole::<Option<bool>>(json!(true)), Ok(Some(true)));
        assert_eq!(whole::<Option<u16>>(json!(["set", [7]])), Ok(Some(7)));
        assert_eq!(whole::<Option<i64>>(json!(-1)), Ok(Some(-1)));
        assert_eq!(whole::<Strings>(json!(["set", ["b", "a"]])), Ok(["a", "b"].iter().collect()));
        assert_eq!(whole::<Strings>(json!("a")), Ok(["a"].iter().collect()));
        assert_eq!(whole::<Strings>(json!(["set", []])), Ok(Strings::default()));
    }

    #[test]
    fn what_has_another_form_is_refused_with_words() {
        let cases = [
            (whole::<u16>(json!(65536)).map(drop), "an integer from 0 to 65535"),
            (whole::<u16>(json!(["set", []])).map(drop), "not an integer from 0 to 65535"),
            (whole::<Option<u16>>(json!(["set", [1, 2]])).map(drop), "2 values where one at most is due"),
            (whole::<Vec<bool>>(json!(["set", [true, true]])).map(drop), "there twice"),
            (whole::<Strings>(json!(["set", ["a", "a"]])).map(drop), "there twice"),
            (whole::<Strings>(json!(["set", ["a", 1]])).map(drop), "a string"),
            (whole::<Strings>(json!(["uuid", Uuid::nil().to_string()])).map(drop), "where a string is due"),
            (whole::<Strings>(json!(1)).map(drop), "a string or a set of such"),
            (whole::<Vec<bool>>(json!(["set"])).map(drop), "the elements of a set is missing"),
            (whole::<Vec<bool>>(json!(["set", [], []])).map(drop), "invalid length"),
            (whole::<Vec<bool>>(json!({})).map(drop), "a boolean or a set of such"),
            (whole::<Uuid>(json!(["uuid", "1"])).map(drop), "\"1\" is no uuid"),
            (whole::<Uuid>(json!(["named-uuid", "a"])).map(drop), "the tag \"named-uuid\""),
            (
                whole::<Box<str>>(json!(["uuid", Uuid::nil().to_string()])).map(drop),
                "a uuid where a string is due",
            ),
            (whole::<Pairs>(json!(["map", [["a", "b"], ["a", "c"]]])).map(drop), "\"a\" is there twice"),
            (whole::<Pairs>(json!(["map", [["a"]]])).map(drop), "invalid length"),
            (whole::<Pairs>(json!(["set", []])).map(drop), "the tag \"set\" where a map is due"),
        ];
        for (result, words) in cases {
            let error = result.unwrap_err();
            assert!(error.contains(words), "{error} lacks {words}");
        }
    }

    #[test]
    fn an_optional_atom_changes_to_the_value_in_the_difference() {
        assert_eq!(taken(Some(5u16), json!(["set", []]), Read::Difference), Ok(None));
        assert_eq!(taken(Some(5u16), json!(5), Read::Difference), Ok(Some(5)));
    }

    #[test]
    fn only_wanted_pairs_are_kept() {
        let mut pairs = Pairs::default();
        let value = json!(["map", [["b", "1"], ["x", "2"], ["a", "3"]]]);
        pairs.read_kept(value, Read::Whole, |key| key != "x").unwrap();
        assert_eq!(pairs.iter().collect::<Vec<_>>(), [("a", "3"), ("b", "1")]);
        assert_eq!(pairs.get("b"), Some("1"));
        assert_eq!(pairs.get("x"), None);
    }

    fn map_value(map: &BTreeMap<String, String>) -> serde_json::Value {
        json!(["map", map.iter().collect::<Vec<_>>()])
    }

    fn pairs(map: &BTreeMap<String, String>) -> Pairs {
        map.iter().map(|(k, v)| (k.as_str().into(), v.as_str().into())).collect()
    }

    proptest! {
        #[test]
        fn a_set_changed_by_its_difference_is_the_new_set(
            old in prop::collection::btree_set(0i64..20, 0..12),
            new in prop::collection::btree_set(0i64..20, 0..12),
        ) {
            let difference: Vec<_> = old.symmetric_difference(&new).collect();
            let before: Vec<i64> = old.iter().copied().collect();
            let after = taken(before, json!(["set", difference]), Read::Difference);
            prop_assert_eq!(after, Ok(new.into_iter().collect::<Vec<_>>()));
        }

        #[test]
        fn so_is_a_set_of_strings(
            old in prop::collection::btree_set("[a-c:1]{0,2}", 0..12),
            new in prop::collection::btree_set("[a-c:1]{0,2}", 0..12),
        ) {
            let difference: Vec<_> = old.symmetric_difference(&new).collect();
            let before: Strings = old.iter().collect();
            let after = taken(before, json!(["set", difference]), Read::Difference);
            prop_assert_eq!(after, Ok(new.iter().collect()));
        }

        #[test]
        fn a_map_changed_by_its_difference_is_the_new_map(
            old in prop::collection::btree_map("[a-e]{1,2}", "[a-b]", 0..12),
            new in prop::collection::btree_map("[a-e]{1,2}", "[a-b]", 0..12),
        ) {
            let changed = new.iter().filter(|(key, value)| old.get(*key) != Some(value));
            let gone = old.iter().filter(|(key, _)| !new.contains_key(*key));
            let difference = changed.chain(gone).map(|(k, v)| (k.clone(), v.clone())).collect();
            let after = taken(pairs(&old), map_value(&difference), Read::Difference);
            prop_assert_eq!(after, Ok(pairs(&new)));
        }
    }
}
