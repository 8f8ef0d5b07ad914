//! OpenStack's dialect of INI (oslo.config): sections, `key = value` or `key: value`, continuation lines, comments by
//! `#` or `;`. Keeps the place of every value, so that an error can name file and line. Knows no option.

use std::fmt;

/// Where something was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was named.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// One `key = value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The section, without brackets.
    pub section: String,
    /// The key.
    pub key: String,
    /// The value, without the quotes around it; continuation lines are joined by newlines.
    pub value: String,
    /// Where it was written.
    pub place: Place,
}

/// A line that is neither a section, a key, a comment nor a continuation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct SyntaxError {
    place: Place,
    problem: &'static str,
}

/// All entries of one file, in its order.
pub fn parse(file: &str, text: &str) -> Result<Vec<Entry>, SyntaxError> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut section: Option<String> = None;
    let mut continues = false;
    for (index, line) in text.lines().enumerate() {
        let place = Place { file: file.to_owned(), line: index + 1 };
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continues = continues && !trimmed.is_empty();
            continue;
        }
        if line.starts_with([' ', '\t']) {
            let Some(entry) = entries.last_mut().filter(|_| continues) else {
                return Err(SyntaxError {
                    place,
                    problem: "an indented line continues a value, but there is none above",
                });
            };
            entry.value.push('\n');
            entry.value.push_str(trimmed);
            continue;
        }
        if let Some(name) = trimmed.strip_prefix('[') {
            let name = name.strip_suffix(']').map(str::trim).filter(|name| !name.is_empty());
            let problem = "a section is written as [name]";
            section = Some(name.ok_or(SyntaxError { place, problem })?.to_owned());
            continues = false;
            continue;
        }
        entries.push(key_and_value(trimmed, section.as_deref(), place)?);
        continues = true;
    }
    for entry in &mut entries {
        entry.value = unquoted(&entry.value).to_owned();
    }
    Ok(entries)
}

fn key_and_value(line: &str, section: Option<&str>, place: Place) -> Result<Entry, SyntaxError> {
    let Some(section) = section else {
        return Err(SyntaxError {
            place,
            problem: "this stands before any section; the first is usually [DEFAULT]",
        });
    };
    let split = line.find(['=', ':']).filter(|at| *at > 0);
    let Some(at) = split else {
        return Err(SyntaxError { place, problem: "an option is written as key = value" });
    };
    let (key, value) = (line[..at].trim(), line[at + 1..].trim());
    Ok(Entry { section: section.to_owned(), key: key.to_owned(), value: value.to_owned(), place })
}

fn unquoted(value: &str) -> &str {
    let inner = |quote| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(text: &str) -> Vec<(String, String, String, usize)> {
        let entries = parse("f", text).unwrap();
        entries.into_iter().map(|e| (e.section, e.key, e.value, e.place.line)).collect()
    }

    #[test]
    fn reads_what_oslo_reads() {
        let text =
            "# comment\n[DEFAULT]\ndebug=True\nname : \"a b\"\n\n[ovn]\nlist = a,\n  b\n; c\n  d\nempty =\n";
        let own = |s: &str, k: &str, v: &str, l| (s.to_owned(), k.to_owned(), v.to_owned(), l);
        assert_eq!(
            flat(text),
            [
                own("DEFAULT", "debug", "True", 3),
                own("DEFAULT", "name", "a b", 4),
                own("ovn", "list", "a,\nb\nd", 7),
                own("ovn", "empty", "", 11),
            ]
        );
    }

    #[test]
    fn names_the_place_of_what_it_cannot_read() {
        for (text, line) in
            [("a = b", 1), ("[x]\nnothing", 2), ("[x", 1), ("[]", 1), ("  a", 1), ("[x]\n= b", 2)]
        {
            let error = parse("agent.conf", text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("agent.conf:{line}: ")), "{error}");
        }
    }
}
