//! Values of match fields, and their masks.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::MacAddr;

/// What a field of a match may hold. Bytes are in network order.
pub trait Value: Copy + Eq {
    /// The value on the wire.
    type Bytes: AsRef<[u8]> + AsMut<[u8]> + Default + Copy;

    /// The value of these bytes.
    fn from_wire(bytes: Self::Bytes) -> Self;

    /// The bytes of this value.
    fn to_wire(self) -> Self::Bytes;
}

macro_rules! values {
    ($($type:ty, $length:literal, $from:expr, $to:expr;)*) => {$(
        impl Value for $type {
            type Bytes = [u8; $length];

            #[inline]
            fn from_wire(bytes: Self::Bytes) -> Self {
                $from(bytes)
            }

            #[inline]
            fn to_wire(self) -> Self::Bytes {
                $to(self)
            }
        }
    )*};
}

values! {
    u8, 1, u8::from_be_bytes, u8::to_be_bytes;
    u16, 2, u16::from_be_bytes, u16::to_be_bytes;
    u32, 4, u32::from_be_bytes, u32::to_be_bytes;
    MacAddr, 6, MacAddr, |mac: MacAddr| mac.0;
    Ipv4Addr, 4, Ipv4Addr::from, |address: Ipv4Addr| address.octets();
    Ipv6Addr, 16, Ipv6Addr::from, |address: Ipv6Addr| address.octets();
}

/// A value and which of its bits count. Bits outside the mask are zero, so that equal means equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Masked<T> {
    value: T,
    mask: T,
}

impl<T: Value> Masked<T> {
    /// All bits count.
    pub fn exact(value: T) -> Self {
        Self { value, mask: ones() }
    }

    /// Only the bits of `mask` count.
    pub fn new(value: T, mask: T) -> Self {
        let mut bytes = value.to_wire();
        for (byte, mask) in bytes.as_mut().iter_mut().zip(mask.to_wire().as_ref()) {
            *byte &= mask;
        }
        Self { value: T::from_wire(bytes), mask }
    }

    /// The first `length` bits count, at most all.
    pub fn prefix(value: T, length: u8) -> Self {
        let mut mask = T::Bytes::default();
        for (index, byte) in mask.as_mut().iter_mut().enumerate() {
            let bits = usize::from(length).saturating_sub(index * 8).min(8);
            *byte = !(0xff_u16 >> bits) as u8;
        }
        Self::new(value, T::from_wire(mask))
    }

    /// The value; bits that do not count are zero.
    pub fn value(&self) -> T {
        self.value
    }

    /// The bits that count.
    pub fn mask(&self) -> T {
        self.mask
    }

    /// Whether all bits count.
    pub fn is_exact(&self) -> bool {
        self.mask == ones()
    }

    /// Whether no bit counts: any value fits.
    pub fn is_any(&self) -> bool {
        self.mask.to_wire().as_ref().iter().all(|byte| *byte == 0)
    }

    /// How many bits count, if these are the first ones.
    pub fn prefix_length(&self) -> Option<u8> {
        let length: u32 = self.mask.to_wire().as_ref().iter().map(|byte| byte.count_ones()).sum();
        let length = u8::try_from(length).ok()?;
        (Self::prefix(self.mask, length).mask == self.mask).then_some(length)
    }
}

impl<T: Value> From<T> for Masked<T> {
    fn from(value: T) -> Self {
        Self::exact(value)
    }
}

fn ones<T: Value>() -> T {
    let mut bytes = T::Bytes::default();
    bytes.as_mut().fill(0xff);
    T::from_wire(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_outside_the_mask_do_not_matter() {
        let net = Ipv4Addr::new(20, 0, 0, 0);
        assert_eq!(Masked::prefix(Ipv4Addr::new(20, 0, 0, 9), 24), Masked::prefix(net, 24));
        assert_eq!(Masked::prefix(net, 32), Masked::exact(net));
        assert!(Masked::prefix(net, 0).is_any());
        assert_eq!(Masked::prefix(net, 20).mask(), Ipv4Addr::new(255, 255, 240, 0));
    }

    #[test]
    fn a_prefix_has_a_length_and_another_mask_has_none() {
        for length in 0..=128 {
            assert_eq!(Masked::prefix(Ipv6Addr::LOCALHOST, length).prefix_length(), Some(length));
        }
        assert_eq!(Masked::new(0x1000_u16, 0x1000).prefix_length(), None);
    }
}
