//! Some strings in one piece of memory. Rows hold few and short ones, and a piece for each would take more room than what
//! is in it.

use std::fmt;

/// A sequence of strings: each behind its length in decimal and a colon.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Strings(Box<str>);

impl Strings {
    /// These strings, in a piece of just their size.
    pub fn packed<'a>(strings: impl Iterator<Item = &'a str> + Clone) -> Self {
        let digits = |text: &str| text.len().checked_ilog10().unwrap_or(0) as usize + 1;
        let size = strings.clone().map(|text| digits(text) + 1 + text.len()).sum();
        let mut packed = String::with_capacity(size);
        for text in strings {
            push_number(&mut packed, text.len());
            packed.push(':');
            packed.push_str(text);
        }
        Self(packed.into())
    }

    /// The strings in their order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            let (length, from) = rest.split_once(':')?;
            let (text, behind) = from.split_at(length.parse().ok()?);
            rest = behind;
            Some(text)
        })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<S: AsRef<str>> FromIterator<S> for Strings {
    fn from_iter<I: IntoIterator<Item = S>>(strings: I) -> Self {
        let strings = Vec::from_iter(strings);
        Self::packed(strings.iter().map(AsRef::as_ref))
    }
}

fn push_number(out: &mut String, number: usize) {
    if number >= 10 {
        push_number(out, number / 10);
    }
    out.push(char::from(b'0' + (number % 10) as u8));
}

impl fmt::Debug for Strings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lengths_have_as_many_digits_as_they_need(length in prop_oneof![0..120usize, Just(999), Just(1000)]) {
            let text = "x".repeat(length);
            let packed = Strings::packed([&*text, ""].into_iter());
            prop_assert_eq!(&*packed.0, format!("{length}:{text}0:"));
        }

        #[test]
        fn what_is_put_in_comes_out(strings in prop::collection::vec("[a:1é\\PC]{0,12}", 0..6)) {
            let packed: Strings = strings.iter().collect();
            prop_assert_eq!(packed.iter().collect::<Vec<_>>(), strings.clone());
            prop_assert_eq!(packed.is_empty(), strings.is_empty());
        }
    }
}
