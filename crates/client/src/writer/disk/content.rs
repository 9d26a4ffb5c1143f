//! What a file of an outbox amounts to, and the changes it is made of.

use std::collections::BTreeMap;

use prost::Message as _;
use threefold_core::content::ContentHash;
use threefold_proto::chat::{RequestId, Write};

use crate::{
    Session,
    writer::{
        Fingerprint,
        change::{Change, Kept, Why},
        fingerprint::encoded,
    },
};

/// Persisted: never reused for something else. Who does not know one refuses the file, so that a new one takes no new version.
mod kind {
    pub(super) const SESSION: u8 = 1;
    pub(super) const ACCEPTED: u8 = 2;
    pub(super) const NAMED: u8 = 3;
    pub(super) const UNNAMED: u8 = 4;
    pub(super) const REMOVED: u8 = 5;
    pub(super) const FINGERPRINT: u8 = 6;
    pub(super) const FAILED: u8 = 7;
    pub(super) const DRAFTED: u8 = 8;
    pub(super) const UNDRAFTED: u8 = 9;
}

/// Why a write came to nothing; persisted like them.
mod reason {
    pub(super) const REFUSED: u64 = 1;
    pub(super) const UNKNOWN: u64 = 2;
    pub(super) const PROTOCOL: u64 = 3;
}

/// Whose outbox it is. Not the token itself, which is a secret; its hash, because two clusters may give out the same numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    account: u64,
    session: u64,
    token: [u8; 32],
}

impl Owner {
    pub(super) fn of(session: &Session) -> Self {
        Self { account: session.account, session: session.session, token: ContentHash::of(session.token.as_bytes()).0 }
    }
}

/// A write that was not answered, or came to nothing without anybody having been told.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stored {
    pub(super) request: Option<RequestId>,
    /// A `Write` with nothing but its operation.
    write: Vec<u8>,
    failed: Option<Why>,
}

/// What a file amounts to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Content {
    pub(super) owner: Option<Owner>,
    /// Writes accepted so far, in all runs: the key of the last one.
    pub(super) accepted: u64,
    /// The latest instance that gave a name to one of them.
    pub(super) instance: u64,
    pub(super) waiting: BTreeMap<u64, Stored>,
    /// What is kept beside them, and what it says only the program knows.
    pub(super) drafts: BTreeMap<u64, Vec<u8>>,
    /// Of all writes accepted so far; none where an earlier version did not write it down.
    pub(super) fingerprint: Option<Fingerprint>,
}

impl Content {
    pub(super) fn apply(&mut self, change: &Change) {
        match change {
            Change::Accepted { key, operation } => self.accept(*key, encoded(operation)),
            Change::Named { key, request } => {
                self.instance = self.instance.max(request.instance);
                if let Some(stored) = self.waiting.get_mut(key) {
                    stored.request = Some(*request);
                }
            }
            Change::Unnamed { key } => {
                if let Some(stored) = self.waiting.get_mut(key) {
                    stored.request = None;
                }
            }
            Change::Removed { key } => drop(self.waiting.remove(key)),
            Change::Failed { key, why } => {
                if let Some(stored) = self.waiting.get_mut(key) {
                    stored.failed = Some(why.clone());
                }
            }
            Change::Drafted { draft, content } => drop(self.drafts.insert(*draft, content.clone())),
            Change::Undrafted { draft } => drop(self.drafts.remove(draft)),
        }
    }

    fn accept(&mut self, key: u64, write: Vec<u8>) {
        self.accepted = self.accepted.max(key);
        if let Some(fingerprint) = &mut self.fingerprint {
            fingerprint.add(&write);
        }
        self.waiting.insert(key, Stored { request: None, write, failed: None });
    }

    /// What waits, in order; none if one of it is nothing that this version knows.
    pub(super) fn kept(&self) -> Option<Vec<Kept>> {
        let kept = |(key, stored): (&u64, &Stored)| {
            let operation = Write::decode(&*stored.write).ok().and_then(|write| write.operation);
            operation.map(|operation| Kept {
                key: *key,
                request: stored.request,
                operation,
                failed: stored.failed.clone(),
            })
        };
        self.waiting.iter().map(kept).collect()
    }

    /// Why another session cannot go on with it, and where it could without it.
    pub(super) fn of_another(&self) -> String {
        let (accepted, left) = (self.accepted, self.waiting.len());
        let count = |is_so: fn(&Stored) -> bool| self.waiting.values().filter(|stored| is_so(stored)).count();
        let never_sent = count(|stored| stored.failed.is_none() && stored.request.is_none());
        let may_have_been = count(|stored| stored.failed.is_none() && stored.request.is_some());
        format!(
            "it is of another session, which alone can send what waits there. {accepted} writes were taken, {left} of them not acknowledged as far as it \
             knows: {never_sent} never sent, {may_have_been} perhaps sent, {} refused. Go on behind them with another file",
            left - never_sent - may_have_been
        )
    }

    /// About as many as it takes to write it anew.
    pub(super) fn bytes(&self) -> u64 {
        let words = |why: &Why| match why {
            Why::Refused(_, words) | Why::Unknown(words) | Why::Protocol(words) => 64 + words.len(),
        };
        let bytes = |stored: &Stored| 64 + stored.write.len() + stored.failed.as_ref().map_or(0, words);
        let drafts = self.drafts.values().map(|content| 64 + content.len());
        self.waiting.values().map(bytes).chain(drafts).map(|bytes| bytes as u64).sum()
    }

    /// All of it, as changes.
    pub(super) fn encoded(&self) -> Vec<u8> {
        let mut payload = Vec::new();
        if let Some(owner) = &self.owner {
            payload.push(kind::SESSION);
            for number in [owner.account, owner.session, self.accepted, self.instance] {
                payload.extend(number.to_le_bytes());
            }
            payload.extend(owner.token);
        }
        for (key, stored) in &self.waiting {
            put_bytes(kind::ACCEPTED, *key, &stored.write, &mut payload);
            if let Some(request) = stored.request {
                encode(&Change::Named { key: *key, request }, &mut payload);
            }
            if let Some(why) = &stored.failed {
                put_failed(*key, why, &mut payload);
            }
        }
        for (draft, content) in &self.drafts {
            put_bytes(kind::DRAFTED, *draft, content, &mut payload);
        }
        // It is of those before it, too.
        if let Some(fingerprint) = &self.fingerprint {
            payload.push(kind::FINGERPRINT);
            payload.extend(fingerprint.bytes());
        }
        payload
    }

    /// Takes in the changes of one frame; none if they make no sense.
    pub(super) fn take(&mut self, mut payload: &[u8]) -> Option<()> {
        while let Some((kind, rest)) = payload.split_first() {
            payload = rest;
            match *kind {
                kind::SESSION => {
                    let (account, session) = (number(&mut payload)?, number(&mut payload)?);
                    self.accepted = number(&mut payload)?;
                    self.instance = number(&mut payload)?;
                    let (token, rest) = payload.split_first_chunk::<32>()?;
                    payload = rest;
                    self.owner = Some(Owner { account, session, token: *token });
                    self.fingerprint = (self.accepted == 0).then(Fingerprint::new);
                }
                kind::ACCEPTED => {
                    let (key, write) = numbered_bytes(&mut payload)?;
                    self.accept(key, write);
                }
                kind::NAMED => {
                    let (key, instance, number) = (number(&mut payload)?, number(&mut payload)?, number(&mut payload)?);
                    self.apply(&Change::Named { key, request: RequestId { instance, number } });
                }
                kind::UNNAMED => self.apply(&Change::Unnamed { key: number(&mut payload)? }),
                kind::REMOVED => self.apply(&Change::Removed { key: number(&mut payload)? }),
                kind::FAILED => {
                    let (key, why, code) = (number(&mut payload)?, number(&mut payload)?, number(&mut payload)?);
                    let bytes = usize::try_from(number(&mut payload)?).ok()?;
                    let (words, rest) = payload.split_at_checked(bytes)?;
                    payload = rest;
                    let words = String::from_utf8(words.to_vec()).ok()?;
                    let why = match why {
                        reason::REFUSED => Why::Refused(code, words),
                        reason::UNKNOWN => Why::Unknown(words),
                        reason::PROTOCOL => Why::Protocol(words),
                        _ => return None,
                    };
                    self.apply(&Change::Failed { key, why });
                }
                kind::DRAFTED => {
                    let (draft, content) = numbered_bytes(&mut payload)?;
                    self.apply(&Change::Drafted { draft, content });
                }
                kind::UNDRAFTED => self.apply(&Change::Undrafted { draft: number(&mut payload)? }),
                kind::FINGERPRINT => {
                    let (bytes, rest) = payload.split_first_chunk::<32>()?;
                    payload = rest;
                    self.fingerprint = Some(Fingerprint::of_bytes(*bytes));
                }
                _ => return None,
            }
        }
        Some(())
    }
}

pub(super) fn encode(change: &Change, payload: &mut Vec<u8>) {
    let mut put = |kind: u8, numbers: &[u64]| {
        payload.push(kind);
        numbers.iter().for_each(|number| payload.extend(number.to_le_bytes()));
    };
    match change {
        Change::Accepted { key, operation } => put_bytes(kind::ACCEPTED, *key, &encoded(operation), payload),
        Change::Named { key, request } => put(kind::NAMED, &[*key, request.instance, request.number]),
        Change::Unnamed { key } => put(kind::UNNAMED, &[*key]),
        Change::Removed { key } => put(kind::REMOVED, &[*key]),
        Change::Failed { key, why } => put_failed(*key, why, payload),
        Change::Drafted { draft, content } => put_bytes(kind::DRAFTED, *draft, content, payload),
        Change::Undrafted { draft } => put(kind::UNDRAFTED, &[*draft]),
    }
}

fn put_failed(key: u64, why: &Why, payload: &mut Vec<u8>) {
    let (reason, code, words) = match why {
        Why::Refused(code, words) => (reason::REFUSED, *code, words),
        Why::Unknown(words) => (reason::UNKNOWN, 0, words),
        Why::Protocol(words) => (reason::PROTOCOL, 0, words),
    };
    payload.push(kind::FAILED);
    for number in [key, reason, code, words.len() as u64] {
        payload.extend(number.to_le_bytes());
    }
    payload.extend(words.as_bytes());
}

fn put_bytes(kind: u8, number: u64, bytes: &[u8], payload: &mut Vec<u8>) {
    payload.push(kind);
    payload.extend(number.to_le_bytes());
    payload.extend((bytes.len() as u64).to_le_bytes());
    payload.extend(bytes);
}

/// What [`put_bytes`] has put, behind its kind.
fn numbered_bytes(payload: &mut &[u8]) -> Option<(u64, Vec<u8>)> {
    let (number, bytes) = (number(payload)?, usize::try_from(number(payload)?).ok()?);
    let (found, rest) = payload.split_at_checked(bytes)?;
    *payload = rest;
    Some((number, found.to_vec()))
}

/// The next number of a payload.
fn number(payload: &mut &[u8]) -> Option<u64> {
    let (number, rest) = payload.split_first_chunk::<8>()?;
    *payload = rest;
    Some(u64::from_le_bytes(*number))
}
