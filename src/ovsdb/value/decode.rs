//! Reads the JSON forms of OVSDB's values (RFC 7047 section 5.1) without a tree between: each visitor takes one form and
//! refuses all others, trailing elements included. It knows no column.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, SeqAccess, Unexpected, Visitor},
};
use uuid::Uuid;

use super::Atom;

/// A string of the frame, borrowed where it holds no escapes.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(transparent)]
pub(in crate::ovsdb) struct Text<'a>(#[serde(borrow)] pub(in crate::ovsdb) Cow<'a, str>);

impl std::borrow::Borrow<str> for Text<'_> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Exactly what RFC 7047 calls a uuid: 36 characters with hyphens.
pub(in crate::ovsdb) fn parse_uuid(text: &str) -> Option<Uuid> {
    (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten()
}

/// An atom or a `["set", ..]` of them, as sorted atoms.
pub(super) struct Atoms<T>(PhantomData<T>);

impl<T> Atoms<T> {
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<'de, T: Atom> Visitor<'de> for Atoms<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} or a set of such", T::KIND)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Vec<T>, E> {
        OneAtom(PhantomData).visit_str(text).map(|atom| vec![atom])
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Vec<T>, E> {
        OneAtom(PhantomData).visit_i64(number).map(|atom| vec![atom])
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Vec<T>, E> {
        OneAtom(PhantomData).visit_u64(number).map(|atom| vec![atom])
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Vec<T>, E> {
        OneAtom(PhantomData).visit_bool(flag).map(|atom| vec![atom])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        let tag: Text<'de> = next(&mut seq, "the tag of a value")?;
        if tag.0 != "set" {
            return uuid_atom(&tag.0, &mut seq).map(|atom| vec![atom]);
        }
        seq.next_element_seed(SetElements(PhantomData))?.ok_or_else(|| missing("the elements of a set"))
    }
}

/// The elements of a set.
struct SetElements<T>(PhantomData<T>);

impl<'de, T: Atom> DeserializeSeed<'de> for SetElements<T> {
    type Value = Vec<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<T>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: Atom> Visitor<'de> for SetElements<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an array, each element {}", T::KIND)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        let mut atoms = Vec::new();
        while let Some(atom) = seq.next_element_seed(OneAtom(PhantomData))? {
            atoms.push(atom);
        }
        atoms.sort();
        all_differ(&atoms)?;
        Ok(atoms)
    }
}

/// One atom that is no set.
struct OneAtom<T>(PhantomData<T>);

impl<'de, T: Atom> DeserializeSeed<'de> for OneAtom<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Atom> Visitor<'de> for OneAtom<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::KIND)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::from_text(text).ok_or_else(|| E::invalid_type(Unexpected::Str(text), &self))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        T::from_integer(number).ok_or_else(|| E::invalid_type(Unexpected::Signed(number), &self))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        let signed = i64::try_from(number).ok().and_then(T::from_integer);
        signed.ok_or_else(|| E::invalid_type(Unexpected::Unsigned(number), &self))
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<T, E> {
        T::from_boolean(flag).ok_or_else(|| E::invalid_type(Unexpected::Bool(flag), &self))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<T, A::Error> {
        let tag: Text<'de> = next(&mut seq, "the tag of a value")?;
        uuid_atom(&tag.0, &mut seq)
    }
}

/// A string or a `["set", ..]` of them, sorted.
pub(super) struct Texts;

impl<'de> Visitor<'de> for Texts {
    type Value = Vec<Text<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a set of such")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(vec![Text(Cow::Borrowed(text))])
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(vec![Text(Cow::Owned(text.to_owned()))])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let tag: Text<'de> = next(&mut seq, "the tag of a value")?;
        if tag.0 != "set" {
            return Err(A::Error::custom(format!("the tag {:?} where a string is due", tag.0)));
        }
        let mut texts: Vec<Text<'de>> = next(&mut seq, "the elements of a set")?;
        texts.sort();
        all_differ(&texts)?;
        Ok(texts)
    }
}

/// Of sorted elements of a set none is there twice.
fn all_differ<T: PartialEq, E: Error>(elements: &[T]) -> Result<(), E> {
    match elements.windows(2).any(|two| two[0] == two[1]) {
        true => Err(E::custom("an element of a set is there twice")),
        false => Ok(()),
    }
}

fn uuid_atom<'de, T: Atom, A: SeqAccess<'de>>(tag: &str, seq: &mut A) -> Result<T, A::Error> {
    if tag != "uuid" {
        return Err(A::Error::custom(format!("the tag {tag:?} where {} is due", T::KIND)));
    }
    let text: Text<'de> = next(seq, "a uuid")?;
    let uuid = parse_uuid(&text.0).ok_or_else(|| A::Error::custom(format!("{:?} is no uuid", text.0)))?;
    T::from_uuid(uuid).ok_or_else(|| A::Error::custom(format!("a uuid where {} is due", T::KIND)))
}

/// The pairs of a `["map", [[key, value], ..]]` whose key the function wants, in the order of the text.
pub(super) struct Map(pub(super) fn(&str) -> bool);

impl<'de> Visitor<'de> for Map {
    type Value = Vec<(Text<'de>, Text<'de>)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let tag: Text<'de> = next(&mut seq, "the tag of a map")?;
        if tag.0 != "map" {
            return Err(A::Error::custom(format!("the tag {:?} where a map is due", tag.0)));
        }
        seq.next_element_seed(MapPairs(self.0))?.ok_or_else(|| missing("the pairs of a map"))
    }
}

/// The pairs of a map.
struct MapPairs(fn(&str) -> bool);

impl<'de> DeserializeSeed<'de> for MapPairs {
    type Value = Vec<(Text<'de>, Text<'de>)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for MapPairs {
    type Value = Vec<(Text<'de>, Text<'de>)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of pairs of strings")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut kept = Vec::new();
        while let Some(pair) = seq.next_element::<(Text<'de>, Text<'de>)>()? {
            if (self.0)(&pair.0.0) {
                kept.push(pair);
            }
        }
        Ok(kept)
    }
}

fn next<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(seq: &mut A, what: &str) -> Result<T, A::Error> {
    seq.next_element()?.ok_or_else(|| missing(what))
}

fn missing<E: Error>(what: &str) -> E {
    E::custom(format!("{what} is missing"))
}
