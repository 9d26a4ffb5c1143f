//! JSON for what clients speak: one schema, which is `chat.proto`'s.
//!
//! - A message is an object with its fields' names; ids and times are numbers, bytes are hexadecimal digits, and the values of an
//!   enumeration their names in lower case, without the enumeration's own.
//! - A `oneof` is an object with the one field that is set, under the `oneof`'s name: `"from": {"before": 9}`. A message that
//!   holds nothing but one `oneof` is that object itself: `"to": {"user": "ann"}`.
//! - What has its default is left out, and may be left out. Unknown fields are refused by their name: a misspelt one would
//!   otherwise silently be a default.
//!
//! `build.rs` gives every message these rules, so a new field or message needs nothing here. A choice is not flattened into the object
//! around it, because serde cannot refuse unknown fields of such an object, and swallows errors inside of the choice.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, DeserializeOwned, IntoDeserializer as _},
};

use crate::convert::Refusal;

/// Reads a message.
///
/// # Errors
/// When it is not in the schema; the words say where.
pub fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Refusal> {
    serde_json::from_str(text).map_err(|error| Refusal::invalid(words(&error)))
}

/// Reads a message from what was parsed already.
///
/// # Errors
/// As [`read`].
pub fn from_value<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, Refusal> {
    serde_json::from_value(value).map_err(|error| Refusal::invalid(words(&error)))
}

/// Writes a message.
///
/// # Errors
/// Never, for what is generated from `chat.proto`.
pub fn write<T: Serialize>(message: &T) -> Result<String, Refusal> {
    serde_json::to_string(message).map_err(|error| Refusal::Internal(format!("no JSON of an answer: {error}")))
}

/// What is wrong, without the place in the text where no other text has a meaning to the reader: it is one line.
fn words(error: &serde_json::Error) -> String {
    let words = error.to_string();
    match (error.is_data(), words.rfind(" at line ")) {
        (true, Some(place)) => words[..place].to_owned(),
        (_, _) => words,
    }
}

/// Whether a field is as if it had never been set.
pub(crate) fn is_default<T: Default + PartialEq>(field: &T) -> bool {
    *field == T::default()
}

/// Bytes as hexadecimal digits.
pub(crate) mod hex {
    use std::fmt::Write as _;

    use bytes::Bytes;
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(bytes: &Bytes, to: S) -> Result<S::Ok, S::Error> {
        let mut digits = String::with_capacity(2 * bytes.len());
        for byte in bytes {
            // Writing to a string has no way to fail.
            let _ = write!(digits, "{byte:02x}");
        }
        to.serialize_str(&digits)
    }

    pub(crate) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Bytes, D::Error> {
        let digits = String::deserialize(from)?;
        parse(&digits).ok_or_else(|| de::Error::custom("bytes are written as hexadecimal digits, two for each"))
    }

    fn parse(digits: &str) -> Option<Bytes> {
        let pairs = digits.as_bytes().chunks(2).map(|pair| {
            let [high, low] = pair else { return None };
            let digit = |byte: u8| char::from(byte).to_digit(16);
            u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
        });
        pairs.collect::<Option<Vec<u8>>>().map(Bytes::from)
    }
}

/// A field that holds a value of an enumeration, by its name.
pub(crate) struct Named<E>(PhantomData<E>);

impl<E: TryFrom<i32> + Serialize> Named<E> {
    pub(crate) fn serialize<S: Serializer>(number: &i32, to: S) -> Result<S::Ok, S::Error> {
        match E::try_from(*number) {
            Ok(value) => value.serialize(to),
            // Of a newer version.
            Err(_) => to.serialize_i32(*number),
        }
    }
}

impl<'a, E: Into<i32> + Deserialize<'a>> Named<E> {
    pub(crate) fn deserialize<D: Deserializer<'a>>(from: D) -> Result<i32, D::Error> {
        from.deserialize_any(NameOrNumber::<E>(PhantomData))
    }
}

/// Accepts what [`Named`] writes.
struct NameOrNumber<E>(PhantomData<E>);

impl<'a, E: Into<i32> + Deserialize<'a>> de::Visitor<'a> for NameOrNumber<E> {
    type Value = i32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a value")
    }

    fn visit_str<F: de::Error>(self, name: &str) -> Result<i32, F> {
        E::deserialize(name.into_deserializer()).map(Into::into)
    }

    fn visit_i64<F: de::Error>(self, number: i64) -> Result<i32, F> {
        i32::try_from(number).map_err(|_| F::custom("no such value"))
    }

    fn visit_u64<F: de::Error>(self, number: u64) -> Result<i32, F> {
        i32::try_from(number).map_err(|_| F::custom("no such value"))
    }
}

#[cfg(test)]
mod tests;
