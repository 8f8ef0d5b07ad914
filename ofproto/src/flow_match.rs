//! OXM matches (7.2.2): what a flow's packets look like.

use smallvec::SmallVec;

use crate::{
    Field, Header,
    field::width_of,
    wire::{DecodeError, Reader, pad, set_length},
};

/// `OFPMT_OXM`: the only kind of match since OpenFlow 1.2.
const OXM: u16 = 1;

/// A match, canonical: two that match the same packets by the same fields are equal.
///
/// It is kept as it goes over the wire: OpenFlow's own fields in the order of their numbers, then those of others, each
/// at most once, without a mask that has all bits set, without fields that match anything, without bits set that do
/// not count. (So `eth_type` comes before the fields that need it, as 7.2.3.6 asks for, even Nicira's.)
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Match {
    /// Long enough for every flow of the agent without a place on the heap.
    oxms: SmallVec<[u8; 80]>,
}

/// A field of a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oxm<'a> {
    /// One that this crate knows.
    Known(Field),
    /// Any other one, with header and body as they are on the wire.
    Unknown(Header, &'a [u8]),
}

impl Match {
    /// Matches every packet.
    pub fn new() -> Self {
        Self::default()
    }

    /// This match and `field`, which replaces what was said about the same field before.
    pub fn with(self, field: Field) -> Self {
        let id = OxmId::of(field.header());
        let mut oxms = SmallVec::new();
        for oxm in raw_oxms(&self.oxms).take_while(|oxm| oxm.id < id) {
            oxms.extend_from_slice(oxm.bytes);
        }
        if !field.is_any() {
            field.write(|part| oxms.extend_from_slice(part));
        }
        for oxm in raw_oxms(&self.oxms).filter(|oxm| oxm.id > id) {
            oxms.extend_from_slice(oxm.bytes);
        }
        Self { oxms }
    }

    /// Its fields, in canonical order.
    pub fn fields(&self) -> impl Iterator<Item = Oxm<'_>> {
        raw_oxms(&self.oxms).map(|oxm| match oxm.field() {
            Ok(Some(field)) => Oxm::Known(field),
            _ => Oxm::Unknown(oxm.header, oxm.body()),
        })
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0, OXM as u8, 0, 0]);
        out.extend_from_slice(&self.oxms);
        set_length(out, start, start + 2);
        pad(out, start);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "match";
        let kind = reader.u16()?;
        if kind != OXM {
            return Err(DecodeError::Value("match type", kind.into()));
        }
        let length = reader.u16()?;
        let fields = length.checked_sub(4).ok_or(DecodeError::Length(WHAT, length))?;
        let matches = Self::read_fields(reader.bytes(fields.into())?)?;
        reader.skip(usize::from(length).next_multiple_of(8) - usize::from(length))?;
        Ok(matches)
    }

    fn read_fields(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut last = None;
        let mut is_canonical = true;
        let mut reader = Reader::new(bytes, "match");
        while !reader.is_empty() {
            let oxm = RawOxm::read(&mut reader)?;
            is_canonical &= last < Some(oxm.id) && oxm.is_canonical();
            last = Some(oxm.id);
        }
        if is_canonical {
            return Ok(Self { oxms: SmallVec::from_slice(bytes) });
        }
        let mut oxms: Vec<RawOxm<'_>> = raw_oxms(bytes).collect();
        oxms.sort_by_key(|oxm| oxm.id);
        if !oxms.is_sorted_by(|a, b| a.id < b.id) {
            return Err(DecodeError::Twice("match field"));
        }
        let mut matches = Self::new();
        for oxm in oxms {
            match oxm.field()? {
                None => matches.oxms.extend_from_slice(oxm.bytes),
                Some(field) if field.is_any() => {}
                Some(field) => field.write(|part| matches.oxms.extend_from_slice(part)),
            }
        }
        Ok(matches)
    }
}

/// A field as it stands in the bytes of a match.
struct RawOxm<'a> {
    header: Header,
    /// What names the field: class and number, then the experimenter.
    id: OxmId,
    /// Header and body.
    bytes: &'a [u8],
}

/// The place of a field in the canonical order: class and number, above the number of the experimenter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct OxmId(u64);

impl OxmId {
    fn of(header: Header) -> Self {
        // Turns the highest bit of the class round, which makes OpenFlow's own class, 0x8000, the first.
        Self((u64::from(header.0 >> 9) ^ 0x8000 << 7) << 32)
    }
}

impl<'a> RawOxm<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let mut ahead = *reader;
        let header = Header(ahead.u32()?);
        let bytes = reader.bytes(4 + header.length())?;
        let mut id = OxmId::of(header);
        if header.is_experimenter() {
            let mut body = Reader::new(bytes, "match field");
            body.skip(4)?;
            id.0 |= u64::from(body.u32()?);
        }
        Ok(Self { header, id, bytes })
    }

    /// The field, if this crate knows it.
    fn field(&self) -> Result<Option<Field>, DecodeError> {
        Field::read(self.header, Reader::new(self.body(), "match field"))
    }

    fn body(&self) -> &'a [u8] {
        self.bytes.get(4..).unwrap_or_default()
    }

    /// Whether a [`Match`] keeps the field as it is.
    #[inline]
    fn is_canonical(&self) -> bool {
        let Some(width) = width_of(self.header) else { return true };
        let Some((value, mask)) = self.body().split_at_checked(width) else { return false };
        if !self.header.has_mask() {
            return mask.is_empty();
        }
        let (mut some, mut all, mut beside) = (0, 0xff, 0);
        for (value, mask) in value.iter().zip(mask) {
            some |= mask;
            all &= mask;
            beside |= value & !mask;
        }
        mask.len() == width && some != 0 && all != 0xff && beside == 0
    }
}

/// The fields of bytes that were checked when they were taken.
fn raw_oxms(oxms: &[u8]) -> impl Iterator<Item = RawOxm<'_>> {
    let mut reader = Reader::new(oxms, "match");
    std::iter::from_fn(move || RawOxm::read(&mut reader).ok())
}
