//! JSON-RPC 1.0 as OVSDB uses it (RFC 7047 section 4): a frame's envelope, and envelopes around what the agent sends.
//! It parses no further than the envelope.

use bytes::{BufMut, BytesMut};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{ProtocolError, frame::Frame, value::decode::Text};

/// A message from the server. All parts borrow from the frame.
#[derive(Debug)]
pub enum Message<'a> {
    /// It asks; the answer must repeat `id`.
    Request {
        /// What is asked.
        method: Box<str>,
        /// Its arguments.
        params: &'a RawValue,
        /// Any JSON value but null.
        id: &'a RawValue,
    },
    /// It tells.
    Notification {
        /// What is told.
        method: Box<str>,
        /// Its arguments.
        params: &'a RawValue,
    },
    /// It answers.
    Reply {
        /// The request's number; None where the id is none of ours.
        id: Option<u64>,
        /// The result, or the error.
        result: Result<&'a RawValue, &'a RawValue>,
    },
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    method: Option<Text<'a>>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl<'a> Message<'a> {
    /// Opens the envelope.
    pub fn parse(frame: &'a Frame) -> Result<Self, ProtocolError> {
        let envelope: Envelope<'a> = serde_json::from_slice(frame.bytes())
            .map_err(|error| ProtocolError(format!("a message is not JSON-RPC: {error}")))?;
        let params = envelope.params.unwrap_or(RawValue::NULL);
        Ok(match (envelope.method, envelope.id) {
            (Some(method), Some(id)) => Self::Request { method: method.0.into(), params, id },
            (Some(method), None) => Self::Notification { method: method.0.into(), params },
            (None, id) => Self::Reply {
                id: id.and_then(|id| id.get().parse().ok()),
                result: match envelope.error {
                    Some(error) => Err(error),
                    None => Ok(envelope.result.unwrap_or(RawValue::NULL)),
                },
            },
        })
    }
}

/// Appends a request.
pub fn request(out: &mut BytesMut, id: u64, method: &str, params: impl Serialize) {
    #[derive(Serialize)]
    struct Request<'a, P> {
        method: &'a str,
        params: P,
        id: u64,
    }
    write(out, &Request { method, params, id });
}

/// Appends the answer to a request of the server's.
pub fn reply(out: &mut BytesMut, id: &RawValue, result: &RawValue) {
    #[derive(Serialize)]
    struct Reply<'a> {
        id: &'a RawValue,
        result: &'a RawValue,
        error: (),
    }
    write(out, &Reply { id, result, error: () });
}

/// Appends the refusal of a request of the server's.
pub fn refuse(out: &mut BytesMut, id: &RawValue, error: &str) {
    #[derive(Serialize)]
    struct Reply<'a> {
        id: &'a RawValue,
        result: (),
        error: &'a str,
    }
    write(out, &Reply { id, result: (), error });
}

fn write(out: &mut BytesMut, message: &impl Serialize) {
    let written = serde_json::to_writer(out.writer(), message);
    debug_assert!(written.is_ok(), "memory takes all bytes, and every message of ours has string keys");
}

/// The words of an `<error>` (RFC 7047 section 3.1): its name and, where given, its details.
pub fn error_words(error: &RawValue) -> String {
    #[derive(Deserialize)]
    struct Detailed {
        error: Box<str>,
        details: Option<Box<str>>,
    }
    let words = match serde_json::from_str(error.get()) {
        Ok(Detailed { error, details: Some(details) }) => format!("{error}: {details}"),
        Ok(Detailed { error, details: None }) => error.into(),
        Err(_) => serde_json::from_str(error.get()).unwrap_or_else(|_| error.get().to_owned()),
    };
    shortened(&words)
}

/// Words of the server's in one line of bearable length.
pub fn shortened(words: &str) -> String {
    words.chars().take(400).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ovsdb::frame::Framer;

    fn frame(text: &str) -> Frame {
        let mut framer = Framer::default();
        framer.buffer().extend_from_slice(text.as_bytes());
        framer.next_frame().unwrap().unwrap()
    }

    #[test]
    fn a_real_echo_is_a_request() {
        let frame = frame(include_str!("../../fixtures/ovsdb/echo-request.json"));
        let Message::Request { method, params, id } = Message::parse(&frame).unwrap() else { panic!() };
        assert_eq!((&*method, params.get(), id.get()), ("echo", "[]", r#""echo""#));
        let mut out = BytesMut::new();
        reply(&mut out, id, params);
        assert_eq!(out, r#"{"id":"echo","result":[],"error":null}"#);
    }

    #[test]
    fn real_errors_have_words() {
        let cases = [
            (include_str!("../../fixtures/ovsdb/unknown-method.json"), "unknown method"),
            (
                include_str!("../../fixtures/ovsdb/get-schema-error.json"),
                "unknown database: get_schema request specifies unknown database nodb",
            ),
        ];
        for (text, words) in cases {
            let frame = frame(text);
            let Message::Reply { id: Some(_), result: Err(error) } = Message::parse(&frame).unwrap() else {
                panic!()
            };
            assert_eq!(error_words(error), words);
        }
    }

    #[test]
    fn a_request_is_one_json_text() {
        let mut out = BytesMut::new();
        request(&mut out, 7, "get_schema", ("OVN_Southbound",));
        assert_eq!(out, r#"{"method":"get_schema","params":["OVN_Southbound"],"id":7}"#);
    }

    #[test]
    fn what_is_no_envelope_is_refused() {
        assert!(Message::parse(&frame(r#"{"method":7}"#)).is_err());
        assert!(Message::parse(&frame(r#"{"method" "a"}"#)).is_err());
    }
}
