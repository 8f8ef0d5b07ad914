//! The messages of OpenFlow 1.3 and of the extensions that the agent uses, and which bytes stand for which.

use crate::{
    AsyncConfig, BundleAdd, BundleControl, ErrorMessage, FlowMod, FlowMonitorRequest, FlowStats,
    FlowStatsRequest, FlowUpdate, Frame, Hello, PacketIn, PacketOut, Port, PortStatus,
    action::NICIRA,
    flow_monitor,
    wire::{DecodeError, Reader, TooLong},
};

/// The Open Networking Foundation's number as an experimenter.
pub(crate) const ONF: u32 = 0x4f4e_4600;

const ONF_BUNDLE_CONTROL: u32 = 2300;
const ONF_BUNDLE_ADD: u32 = 2301;
/// `ONFT_FLOW_MONITOR_RESUMED`.
const ONF_FLOW_MONITOR_RESUMED: u32 = 1872;
/// `NXT_SET_CONTROLLER_ID`.
const NX_SET_CONTROLLER_ID: u32 = 20;

/// `enum ofp_type`.
mod kind {
    pub const HELLO: u8 = 0;
    pub const ERROR: u8 = 1;
    pub const ECHO_REQUEST: u8 = 2;
    pub const ECHO_REPLY: u8 = 3;
    pub const EXPERIMENTER: u8 = 4;
    pub const FEATURES_REQUEST: u8 = 5;
    pub const FEATURES_REPLY: u8 = 6;
    pub const SET_CONFIG: u8 = 9;
    pub const PACKET_IN: u8 = 10;
    pub const PORT_STATUS: u8 = 12;
    pub const PACKET_OUT: u8 = 13;
    pub const FLOW_MOD: u8 = 14;
    pub const MULTIPART_REQUEST: u8 = 18;
    pub const MULTIPART_REPLY: u8 = 19;
    pub const BARRIER_REQUEST: u8 = 20;
    pub const BARRIER_REPLY: u8 = 21;
    pub const SET_ASYNC: u8 = 28;
}

/// `enum ofp_multipart_type`.
mod multipart {
    pub const FLOW: u16 = 1;
    pub const PORT_DESC: u16 = 13;
    pub const EXPERIMENTER: u16 = 0xffff;
    /// The flag for 'more of this follows', in requests and in replies.
    pub const MORE: u16 = 1;
}

/// A message without its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The first one of each side.
    Hello(Hello),
    /// A request was refused.
    Error(ErrorMessage),
    /// Are you there?
    EchoRequest(Vec<u8>),
    /// Yes; with the bytes of the request.
    EchoReply(Vec<u8>),
    /// Asks what the switch is.
    FeaturesRequest,
    /// What the switch is.
    FeaturesReply(Features),
    /// Sets what concerns packets to the controller.
    SetConfig(SwitchConfig),
    /// A packet from the switch.
    PacketIn(PacketIn),
    /// A port changed.
    PortStatus(PortStatus),
    /// A packet for the switch.
    PacketOut(PacketOut),
    /// Adds, changes or removes flows.
    FlowMod(FlowMod),
    /// Asks for something that may be long.
    MultipartRequest(MultipartRequest),
    /// A part of it.
    MultipartReply(MultipartReply),
    /// To be answered when all before it is done.
    BarrierRequest,
    /// All before it is done.
    BarrierReply,
    /// Which messages the switch sends by itself.
    SetAsync(AsyncConfig),
    /// Begins or ends a bundle, or answers that.
    BundleControl(BundleControl),
    /// Adds to a bundle.
    BundleAdd(BundleAdd),
    /// Sets the id by which [`crate::Action::Controller`] finds this connection.
    SetControllerId(u16),
    /// The switch had no room for flow updates and told only of flows that went; what else changed meanwhile came before this.
    FlowMonitorResumed,
    /// Any other one.
    Unknown {
        /// `OFPT_*`.
        kind: u8,
        /// All behind the header.
        body: Vec<u8>,
    },
}

/// What the switch is (7.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// Its number; the lower 48 bits are usually the bridge's MAC.
    pub datapath_id: u64,
    /// How many packets it keeps for the controller.
    pub buffers: u32,
    /// How many tables it has.
    pub tables: u8,
    /// Which of several connections this is.
    pub auxiliary_id: u8,
    /// `OFPC_*`.
    pub capabilities: u32,
    /// Not used by OpenFlow.
    pub reserved: u32,
}

/// What concerns packets to the controller (7.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwitchConfig {
    /// What to do with fragments.
    pub flags: u16,
    /// How many bytes of a packet without flow are sent. Open vSwitch sends nothing by itself over a bridge's `mgmt`
    /// socket while this is 0 (ofproto/connmgr.c, `ofconn_receives_async_msg`).
    pub miss_send_len: u16,
}

/// Asks for something that may be long (7.3.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MultipartRequest {
    /// Flows.
    Flows(FlowStatsRequest),
    /// All ports.
    Ports,
    /// To be told of changed flows.
    FlowMonitor(FlowMonitorRequest),
    /// Any other.
    Unknown {
        /// `OFPMP_*`.
        kind: u16,
        /// Bit 0: more of this follows.
        flags: u16,
        /// All behind the multipart header.
        body: Vec<u8>,
    },
}

/// A part of an answer that may be long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MultipartReply {
    /// Flows.
    Flows {
        /// There are more in a further message with the same transaction id.
        more: bool,
        /// The flows.
        flows: Vec<FlowStats>,
    },
    /// Ports.
    Ports {
        /// There are more in a further message with the same transaction id.
        more: bool,
        /// The ports.
        ports: Vec<Port>,
    },
    /// Changed flows, as they change: with transaction id 0, but for the answer to the request itself.
    FlowUpdates {
        /// There are more of the same change in a further message (`ofpmp_reserve` in OVS's lib/ofp-msgs.c).
        more: bool,
        /// The changes.
        updates: Vec<FlowUpdate>,
    },
    /// Any other.
    Unknown {
        /// `OFPMP_*`.
        kind: u16,
        /// Bit 0: more of this follows.
        flags: u16,
        /// All behind the multipart header.
        body: Vec<u8>,
    },
}

impl Message {
    /// Writes the message, with an OpenFlow 1.3 header, behind what `out` holds.
    ///
    /// # Errors
    /// If it is too long; then `out` is as it was.
    pub fn encode(self, xid: u32, out: &mut Vec<u8>) -> Result<(), TooLong> {
        Frame { version: Frame::VERSION, xid, message: self }.encode(out)
    }

    /// `OFPT_*`.
    pub(crate) fn kind(&self) -> u8 {
        match self {
            Self::Hello(_) => kind::HELLO,
            Self::Error(_) => kind::ERROR,
            Self::EchoRequest(_) => kind::ECHO_REQUEST,
            Self::EchoReply(_) => kind::ECHO_REPLY,
            Self::FeaturesRequest => kind::FEATURES_REQUEST,
            Self::FeaturesReply(_) => kind::FEATURES_REPLY,
            Self::SetConfig(_) => kind::SET_CONFIG,
            Self::PacketIn(_) => kind::PACKET_IN,
            Self::PortStatus(_) => kind::PORT_STATUS,
            Self::PacketOut(_) => kind::PACKET_OUT,
            Self::FlowMod(_) => kind::FLOW_MOD,
            Self::MultipartRequest(_) => kind::MULTIPART_REQUEST,
            Self::MultipartReply(_) => kind::MULTIPART_REPLY,
            Self::BarrierRequest => kind::BARRIER_REQUEST,
            Self::BarrierReply => kind::BARRIER_REPLY,
            Self::SetAsync(_) => kind::SET_ASYNC,
            Self::BundleControl(_)
            | Self::BundleAdd(_)
            | Self::SetControllerId(_)
            | Self::FlowMonitorResumed => kind::EXPERIMENTER,
            Self::Unknown { kind, .. } => *kind,
        }
    }

    /// Writes what follows the header. A bundled message repeats the transaction id.
    pub(crate) fn write_body(&self, xid: u32, out: &mut Vec<u8>) {
        match self {
            Self::Hello(hello) => hello.write(out),
            Self::Error(error) => error.write(out),
            Self::EchoRequest(bytes) | Self::EchoReply(bytes) => out.extend_from_slice(bytes),
            Self::FeaturesRequest | Self::BarrierRequest | Self::BarrierReply => {}
            Self::FeaturesReply(features) => features.write(out),
            Self::SetConfig(config) => {
                out.extend_from_slice(&config.flags.to_be_bytes());
                out.extend_from_slice(&config.miss_send_len.to_be_bytes());
            }
            Self::PacketIn(packet) => packet.write(out),
            Self::PortStatus(status) => status.write(out),
            Self::PacketOut(packet) => packet.write(out),
            Self::FlowMod(flow) => flow.write(out),
            Self::MultipartRequest(request) => request.write(out),
            Self::MultipartReply(reply) => reply.write(out),
            Self::SetAsync(config) => config.write(out),
            Self::BundleControl(control) => {
                write_experimenter(ONF, ONF_BUNDLE_CONTROL, out);
                control.write(out);
            }
            Self::BundleAdd(add) => {
                write_experimenter(ONF, ONF_BUNDLE_ADD, out);
                add.write(xid, out);
            }
            Self::SetControllerId(id) => {
                write_experimenter(NICIRA, NX_SET_CONTROLLER_ID, out);
                out.extend_from_slice(&[0; 6]);
                out.extend_from_slice(&id.to_be_bytes());
            }
            Self::FlowMonitorResumed => write_experimenter(ONF, ONF_FLOW_MONITOR_RESUMED, out),
            Self::Unknown { body, .. } => out.extend_from_slice(body),
        }
    }

    pub(crate) fn read(kind: u8, xid: u32, body: Reader<'_>) -> Result<Self, DecodeError> {
        let message = match kind {
            kind::HELLO => Self::Hello(Hello::read(body)?),
            kind::ERROR => Self::Error(ErrorMessage::read(body)?),
            kind::ECHO_REQUEST => Self::EchoRequest(body.rest().to_vec()),
            kind::ECHO_REPLY => Self::EchoReply(body.rest().to_vec()),
            kind::EXPERIMENTER => read_experimenter(xid, body)?,
            kind::FEATURES_REQUEST => body.finish().map(|()| Self::FeaturesRequest)?,
            kind::FEATURES_REPLY => Self::FeaturesReply(Features::read(body)?),
            kind::SET_CONFIG => Self::SetConfig(SwitchConfig::read(body)?),
            kind::PACKET_IN => Self::PacketIn(PacketIn::read(body)?),
            kind::PORT_STATUS => Self::PortStatus(PortStatus::read(body)?),
            kind::PACKET_OUT => Self::PacketOut(PacketOut::read(body)?),
            kind::FLOW_MOD => Self::FlowMod(FlowMod::read(body)?),
            kind::MULTIPART_REQUEST => Self::MultipartRequest(MultipartRequest::read(body)?),
            kind::MULTIPART_REPLY => Self::MultipartReply(MultipartReply::read(body)?),
            kind::BARRIER_REQUEST => body.finish().map(|()| Self::BarrierRequest)?,
            kind::BARRIER_REPLY => body.finish().map(|()| Self::BarrierReply)?,
            kind::SET_ASYNC => Self::SetAsync(AsyncConfig::read(body)?),
            _ => Self::Unknown { kind, body: body.rest().to_vec() },
        };
        Ok(message)
    }
}

fn write_experimenter(experimenter: u32, subtype: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&experimenter.to_be_bytes());
    out.extend_from_slice(&subtype.to_be_bytes());
}

fn read_experimenter(xid: u32, body: Reader<'_>) -> Result<Message, DecodeError> {
    let mut reader = body;
    Ok(match (reader.u32()?, reader.u32()?) {
        (ONF, ONF_BUNDLE_CONTROL) => Message::BundleControl(BundleControl::read(reader)?),
        (ONF, ONF_BUNDLE_ADD) if BundleAdd::is_known(reader) => {
            Message::BundleAdd(BundleAdd::read(xid, reader)?)
        }
        (ONF, ONF_FLOW_MONITOR_RESUMED) => reader.finish().map(|()| Message::FlowMonitorResumed)?,
        (NICIRA, NX_SET_CONTROLLER_ID) => {
            reader.skip(6)?;
            let id = reader.u16()?;
            reader.finish()?;
            Message::SetControllerId(id)
        }
        _ => Message::Unknown { kind: kind::EXPERIMENTER, body: body.rest().to_vec() },
    })
}

impl BundleAdd {
    fn write(&self, xid: u32, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bundle.to_be_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&self.flags.to_be_bytes());
        Frame::write_header(kind::FLOW_MOD, xid, out, |out| self.flow_mod.write(out));
    }

    /// Whether what is bundled is one flow mod of OpenFlow 1.3 without properties behind it.
    fn is_known(reader: Reader<'_>) -> bool {
        let inner = reader.rest().get(8..).unwrap_or_default();
        matches!(inner, [Frame::VERSION, kind::FLOW_MOD, high, low, ..]
            if usize::from(u16::from_be_bytes([*high, *low])) == inner.len())
    }

    fn read(xid: u32, mut reader: Reader<'_>) -> Result<Self, DecodeError> {
        let bundle = reader.u32()?;
        reader.skip(2)?;
        let flags = reader.u16()?;
        reader.skip(4)?;
        let inner = reader.u32()?;
        if inner != xid {
            return Err(DecodeError::Value("transaction id of a bundled message", inner));
        }
        Ok(Self { bundle, flags, flow_mod: FlowMod::read(reader)? })
    }
}

impl Features {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.datapath_id.to_be_bytes());
        out.extend_from_slice(&self.buffers.to_be_bytes());
        out.extend_from_slice(&[self.tables, self.auxiliary_id, 0, 0]);
        out.extend_from_slice(&self.capabilities.to_be_bytes());
        out.extend_from_slice(&self.reserved.to_be_bytes());
    }

    fn read(mut reader: Reader<'_>) -> Result<Self, DecodeError> {
        let (datapath_id, buffers) = (reader.u64()?, reader.u32()?);
        let (tables, auxiliary_id) = (reader.u8()?, reader.u8()?);
        reader.skip(2)?;
        let (capabilities, reserved) = (reader.u32()?, reader.u32()?);
        reader.finish()?;
        Ok(Self { datapath_id, buffers, tables, auxiliary_id, capabilities, reserved })
    }
}

impl SwitchConfig {
    fn read(mut reader: Reader<'_>) -> Result<Self, DecodeError> {
        let config = Self { flags: reader.u16()?, miss_send_len: reader.u16()? };
        reader.finish()?;
        Ok(config)
    }
}

fn write_multipart(kind: u16, flags: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&flags.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
}

impl MultipartRequest {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Flows(request) => {
                write_multipart(multipart::FLOW, 0, out);
                request.write(out);
            }
            Self::Ports => write_multipart(multipart::PORT_DESC, 0, out),
            Self::FlowMonitor(request) => {
                write_multipart(multipart::EXPERIMENTER, 0, out);
                write_experimenter(ONF, flow_monitor::SUBTYPE, out);
                request.write(out);
            }
            Self::Unknown { kind, flags, body } => {
                write_multipart(*kind, *flags, out);
                out.extend_from_slice(body);
            }
        }
    }

    fn read(mut reader: Reader<'_>) -> Result<Self, DecodeError> {
        let (kind, flags) = (reader.u16()?, reader.u16()?);
        reader.skip(4)?;
        Ok(match (kind, flags) {
            (multipart::FLOW, 0) => Self::Flows(FlowStatsRequest::read(reader)?),
            (multipart::PORT_DESC, 0) => reader.finish().map(|()| Self::Ports)?,
            (multipart::EXPERIMENTER, 0) if is_flow_monitor(reader) => {
                reader.skip(8)?;
                Self::FlowMonitor(FlowMonitorRequest::read(reader)?)
            }
            _ => Self::Unknown { kind, flags, body: reader.rest().to_vec() },
        })
    }
}

impl MultipartReply {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Flows { more, flows } => {
                write_multipart(multipart::FLOW, u16::from(*more), out);
                flows.iter().for_each(|flow| flow.write(out));
            }
            Self::Ports { more, ports } => {
                write_multipart(multipart::PORT_DESC, u16::from(*more), out);
                ports.iter().for_each(|port| port.write(out));
            }
            Self::FlowUpdates { more, updates } => {
                write_multipart(multipart::EXPERIMENTER, u16::from(*more), out);
                write_experimenter(ONF, flow_monitor::SUBTYPE, out);
                updates.iter().for_each(|update| update.write(out));
            }
            Self::Unknown { kind, flags, body } => {
                write_multipart(*kind, *flags, out);
                out.extend_from_slice(body);
            }
        }
    }

    fn read(mut reader: Reader<'_>) -> Result<Self, DecodeError> {
        let (kind, flags) = (reader.u16()?, reader.u16()?);
        reader.skip(4)?;
        let more = flags & multipart::MORE != 0;
        Ok(match kind {
            multipart::FLOW => Self::Flows { more, flows: read_all(reader, FlowStats::read)? },
            multipart::PORT_DESC => Self::Ports { more, ports: read_all(reader, Port::read)? },
            multipart::EXPERIMENTER if is_flow_monitor(reader) => {
                reader.skip(8)?;
                Self::FlowUpdates { more, updates: read_all(reader, FlowUpdate::read)? }
            }
            _ => Self::Unknown { kind, flags, body: reader.rest().to_vec() },
        })
    }
}

/// Whether an experimenter's multipart is the ONF's flow monitor.
fn is_flow_monitor(mut reader: Reader<'_>) -> bool {
    matches!((reader.u32(), reader.u32()), (Ok(ONF), Ok(flow_monitor::SUBTYPE)))
}

fn read_all<'a, T>(
    mut reader: Reader<'a>,
    read: impl Fn(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let mut all = Vec::new();
    while !reader.is_empty() {
        let left = reader.left();
        all.push(read(&mut reader)?);
        if all.len() == 1 {
            // The others are usually as long as the first.
            all.reserve(reader.left() / (left - reader.left()));
        }
    }
    Ok(all)
}
