//! The OpenFlow codec: what decodes, encodes, and decodes to the same again; and its text never fails.

use bytes::BytesMut;
use ofproto::{Frame, Message, MultipartReply, next_frame};

/// Takes these bytes.
///
/// # Panics
/// If it does not hold.
pub fn takes(bytes: &[u8]) {
    let mut stream = BytesMut::from(bytes);
    while let Ok(Some(message)) = next_frame(&mut stream) {
        check(&message);
    }
}

fn check(bytes: &[u8]) {
    let Ok(frame) = Frame::decode(bytes) else { return };
    let mut wire = Vec::new();
    frame.encode(&mut wire).expect("what was decoded is not too long");
    assert_eq!(Frame::decode(&wire).as_ref(), Ok(&frame));
    if let Message::MultipartReply(MultipartReply::Flows { flows, .. }) = &frame.message {
        flows.iter().for_each(|flow| assert!(!flow.to_string().is_empty()));
    }
}
