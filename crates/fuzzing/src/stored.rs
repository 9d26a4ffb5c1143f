//! What lies on disks: records of the state, entries of the log with their commands, votes and configurations.

use bytes::Bytes;
use threefold_core::{
    entry::{decode_command, decode_reply, encode_command, encode_reply, pack_under, unpack},
    stored,
};
use threefold_server::parsing;

/// Bytes that begin so are no record of the state but something of the log. Tables are below.
const LOG: u8 = 0x80;

/// The first byte says what the others are: the record of a table by its number, or something of the log.
pub fn stored_record(data: &[u8]) {
    let Some((&kind, bytes)) = data.split_first() else { return };
    match kind {
        LOG => command(bytes),
        0x81 => entry(bytes),
        0x82 => reply(bytes),
        0x83 => log_record(bytes, parsing::log_entry),
        0x84 => log_record(bytes, parsing::vote),
        0x85 => log_record(bytes, parsing::configuration),
        table => record(table, bytes),
    }
}

fn record(table: u8, bytes: &[u8]) {
    match stored::again(table, bytes) {
        None => {}
        Some(Ok(again)) => match stored::again(table, &again) {
            Some(Ok(third)) => assert_eq!(third, again),
            other => panic!("table {table:#x}: {other:?} of {again:x?}"),
        },
        Some(Err(error)) => assert!(!error.to_string().contains("stored again"), "table {table:#x}: {error}"),
    }
}

fn command(bytes: &[u8]) {
    let Ok(command) = decode_command(bytes) else { return };
    assert_eq!(decode_command(&encode_command(&command)).as_ref(), Ok(&command));
}

fn entry(bytes: &[u8]) {
    let Ok(unpacked) = unpack(bytes) else { return };
    let commands: Vec<Bytes> = unpacked.commands.iter().map(encode_command).collect();
    assert_eq!(unpack(&pack_under(unpacked.mentions, unpacked.time_ms, commands.iter())).as_ref(), Ok(&unpacked));
}

fn reply(bytes: &[u8]) {
    let Ok(reply) = decode_reply(bytes) else { return };
    assert_eq!(decode_reply(&encode_reply(&reply)).as_ref(), Ok(&reply));
}

fn log_record<E>(bytes: &[u8], again: impl Fn(Bytes) -> Result<Bytes, E>) {
    let Ok(once) = again(Bytes::copy_from_slice(bytes)) else { return };
    assert!(again(once.clone()).is_ok_and(|twice| twice == once), "{once:x?}");
}
