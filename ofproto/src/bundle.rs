//! Bundles: many messages that take effect at once (ONF extension 230 to OpenFlow 1.3, later 7.3.9 of 1.4).

use crate::{
    FlowMod,
    wire::{DecodeError, Reader},
};

/// What a bundle control message asks for or answers (`enum ofp14_bundle_ctrl_type`).
pub mod bundle_type {
    /// Begin.
    pub const OPEN_REQUEST: u16 = 0;
    /// Begun.
    pub const OPEN_REPLY: u16 = 1;
    /// Nothing more is added.
    pub const CLOSE_REQUEST: u16 = 2;
    /// Closed.
    pub const CLOSE_REPLY: u16 = 3;
    /// Do it.
    pub const COMMIT_REQUEST: u16 = 4;
    /// Done.
    pub const COMMIT_REPLY: u16 = 5;
    /// Forget it.
    pub const DISCARD_REQUEST: u16 = 6;
    /// Forgotten.
    pub const DISCARD_REPLY: u16 = 7;
}

/// How a bundle is carried out (`enum ofp14_bundle_flags`).
pub mod bundle_flags {
    /// All of it or nothing.
    pub const ATOMIC: u16 = 1;
    /// In the order of the messages.
    pub const ORDERED: u16 = 2;
}

/// Opens, closes, commits or discards a bundle, or answers that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BundleControl {
    /// The bundle, as the controller named it.
    pub bundle: u32,
    /// One of [`bundle_type`].
    pub kind: u16,
    /// Of [`bundle_flags`]; the same in all messages of a bundle.
    pub flags: u16,
}

impl BundleControl {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bundle.to_be_bytes());
        out.extend_from_slice(&self.kind.to_be_bytes());
        out.extend_from_slice(&self.flags.to_be_bytes());
    }

    pub(crate) fn read(mut reader: Reader<'_>) -> Result<Self, DecodeError> {
        let control = Self { bundle: reader.u32()?, kind: reader.u16()?, flags: reader.u16()? };
        reader.finish()?;
        Ok(control)
    }
}

/// Adds a flow mod to a bundle. Other messages in bundles, and properties, are not known to this crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleAdd {
    /// The bundle.
    pub bundle: u32,
    /// Of [`bundle_flags`].
    pub flags: u16,
    /// The flow mod. On the wire it is a whole message, with the transaction id of the one around it.
    pub flow_mod: FlowMod,
}
