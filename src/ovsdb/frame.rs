//! Cuts the byte stream of an OVSDB connection into JSON texts, one message each. It looks at every byte once, however
//! the stream was split, and bounds size and depth before anything is parsed. It never looks at what a message says.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr2;

use super::ProtocolError;

/// The largest message taken, in bytes, unless told otherwise. A full Southbound of 50,000 ports is about 45 MB.
pub const MAX_SIZE: usize = 256 << 20;

/// The deepest nesting of arrays and objects taken. The deepest that ovsdb-server sends is about 12, in a schema; its own
/// limit is 1000 (JSON_MAX_HEIGHT in lib/json.c).
pub const MAX_DEPTH: usize = 64;

/// From this size on, in bytes, the memory of a message is not used again for what comes behind it.
const LARGE: usize = 1 << 20;

/// The text of one message: UTF-8, one JSON object by its brackets. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame(Bytes);

impl Frame {
    /// The text as bytes, which are UTF-8.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The stream's reader: bytes go into [`Framer::buffer`], messages come out of [`Framer::next_frame`].
#[derive(Debug)]
pub struct Framer {
    buffer: BytesMut,
    /// Bytes of `buffer` that were looked at already.
    seen: usize,
    /// One bit per open bracket, the innermost lowest: 1 for an object, 0 for an array.
    open: u64,
    depth: usize,
    place: Place,
    max_size: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Plain,
    Text,
    /// Behind a backslash in a text.
    Escape,
}

impl Default for Framer {
    fn default() -> Self {
        Self::new(MAX_SIZE)
    }
}

impl Framer {
    /// A framer that refuses messages of more than `max_size` bytes.
    pub fn new(max_size: usize) -> Self {
        Self { buffer: BytesMut::new(), seen: 0, open: 0, depth: 0, place: Place::Plain, max_size }
    }

    /// Where received bytes are to be appended.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next whole message, None until more bytes are there. After an error the stream is of no use.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, ProtocolError> {
        if self.depth == 0 {
            self.skip_space();
        }
        let end = self.scan()?;
        let size = end.unwrap_or(self.buffer.len());
        if size > self.max_size {
            let max = self.max_size;
            return Err(ProtocolError(format!("a message is larger than the {max} bytes taken at most")));
        }
        let Some(end) = end else { return Ok(None) };
        self.seen = 0;
        let text = self.buffer.split_to(end).freeze();
        if end > LARGE {
            // Else the rest would hold on to the memory of the large message for as long as there is a rest.
            self.buffer = BytesMut::from(&*self.buffer);
        }
        match std::str::from_utf8(&text) {
            Ok(_) => Ok(Some(Frame(text))),
            Err(error) => Err(ProtocolError(format!(
                "a message is not UTF-8 at its byte {}: is this an OVSDB server?",
                error.valid_up_to()
            ))),
        }
    }

    fn skip_space(&mut self) {
        let blank = self.buffer.iter().take_while(|b| b.is_ascii_whitespace()).count();
        self.buffer.advance(blank);
    }

    /// Where the message at the start of the buffer ends, if it does.
    fn scan(&mut self) -> Result<Option<usize>, ProtocolError> {
        let mut at = self.seen;
        while let Some(&byte) = self.buffer.get(at) {
            match self.place {
                Place::Escape => self.place = Place::Text,
                // Most bytes of a message are texts.
                Place::Text => match memchr2(b'"', b'\\', &self.buffer[at..]) {
                    Some(length) => {
                        at += length;
                        self.place = if self.buffer[at] == b'"' { Place::Plain } else { Place::Escape };
                    }
                    None => at = self.buffer.len(),
                },
                Place::Plain => match byte {
                    b'{' | b'[' => open(&mut self.open, &mut self.depth, byte)?,
                    b'}' | b']' => {
                        close(&mut self.open, &mut self.depth, byte)?;
                        if self.depth == 0 {
                            return Ok(Some(at + 1));
                        }
                    }
                    _ if self.depth == 0 => return Err(no_object(byte)),
                    b'"' => self.place = Place::Text,
                    _ => {}
                },
            }
            at += 1;
        }
        self.seen = self.buffer.len();
        Ok(None)
    }
}

fn open(brackets: &mut u64, depth: &mut usize, byte: u8) -> Result<(), ProtocolError> {
    if *depth == 0 && byte != b'{' {
        return Err(no_object(byte));
    }
    if *depth == MAX_DEPTH {
        return Err(ProtocolError(format!("a message is nested deeper than {MAX_DEPTH} levels")));
    }
    *brackets = *brackets << 1 | u64::from(byte == b'{');
    *depth += 1;
    Ok(())
}

fn close(brackets: &mut u64, depth: &mut usize, byte: u8) -> Result<(), ProtocolError> {
    if *depth == 0 {
        return Err(no_object(byte));
    }
    if (*brackets & 1 == 1) != (byte == b'}') {
        return Err(ProtocolError(format!(
            "a message has {:?} where another bracket ends",
            char::from(byte)
        )));
    }
    *brackets >>= 1;
    *depth -= 1;
    Ok(())
}

fn no_object(byte: u8) -> ProtocolError {
    let found = byte.escape_ascii();
    ProtocolError(format!("a message begins with '{found}' instead of '{{': is this an OVSDB server?"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frames(pieces: &[&[u8]], max_size: usize) -> Result<Vec<Vec<u8>>, ProtocolError> {
        let mut framer = Framer::new(max_size);
        let mut found = Vec::new();
        for piece in pieces {
            framer.buffer().extend_from_slice(piece);
            while let Some(frame) = framer.next_frame()? {
                found.push(frame.bytes().to_vec());
            }
        }
        Ok(found)
    }

    #[test]
    fn brackets_in_texts_do_not_count() {
        let text = br#" {"a":"}{\"]\\"} {"b":[{}]}{"#;
        let found = frames(&[text], 100).unwrap();
        assert_eq!(found, [br#"{"a":"}{\"]\\"}"#.to_vec(), br#"{"b":[{}]}"#.to_vec()]);
    }

    #[test]
    fn what_is_no_message_is_refused_with_words() {
        let deep = [&b"{"[..], &b"[".repeat(MAX_DEPTH)].concat();
        let cases: [(&[u8], &str); 7] = [
            (b"HTTP/1.1 400", "begins with 'H'"),
            (b"[1]", "begins with '['"),
            (b"}", "begins with '}'"),
            (b"\x16\x03\x01", r"begins with '\x16'"),
            (b"{\"a\":[}", "where another bracket ends"),
            (b"{\"a\":\"\xff\"}", "not UTF-8 at its byte 6"),
            (&deep, "deeper than 64"),
        ];
        for (text, words) in cases {
            let error = frames(&[text], 1000).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn size_is_bounded_before_the_message_is_whole() {
        assert!(frames(&[b"{\"a\":123}"], 9).is_ok());
        assert!(frames(&[b"{\"a\":1234}"], 9).is_err());
        assert!(frames(&[b"{\"a\":1", b"23456"], 9).is_err());
    }

    #[test]
    fn memory_of_a_large_message_goes_with_it() {
        let mut framer = Framer::default();
        framer.buffer().extend_from_slice(format!("{{\"a\":\"{}\"}}{{", "x".repeat(2 * LARGE)).as_bytes());
        drop(framer.next_frame().unwrap().unwrap());
        assert!(framer.buffer().capacity() < LARGE);
        framer.buffer().extend_from_slice(b"}");
        assert_eq!(framer.next_frame().unwrap().unwrap().bytes(), b"{}");
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_messages(
            texts in prop::collection::vec("[a-z{}\\[\\]\"\\\\é]{0,12}", 0..6),
            cuts in prop::collection::vec(0usize..300, 0..8),
        ) {
            let messages: Vec<Vec<u8>> =
                texts.iter().map(|text| serde_json::to_vec(&serde_json::json!({ text: [text] })).unwrap()).collect();
            let stream = messages.join(&b"\n "[..]);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts.into_iter().chain([stream.len()]) {
                pieces.push(&stream[from..cut]);
                from = cut;
            }
            prop_assert_eq!(frames(&pieces, 10_000).unwrap(), messages);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = frames(&[&bytes], 200);
        }
    }
}
