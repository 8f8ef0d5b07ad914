//! Anything that a vty socket could say: the framing of replies, however it is cut, and every reader of text.

use std::time::Instant;

use crate::planes::frr::{
    actual::{Texts, View},
    decode, dialect,
    line::Line,
    session::Session,
};

/// Takes these bytes.
///
/// # Panics
/// If it does not hold.
pub fn takes(data: &[u8]) {
    let now = Instant::now();
    let lines = [Line::VrfProbe, Line::Configure, Line::ShowRunning, Line::End];
    let mut whole = Session::default();
    whole.send(&lines, now);
    let at_once = whole.receive(data, now);

    let mut bytewise = Session::default();
    bytewise.send(&lines, now);
    let mut replies = Vec::new();
    let mut failed = false;
    for byte in data {
        match bytewise.receive(&[*byte], now) {
            Ok(more) => replies.extend(more),
            Err(_) => {
                failed = true;
                break;
            }
        }
    }
    assert_eq!(at_once.is_err(), failed);
    if let Ok(at_once) = at_once {
        assert_eq!(at_once, replies);
        let _ = dialect::takes_vrf(&replies);
    }

    let text = String::from_utf8_lossy(data);
    let _ = decode::originated(&text);
    let all = Texts { vrf_running: &text, vrf_list: &text, bgp_running: &text, l3vnis: &text };
    let mut view = View::read(all);
    assert_eq!(view.changes(&view), []);
    assert_eq!(view.raise(&Default::default()), []);
    for reply in &replies {
        let _ = dialect::words(&reply.text);
    }
}
