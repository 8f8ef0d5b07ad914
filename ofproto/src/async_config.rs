//! Which messages the switch sends by itself (7.3.10, `struct ofp_async_config`).

use crate::wire::{DecodeError, Reader};

/// Which messages the switch sends by itself: one bit for each reason. Each pair has the bits for a controller that is
/// master or equal, and for one that is slave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AsyncConfig {
    /// Bits of [`crate::packet_in_reason`].
    pub packet_in: [u32; 2],
    /// Bits of [`crate::PortChange`].
    pub port_status: [u32; 2],
    /// Bits of `OFPRR_*`.
    pub flow_removed: [u32; 2],
}

impl AsyncConfig {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        for mask in [self.packet_in, self.port_status, self.flow_removed].as_flattened() {
            out.extend_from_slice(&mask.to_be_bytes());
        }
    }

    pub(crate) fn read(mut reader: Reader<'_>) -> Result<Self, DecodeError> {
        let mut pair = || Ok([reader.u32()?, reader.u32()?]);
        let config = Self { packet_in: pair()?, port_status: pair()?, flow_removed: pair()? };
        reader.finish()?;
        Ok(config)
    }
}
