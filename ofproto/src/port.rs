//! Ports (7.2.1), and what the switch says when one changes (7.4.3).

use std::borrow::Cow;

use crate::{
    MacAddr,
    wire::{DecodeError, Reader},
};

/// Numbers that stand for more than one port, or for none (`enum ofp_port_no`).
pub mod reserved_port {
    /// The port that the packet came in by.
    pub const IN_PORT: u32 = 0xffff_fff8;
    /// The switch's own way, by MAC learning.
    pub const NORMAL: u32 = 0xffff_fffa;
    /// The controllers.
    pub const CONTROLLER: u32 = 0xffff_fffd;
    /// The bridge's own port.
    pub const LOCAL: u32 = 0xffff_fffe;
    /// Any port or group, as a wildcard.
    pub const ANY: u32 = 0xffff_ffff;
}

/// A port of the switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its number.
    pub number: u32,
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// Its name as it is on the wire, filled up with zeros.
    pub raw_name: [u8; 16],
    /// `OFPPC_*`.
    pub config: u32,
    /// `OFPPS_*`.
    pub state: u32,
    /// Features (`OFPPF_*`): current, advertised, supported, those of the peer; then current and largest speed in
    /// kbit/s.
    pub features: [u32; 6],
}

impl Port {
    /// Its name; bytes that are no text are replaced.
    pub fn name(&self) -> Cow<'_, str> {
        let name = self.raw_name.split(|byte| *byte == 0).next();
        String::from_utf8_lossy(name.unwrap_or_default())
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.number.to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.mac.0);
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&self.raw_name);
        out.extend_from_slice(&self.config.to_be_bytes());
        out.extend_from_slice(&self.state.to_be_bytes());
        for number in self.features {
            out.extend_from_slice(&number.to_be_bytes());
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut reader = reader.part(64, "port")?;
        let number = reader.u32()?;
        reader.skip(4)?;
        let mac = MacAddr(reader.array()?);
        reader.skip(2)?;
        let raw_name = reader.array()?;
        let (config, state) = (reader.u32()?, reader.u32()?);
        let mut features = [0; 6];
        for feature in &mut features {
            *feature = reader.u32()?;
        }
        Ok(Self { number, mac, raw_name, config, state, features })
    }
}

/// How a port changed (`enum ofp_port_reason`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PortChange {
    /// It is new.
    Added = 0,
    /// It is gone.
    Deleted = 1,
    /// Something of it is different.
    Modified = 2,
}

/// A port changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortStatus {
    /// How.
    pub change: PortChange,
    /// The port as it is now, or was before it went.
    pub port: Port,
}

impl PortStatus {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.change as u8, 0, 0, 0, 0, 0, 0, 0]);
        self.port.write(out);
    }

    pub(crate) fn read(mut reader: Reader<'_>) -> Result<Self, DecodeError> {
        let change = match reader.u8()? {
            0 => PortChange::Added,
            1 => PortChange::Deleted,
            2 => PortChange::Modified,
            other => return Err(DecodeError::Value("port status reason", other.into())),
        };
        reader.skip(7)?;
        let port = Port::read(&mut reader)?;
        reader.finish()?;
        Ok(Self { change, port })
    }
}
