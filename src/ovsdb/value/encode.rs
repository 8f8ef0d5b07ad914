//! Values as the agent sends them: in conditions, rows and mutations. It never decodes.

use serde::{Serialize, Serializer};
use uuid::Uuid;

/// A value to send (RFC 7047 section 5.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// A string.
    Text(Box<str>),
    /// An integer.
    Integer(i64),
    /// A boolean.
    Boolean(bool),
    /// A row that exists.
    Uuid(Uuid),
    /// The row that an insert of the same transaction makes under this name.
    Named(Box<str>),
    /// A set; an empty one is also how an optional column is cleared.
    Set(Vec<Value>),
    /// A map.
    Map(Vec<(Value, Value)>),
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => text.serialize(serializer),
            Self::Integer(number) => number.serialize(serializer),
            Self::Boolean(flag) => flag.serialize(serializer),
            Self::Uuid(uuid) => ("uuid", uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()) as &str)
                .serialize(serializer),
            Self::Named(name) => ("named-uuid", name).serialize(serializer),
            Self::Set(values) => ("set", values).serialize(serializer),
            Self::Map(pairs) => ("map", pairs).serialize(serializer),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Boolean(flag)
    }
}

impl From<Uuid> for Value {
    fn from(uuid: Uuid) -> Self {
        Self::Uuid(uuid)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        Self::Set(value.into_iter().map(Into::into).collect())
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Value {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(pairs: I) -> Self {
        Self::Map(pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_has_its_form() {
        let cases = [
            (Value::from("a\"b"), r#""a\"b""#),
            (Value::from(7), "7"),
            (Value::from(true), "true"),
            (Value::from(Uuid::nil()), r#"["uuid","00000000-0000-0000-0000-000000000000"]"#),
            (Value::Named("port1".into()), r#"["named-uuid","port1"]"#),
            (Value::from(None::<i64>), r#"["set",[]]"#),
            (Value::from(Some(3)), r#"["set",[3]]"#),
            (Value::from_iter([("k", "v")]), r#"["map",[["k","v"]]]"#),
        ];
        for (value, text) in cases {
            assert_eq!(serde_json::to_string(&value).unwrap(), text);
        }
    }
}
