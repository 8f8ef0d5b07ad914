//! Some strings in one piece of memory. Rows hold few and short ones, and a piece for each would take more room than what
//! is in it.

use std::fmt;

/// A sequence of strings: each behind its length in decimal and a colon.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Strings(Box<str>);

impl Strings {
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
        let mut packed = String::new();
        for text in strings {
            let text = text.as_ref();
            packed.reserve(text.len() + 4);
            packed.push_str(&text.len().to_string());
            packed.push(':');
            packed.push_str(text);
        }
        Self(packed.into())
    }
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
        fn what_is_put_in_comes_out(strings in prop::collection::vec("[a:1é\\PC]{0,12}", 0..6)) {
            let packed: Strings = strings.iter().collect();
            prop_assert_eq!(packed.iter().collect::<Vec<_>>(), strings.clone());
            prop_assert_eq!(packed.is_empty(), strings.is_empty());
        }
    }
}
