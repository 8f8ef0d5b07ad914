//! Cuts the byte stream of an OVSDB connection into JSON texts, one message each. It looks at every byte once, however
//! the stream was split, notes where the parts of a message are, so that nobody passes over a large one only to find them,
//! and bounds size and depth before anything is parsed. It never looks at what a message says.

use std::{ops::Range, sync::Arc};

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr2;

use super::ProtocolError;

/// The largest message taken, in bytes, unless told otherwise. A full Southbound of 50,000 ports is about 45 MB.
pub const MAX_SIZE: usize = 256 << 20;

/// The deepest nesting of arrays and objects taken. The deepest that ovsdb-server sends is about 12, in a schema; its own
/// limit is 1000 (JSON_MAX_HEIGHT in lib/json.c).
pub const MAX_DEPTH: usize = 64;

/// The most members taken of a message; JSON-RPC has three.
const MAX_MEMBERS: usize = 8;

/// The depth of rows in what tells them: the message, its parameters or result, tables, rows, and a row's one change.
const ROW_DEPTH: usize = 6;

/// The shortest row, in bytes, whose place is noted: that of many tiny ones would be larger than they are.
const ROW_SIZE: usize = 64;

/// From this size on, in bytes, the memory of a message is not used again for what comes behind it.
const LARGE: usize = 1 << 20;

/// The text of one message: UTF-8, one JSON object by its brackets, colons and commas. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    text: Bytes,
    parts: Arc<Parts>,
}

/// Where the parts of a message are that were seen when its end was looked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Parts {
    /// The colon and the comma of each member; the last one ends with the text.
    marks: Vec<usize>,
    /// Objects at the depth of rows.
    rows: Vec<Range<usize>>,
}

impl Frame {
    /// The text. It is checked again to be UTF-8, which is little beside anything else that is done with it.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    /// Where objects at the depth of rows are, in ascending order, but for short ones.
    pub fn rows(&self) -> &[Range<usize>] {
        &self.parts.rows
    }

    /// Where in the text a part of it is; None: it is none, but a text of its own.
    pub fn place_of(&self, part: &str) -> Option<Range<usize>> {
        let start = (part.as_ptr() as usize).checked_sub(self.text.as_ptr() as usize)?;
        let end = start.checked_add(part.len())?;
        (end <= self.text.len()).then_some(start..end)
    }

    /// The members of the message: name and value, JSON texts both, of which no more is known than that brackets and
    /// quotes match.
    pub fn members(&self) -> impl Iterator<Item = (&str, &str)> {
        let text = self.text();
        let marks = || self.parts.marks.iter().copied();
        let (starts, ends) = ([0].into_iter().chain(marks()), marks().chain([text.len() - 1]));
        let mut parts = starts.zip(ends).map(move |(start, end)| text[start + 1..end].trim_ascii());
        std::iter::from_fn(move || Some((parts.next()?, parts.next()?)))
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
    parts: Parts,
    /// Where the last object at the depth of rows began.
    row: usize,
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
        let (buffer, place, parts) = (BytesMut::new(), Place::Plain, Parts::default());
        Self { buffer, seen: 0, open: 0, depth: 0, place, parts, row: 0, max_size }
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
        let parts = Arc::new(std::mem::take(&mut self.parts));
        let text = self.buffer.split_to(end).freeze();
        if end > LARGE {
            // Else the rest would hold on to the memory of the large message for as long as there is a rest.
            self.buffer = BytesMut::from(&*self.buffer);
        }
        match std::str::from_utf8(&text) {
            Ok(_) => Ok(Some(Frame { text, parts })),
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
                    b'{' | b'[' => {
                        open(&mut self.open, &mut self.depth, byte)?;
                        if self.depth == ROW_DEPTH {
                            self.row = at;
                        }
                    }
                    b'}' | b']' => {
                        close(&mut self.open, &mut self.depth, byte)?;
                        if self.depth + 1 == ROW_DEPTH && byte == b'}' && at + 1 - self.row >= ROW_SIZE {
                            self.parts.rows.push(self.row..at + 1);
                        }
                        if self.depth == 0 {
                            all_marked(&self.parts.marks, &self.buffer[1..at])?;
                            return Ok(Some(at + 1));
                        }
                    }
                    _ if self.depth == 0 => return Err(no_object(byte)),
                    b'"' => self.place = Place::Text,
                    b':' | b',' if self.depth == 1 => mark(&mut self.parts.marks, at, byte)?,
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

/// Notes what stands between the parts of the message's object: a colon and a comma in turns.
fn mark(marks: &mut Vec<usize>, at: usize, byte: u8) -> Result<(), ProtocolError> {
    if marks.len().is_multiple_of(2) != (byte == b':') {
        let found = char::from(byte);
        return Err(ProtocolError(format!("a message has {found:?} where its member does not end")));
    }
    if marks.len() == 2 * MAX_MEMBERS {
        return Err(ProtocolError(format!("a message has more than {MAX_MEMBERS} members")));
    }
    marks.push(at);
    Ok(())
}

/// The last member of the object has a colon; an object without one has nothing in it.
fn all_marked(marks: &[usize], inside: &[u8]) -> Result<(), ProtocolError> {
    let whole =
        if marks.is_empty() { inside.trim_ascii().is_empty() } else { !marks.len().is_multiple_of(2) };
    match whole {
        true => Ok(()),
        false => Err(ProtocolError("a message has a member without a value".into())),
    }
}

fn no_object(byte: u8) -> ProtocolError {
    let found = byte.escape_ascii();
    ProtocolError(format!("a message begins with '{found}' instead of '{{': is this an OVSDB server?"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn frames(pieces: &[&[u8]], max_size: usize) -> Result<Vec<Frame>, ProtocolError> {
        let mut framer = Framer::new(max_size);
        let mut found = Vec::new();
        for piece in pieces {
            framer.buffer().extend_from_slice(piece);
            while let Some(frame) = framer.next_frame()? {
                found.push(frame);
            }
        }
        Ok(found)
    }

    #[test]
    fn brackets_in_texts_do_not_count() {
        let text = br#" {"a":"}{\"]\\"} {"b":[{}]}{"#;
        let found = frames(&[text], 100).unwrap();
        let found: Vec<&str> = found.iter().map(Frame::text).collect();
        assert_eq!(found, [r#"{"a":"}{\"]\\"}"#, r#"{"b":[{}]}"#]);
    }

    #[test]
    fn what_is_no_message_is_refused_with_words() {
        let deep = [&b"{"[..], &b"[".repeat(MAX_DEPTH)].concat();
        let many = [&b"{"[..], &b"\"a\":1,".repeat(MAX_MEMBERS + 1)].concat();
        let cases: [(&[u8], &str); 12] = [
            (b"HTTP/1.1 400", "begins with 'H'"),
            (b"[1]", "begins with '['"),
            (b"}", "begins with '}'"),
            (b"\x16\x03\x01", r"begins with '\x16'"),
            (b"{\"a\":[}", "where another bracket ends"),
            (b"{\"a\":\"\xff\"}", "not UTF-8 at its byte 6"),
            (&deep, "deeper than 64"),
            (&many, "more than 8 members"),
            (b"{\"a\" 1}", "a member without"),
            (b"{\"a\":1,}", "a member without"),
            (b"{\"a\":1:", "has ':' where"),
            (b"{\"a\",", "has ',' where"),
        ];
        for (text, words) in cases {
            let error = frames(&[text], 1000).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn members_are_found_where_they_are() {
        let mut framer = Framer::default();
        for piece in [r#"{"a:," : ["b",{"c":1}], "d":"#, "\n2 }{ }"] {
            framer.buffer().extend_from_slice(piece.as_bytes());
        }
        let first = framer.next_frame().unwrap().unwrap();
        assert_eq!(first.members().collect::<Vec<_>>(), [("\"a:,\"", r#"["b",{"c":1}]"#), ("\"d\"", "2")]);
        let second = framer.next_frame().unwrap().unwrap();
        assert_eq!(second.members().count(), 0);
    }

    #[test]
    fn rows_are_found_unless_they_are_tiny() {
        let row = |length: usize| format!("{{\"a\":\"{}\"}}", "}".repeat(length - 8));
        let (tiny, small, list) = (row(ROW_SIZE - 1), row(ROW_SIZE), "1,".repeat(ROW_SIZE));
        let text = format!(
            "{{\"a\":[{{\"b\":{{\"c\":{{\"d\":{small}}},\"e\":{{\"d\":{tiny}}}}}}},[[[[{list}1]]]]]}}"
        );
        let mut framer = Framer::default();
        let mut found = None;
        for piece in text.as_bytes().chunks(7) {
            framer.buffer().extend_from_slice(piece);
            found = framer.next_frame().unwrap();
        }
        let frame = found.unwrap();
        let rows: Vec<&str> = frame.rows().iter().map(|row| &frame.text()[row.clone()]).collect();
        assert_eq!(rows, [small]);
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
        assert_eq!(framer.next_frame().unwrap().unwrap().text(), "{}");
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_messages(
            texts in prop::collection::vec("[a-z{}\\[\\]\"\\\\é:,]{0,90}", 0..6),
            cuts in prop::collection::vec(0usize..300, 0..8),
        ) {
            let messages: Vec<String> =
                texts.iter().map(|text| json!({ text: [text], "z": [{text: {text: {text: {text: 1}}}}] }).to_string()).collect();
            let stream = messages.join("\n ").into_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts.into_iter().chain([stream.len()]) {
                pieces.push(&stream[from..cut]);
                from = cut;
            }
            let found = frames(&pieces, 10_000).unwrap();
            prop_assert_eq!(&found, &frames(&[&stream], 10_000).unwrap());
            prop_assert_eq!(found.iter().map(Frame::text).collect::<Vec<_>>(), messages);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = frames(&[&bytes], 200);
        }
    }
}
