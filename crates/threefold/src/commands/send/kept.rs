//! What `send --lines` keeps in an outbox: which lines it took before, and which came to nothing.

use std::{collections::BTreeSet, path::Path};

use threefold_client::{DiskOutbox, Error, Failed, Fingerprint, Session, Writer, chat::ErrorCode};

use crate::commands::{Failure, output::Output};

/// Failures that stay in the outbox until the command is at its end, so that whatever ends it before, the next run tells of some and says 1, too. Of more
/// than that the oldest make room when they are told: those that fail take the places of those to be sent.
const UNTOLD: usize = 512;

/// What earlier runs took into an outbox: the first lines of the input, which are passed over.
pub(super) struct Before {
    taken: u64,
    /// What they were, where that is known.
    expected: Option<Fingerprint>,
    /// The lines passed over so far.
    passed: u64,
    found: Fingerprint,
}

impl Before {
    pub(super) fn of(outbox: &DiskOutbox) -> Self {
        let expected = outbox.fingerprint().cloned();
        Self { taken: outbox.accepted(), expected, passed: 0, found: Fingerprint::new() }
    }

    pub(super) fn is_passed(&self) -> bool {
        self.passed >= self.taken
    }

    /// Passes over a line. With the last one it is known whether they are the lines that were taken.
    pub(super) fn pass(&mut self, to: &str, line: String, output: Output) -> Result<(), Failure> {
        self.found.add_message(to, line)?;
        self.passed += 1;
        if !self.is_passed() {
            return Ok(());
        }
        if self.expected.as_ref().is_some_and(|expected| *expected != self.found) {
            return Err(self.is_another(to, &format!("are not the first {} of this input", self.taken)));
        }
        if !output.is_json() {
            eprintln!("threefold: went on behind {} taken before", lines(self.taken));
        }
        Ok(())
    }

    /// The input is at its end. Without any line it only asks for what is kept to be sent.
    pub(super) fn end(&self, to: &str) -> Result<(), Failure> {
        if self.passed == 0 || self.is_passed() {
            return Ok(());
        }
        Err(self.is_another(to, &format!("are more than the {} of this input", self.passed)))
    }

    /// Whether it took this line before.
    fn has(&self, failed: &Failed) -> bool {
        failed.number() <= self.taken
    }

    fn is_another(&self, to: &str, why: &str) -> Failure {
        Failure::usage(format!(
            "nothing of this input was sent: the {} that the outbox took before {why}, or were not for {to}; give it the same input and recipient \
             again, or name another file",
            lines(self.taken)
        ))
    }
}

pub(super) fn lines(count: u64) -> String {
    if count == 1 { "1 line".to_owned() } else { format!("{count} lines") }
}

/// What came to nothing, as it was told so far: line by line, with its text.
#[derive(Default)]
pub(super) struct Nothing {
    /// Their numbers, as long as the outbox has them.
    told: BTreeSet<u64>,
    not_sent: u64,
    unknown: u64,
    first: Option<&'static str>,
}

impl Nothing {
    /// Tells those that were not told yet.
    pub(super) async fn tell(&mut self, failed: &[Failed], before: &Before, writer: &Writer, output: Output) {
        let before_this = std::mem::replace(&mut self.told, failed.iter().map(Failed::number).collect());
        for one in failed.iter().filter(|one| !before_this.contains(&one.number())) {
            let text = one.text().unwrap_or_default();
            self.add(&one.error, &words(&one.error, before.has(one), text), output);
        }
        if failed.len() > UNTOLD {
            writer.told(&failed[..failed.len() - UNTOLD]).await;
        }
    }

    /// A line that no outbox takes.
    pub(super) fn overlong(&mut self, number: u64, error: &Error, output: Output) {
        let words = format!("line {number} of the input was not sent: {error}");
        self.add(&Error::Refused { code: ErrorCode::Invalid, message: String::new() }, &words, output);
    }

    fn add(&mut self, error: &Error, words: &str, output: Output) {
        let failure = Failure::for_good(error, words);
        failure.print(output.is_json());
        let is_unknown = matches!(error, Error::OutcomeUnknown(_));
        *(if is_unknown { &mut self.unknown } else { &mut self.not_sent }) += 1;
        self.first.get_or_insert_with(|| failure.code());
    }

    /// How the command ends with that; none if all was well.
    pub(super) fn end(&self) -> Option<Failure> {
        let not_sent = (self.not_sent > 0).then(|| format!("{} came to nothing", lines(self.not_sent)));
        let were = if self.unknown == 1 { "it was" } else { "they were" };
        let unknown =
            (self.unknown > 0).then(|| format!("of {} it is not known whether {were} sent", lines(self.unknown)));
        let all: Vec<String> = not_sent.into_iter().chain(unknown).collect();
        let code = self.first?;
        Some(Failure::nothing(code, format!("{}, as told above", all.join(", and "))))
    }
}

/// What is said of a line that came to nothing, or perhaps not.
fn words(why: &Error, is_of_before: bool, text: &str) -> String {
    let line = if is_of_before { "a line kept from before" } else { "a line" };
    match why {
        Error::OutcomeUnknown(_) => format!("it is not known whether {line} was sent: {why}: {text}"),
        _ => format!("{line} was not sent: {why}: {text}"),
    }
}

/// What an outbox of another session holds, line by line: nobody can send it any more.
pub(super) fn tell_left(path: &Path, session: &Session, output: Output) {
    let Ok(Some(left)) = DiskOutbox::left(path) else { return };
    if left.is_of(session) {
        return;
    }
    for one in &left.writes {
        let text = one.text().unwrap_or_default();
        let failure = match &one.failed {
            Some(why) => Failure::for_good(why, words(why, true, text)),
            None => {
                let is_sent = if one.may_have_been_sent {
                    "it is not known whether a line kept from before was sent"
                } else {
                    "a line kept from before was never sent"
                };
                Failure::refused(ErrorCode::SessionInvalid, format!("{is_sent}: {text}"))
            }
        };
        failure.print(output.is_json());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_been_sent_is_not_called_unsent() {
        let unknown = Error::OutcomeUnknown("the answer was lost".to_owned());
        let refused = Error::Refused { code: ErrorCode::NotInRoom, message: "not in it".to_owned() };
        assert!(words(&unknown, true, "x").starts_with("it is not known whether a line kept from before was sent"));
        assert_eq!(words(&refused, true, "x"), "a line kept from before was not sent: not in it: x");
        assert_eq!(words(&refused, false, "x"), "a line was not sent: not in it: x");
        let output = Output::new(true);
        let mut nothing = Nothing::default();
        assert!(nothing.end().is_none());
        nothing.add(&refused, "", output);
        assert_eq!(nothing.end().unwrap().message(), "1 line came to nothing, as told above");
        nothing.add(&unknown, "", output);
        nothing.add(&unknown, "", output);
        let end = nothing.end().unwrap();
        assert_eq!(
            end.message(),
            "1 line came to nothing, and of 2 lines it is not known whether they were sent, as told above"
        );
        assert_eq!(end.exit_code(), 1);
    }
}
