use proptest::prelude::*;
use threefold_core::{Command, TokenHash, entry, store::MemoryStore};

use super::*;

fn header() -> Header {
    let last_log_id = Some(peer::LogId { term: 3, index: 70 });
    let snapshot = peer::SnapshotHeader { version: 1, last_log_id, ..peer::SnapshotHeader::default() };
    let header = peer::BackupHeader {
        recovery_id: vec![9; 16].into(),
        snapshot: Some(snapshot),
        taken_at_ms: 1_700_000_000_000,
        server: "server-1".to_owned(),
        version: "0.1.0".to_owned(),
        about_bytes: 5,
    };
    Header::of(header).unwrap()
}

/// The records of a state in which somebody has registered, between some of the server's own.
fn records() -> Vec<peer::KeyValue> {
    let register = Command::Register {
        name: "ann".to_owned(),
        password_hash: "$argon2id$".to_owned(),
        token_hash: TokenHash([7; 32]),
        device: "desk".to_owned(),
    };
    let mut store = MemoryStore::default();
    let packed = entry::pack(1_700_000_000_000, [entry::encode_command(&register)].iter());
    let unpacked = entry::unpack(&packed).unwrap();
    threefold_core::apply(&mut store, 5, &unpacked).unwrap();
    for number in 0..20_u8 {
        store.entries.insert(vec![0, number], vec![number; usize::from(number)]);
    }
    let record = |(key, value): (Vec<u8>, Vec<u8>)| peer::KeyValue { key: key.into(), value: value.into() };
    store.entries.into_iter().map(record).collect()
}

/// A backup in blocks of so many records.
fn written(in_a_block: usize) -> (Vec<u8>, Summary) {
    let mut writer = Writer::begin(Vec::new(), &header()).unwrap();
    for some in records().chunks(in_a_block) {
        writer.records(some.to_vec()).unwrap();
    }
    writer.finish().unwrap()
}

fn read(bytes: &[u8]) -> Result<(Header, Vec<Record>, Summary), BackupError> {
    let mut reader = Reader::begin(bytes)?;
    let mut all = Vec::new();
    while let Some(some) = reader.next_records()? {
        all.extend(some);
    }
    assert!(reader.next_records()?.is_none(), "the end stays the end");
    let summary = reader.summary();
    Ok((reader.into_header(), all, summary))
}

#[test]
fn what_is_written_is_read() {
    for in_a_block in [1, 7, 1000] {
        let (bytes, summary) = written(in_a_block);
        let (found, all, again) = read(&bytes).unwrap();
        assert_eq!((&found, again), (&header(), summary));
        let all = all.into_iter().map(|(key, value)| peer::KeyValue { key, value }).collect::<Vec<_>>();
        assert_eq!(all, records());
        assert_eq!(summary.file_bytes, bytes.len() as u64);
        assert_eq!((summary.contents.accounts, summary.contents.sessions), (1, 1));
        assert_eq!((found.position(), found.server(), found.recovery_id()), ((3, 70), "server-1", &[9; 16][..]));
        assert_eq!(bytes[bytes.len() - 32..], summary.hash.0, "the last bytes stand for all");
    }
}

/// Stored for years: these bytes never change. A new format takes a new version and another test beside this one.
#[test]
fn the_first_format_is_as_it_was() {
    let mut writer = Writer::begin(Vec::new(), &header()).unwrap();
    let record = |key: &'static [u8], value: &'static [u8]| peer::KeyValue { key: key.into(), value: value.into() };
    writer.records(vec![record(&[0, 1], b"one"), record(&[0, 2], b"two")]).unwrap();
    let (bytes, _) = writer.finish().unwrap();
    let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex, include_str!("version-1.hex").split_whitespace().collect::<String>());
}

#[test]
fn a_change_of_any_byte_is_noticed() {
    let (bytes, _) = written(4);
    for place in 0..bytes.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[place] ^= change;
            assert!(read(&damaged).is_err(), "byte {place} ^ {change}");
        }
    }
}

#[test]
fn an_end_at_any_byte_is_noticed() {
    let (bytes, _) = written(4);
    for length in 0..bytes.len() {
        assert!(read(&bytes[..length]).is_err(), "{length} of {}", bytes.len());
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(matches!(read(&longer), Err(BackupError::Damaged { what: "something behind the end", .. })));
}

/// Where each block begins, and where the last one ends.
fn blocks(bytes: &[u8]) -> Vec<usize> {
    let mut places = vec![12];
    while let Some(length) = bytes.get(places[places.len() - 1] + 1..).and_then(|rest| rest.first_chunk::<4>()) {
        places.push(places[places.len() - 1] + 5 + u32::from_be_bytes(*length) as usize + 32);
    }
    places
}

#[test]
fn a_block_left_out_doubled_or_moved_is_noticed() {
    let (bytes, _) = written(4);
    let places = blocks(&bytes);
    assert!(places.len() > 6 && places.last() == Some(&bytes.len()));
    let block = |place: usize| &bytes[places[place]..places[place + 1]];
    for place in 0..places.len() - 1 {
        let (before, after) = (&bytes[..places[place]], &bytes[places[place + 1]..]);
        assert!(read(&[before, after].concat()).is_err(), "block {place} left out");
        assert!(read(&[before, block(place), block(place), after].concat()).is_err(), "block {place} doubled");
        if place + 2 < places.len() {
            let after = &bytes[places[place + 2]..];
            assert!(read(&[before, block(place + 1), block(place), after].concat()).is_err(), "block {place} moved");
        }
    }
}

#[test]
fn what_is_newer_or_something_else_is_refused_with_words_that_say_so() {
    let (bytes, _) = written(4);
    let mut newer = bytes.clone();
    newer[11] = 2;
    assert!(read(&newer).unwrap_err().to_string().contains("newer Threefold: format 2, this program knows 1"));
    for other in [&b""[..], b"3FBACKUP", b"SQLite format 3\0 and more of it"] {
        assert!(matches!(read(other), Err(BackupError::NotABackup)), "{other:?}");
    }
    let mut writer = Writer::begin(Vec::new(), &header()).unwrap();
    let unknown = peer::KeyValue { key: vec![0xfe].into(), value: vec![1].into() };
    assert!(matches!(writer.records(vec![unknown]), Err(BackupError::Record(_))), "a table of the future");
}

#[test]
fn keys_that_do_not_ascend_are_refused() {
    let record = |key: u8| peer::KeyValue { key: vec![0, key].into(), value: Bytes::new() };
    let mut writer = Writer::begin(Vec::new(), &header()).unwrap();
    writer.records(vec![record(1), record(2)]).unwrap();
    assert!(writer.records(vec![record(2)]).is_err());
}

#[test]
fn a_length_that_lies_takes_no_memory() {
    let mut bytes = preamble(FORMAT).to_vec();
    bytes.extend([HEADER, 0xff, 0xff, 0xff, 0xff]);
    assert!(matches!(read(&bytes), Err(BackupError::Damaged { what: "a block that is too long", .. })));
}

proptest! {
    /// Whatever is cut off and whatever is put there instead.
    #[test]
    fn no_tail_but_the_right_one_is_taken(cut in any::<prop::sample::Index>(), tail in prop::collection::vec(any::<u8>(), 0..100)) {
        let (bytes, _) = written(4);
        let cut = cut.index(bytes.len());
        let changed = [&bytes[..cut], &tail[..]].concat();
        prop_assert!(changed == bytes || read(&changed).is_err());
    }

    #[test]
    fn no_bytes_make_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut whole = preamble(FORMAT).to_vec();
        whole.extend(bytes);
        prop_assert!(read(&whole).is_err());
    }
}
