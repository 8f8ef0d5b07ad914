//! JSON-RPC 1.0 as OVSDB uses it (RFC 7047 section 4): a frame's envelope, and envelopes around what the agent sends.
//! It parses no further than the envelope.

use bytes::{BufMut, BytesMut};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{ProtocolError, frame::Frame, value::decode::Text};

/// What a member says that might as well not be there, and what is said in the place of one that is not.
const NULL: &str = "null";

/// A message from the server. Parameters, results and errors are JSON texts that nobody has parsed yet: who needs none of what
/// they say does not learn that they are malformed.
#[derive(Debug)]
pub enum Message<'a> {
    /// It asks; the answer must repeat `id`.
    Request {
        /// What is asked.
        method: Box<str>,
        /// Its arguments.
        params: &'a str,
        /// Any JSON value but null.
        id: &'a str,
    },
    /// It tells.
    Notification {
        /// What is told.
        method: Box<str>,
        /// Its arguments.
        params: &'a str,
    },
    /// It answers.
    Reply {
        /// The request's number; None where the id is none of ours.
        id: Option<u64>,
        /// The result, or the error.
        result: Result<&'a str, &'a str>,
    },
}

/// The members as they are there.
#[derive(Default)]
struct Envelope<'a> {
    method: Option<&'a str>,
    params: Option<&'a str>,
    id: Option<&'a str>,
    result: Option<&'a str>,
    error: Option<&'a str>,
}

impl<'a> Envelope<'a> {
    fn open(frame: &'a Frame) -> Result<Self, ProtocolError> {
        let mut envelope = Self::default();
        for (name, value) in frame.members() {
            let Text(name) = parse("name of a member", name)?;
            let member = match &*name {
                "method" => &mut envelope.method,
                "params" => &mut envelope.params,
                "id" => &mut envelope.id,
                "result" => &mut envelope.result,
                "error" => &mut envelope.error,
                _ => continue,
            };
            if member.replace(value).is_some() {
                return Err(ProtocolError(format!("a message has two members {name:?}")));
            }
        }
        Ok(envelope)
    }
}

impl<'a> Message<'a> {
    /// Opens the envelope.
    pub fn parse(frame: &'a Frame) -> Result<Self, ProtocolError> {
        let envelope = Envelope::open(frame)?;
        let given = |member: Option<&'a str>| member.filter(|value| *value != NULL);
        let params = envelope.params.unwrap_or(NULL);
        let method = given(envelope.method).map(|method| parse::<Text<'_>>("name of a method", method));
        let id = given(envelope.id).map(|id| parse::<&RawValue>("id", id)).transpose()?.map(RawValue::get);
        Ok(match (method.transpose()?, id) {
            (Some(method), Some(id)) => Self::Request { method: method.0.into(), params, id },
            (Some(method), None) => Self::Notification { method: method.0.into(), params },
            (None, id) => Self::Reply {
                id: id.and_then(|id| serde_json::from_str(id).ok()),
                result: match given(envelope.error) {
                    Some(error) => Err(error),
                    None => Ok(envelope.result.unwrap_or(NULL)),
                },
            },
        })
    }
}

/// Reads a part of a message, which the error names.
pub fn parse<'a, T: Deserialize<'a>>(what: &str, text: &'a str) -> Result<T, ProtocolError> {
    serde_json::from_str(text)
        .map_err(|error| ProtocolError(format!("the server's {what} is malformed: {error}")))
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
pub fn error_words(error: &str) -> String {
    #[derive(Deserialize)]
    struct Detailed {
        error: Box<str>,
        details: Option<Box<str>>,
    }
    let words = match serde_json::from_str(error) {
        Ok(Detailed { error, details: Some(details) }) => format!("{error}: {details}"),
        Ok(Detailed { error, details: None }) => error.into(),
        Err(_) => serde_json::from_str(error).unwrap_or_else(|_| error.to_owned()),
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
        assert_eq!((&*method, params, id), ("echo", "[]", r#""echo""#));
        let mut out = BytesMut::new();
        reply(&mut out, parse("id", id).unwrap(), parse("params", params).unwrap());
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
        for text in [
            r#"{"method":7}"#,
            r#"{"method":a}"#,
            r#"{7:"method"}"#,
            r#"{"id":1,"id":null,"result":[]}"#,
            r#"{"id":1 2,"result":[]}"#,
            r#"{"id":01,"result":[]}"#,
        ] {
            assert!(Message::parse(&frame(text)).is_err(), "{text}");
        }
    }
}
