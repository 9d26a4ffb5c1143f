//! What must hold of every parser, whatever the bytes are: the bodies of the fuzz targets.
//!
//! Each body takes any bytes, and panics if the parser does or if something else does not hold: mostly, that what was
//! read is the same when it is written and read again, and that it makes no difference in which pieces bytes come. Fuzzers
//! (`fuzz/`, with nightly Rust) drive them for as long as one likes; `tests/short.rs` drives them over the committed corpus
//! and some thousand mutations of it, with nothing but `cargo test`.

#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, reason = "a fuzz target tells by panicking")]

mod framing;
mod http;
mod protobuf;
mod search;
mod stored;
mod websocket;

pub use framing::{binary_frame, json_line};
pub use http::http_inputs;
pub use protobuf::protobuf;
pub use search::search_query;
pub use stored::stored_record;
pub use websocket::websocket_message;

/// The body of a target.
pub type Body = fn(&[u8]);

/// Every target by its name, which is that of its directory in `fuzz/corpus` too.
pub const TARGETS: [(&str, Body); 7] = [
    ("binary_frame", binary_frame),
    ("json_line", json_line),
    ("websocket_message", websocket_message),
    ("protobuf", protobuf),
    ("search_query", search_query),
    ("stored_record", stored_record),
    ("http_inputs", http_inputs),
];

/// JSON without what is null: a choice of which nothing was chosen is written so, and read as if it had been left out.
pub(crate) fn without_nulls(text: &str) -> serde_json::Value {
    fn strip(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Object(fields) => {
                fields.retain(|_, field| !field.is_null());
                fields.values_mut().for_each(strip);
            }
            serde_json::Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut value = serde_json::from_str(text).expect("what is written is JSON");
    strip(&mut value);
    value
}
