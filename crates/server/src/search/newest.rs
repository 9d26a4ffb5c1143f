//! Of all messages that the index has for a question, the newest few.
//!
//! Within a segment the newest message stands first (`index`), so looking ends as soon as there are enough, or the next
//! one is older than all that were found; a common word is thus no more work than a rare one.

use std::{cmp::Reverse, collections::BinaryHeap, ops::Bound};

use tantivy::{
    DocSet as _, SegmentReader, TERMINATED, Term,
    query::{BooleanQuery, EnableScoring, InvertedIndexRangeQuery, Query, TermQuery, TermSetQuery, Weight},
    schema::IndexRecordOption,
};
use threefold_core::{AccountId, ConversationId, EventId};

use super::{
    index::{CONVERSATION, IndexError, MESSAGE, Published},
    question::{Part, Question},
};

/// Terms that are looked up for a question: a long sentence of a script without spaces has one for each character. What
/// the rest would have excluded, the comparison with the text does.
const TERMS: usize = 32;
/// Messages with the rarest word from which on the reader's conversations are looked up as well, rather than
/// where each message is.
const COMMON: u64 = 50_000;
/// Conversations that are looked up, at most.
const LOOKED_UP: usize = 1024;

/// Which messages.
#[derive(Clone, Debug)]
pub(super) struct Filter<'a> {
    pub(super) question: &'a Question,
    /// Only in these; sorted.
    pub(super) conversations: &'a [ConversationId],
    pub(super) author: Option<AccountId>,
    pub(super) before: EventId,
}

type Found = BinaryHeap<Reverse<(EventId, ConversationId)>>;

impl Published {
    /// The newest `count` messages that the index has, newest first.
    pub(super) fn newest(
        &self,
        filter: &Filter<'_>,
        count: usize,
    ) -> Result<Vec<(EventId, ConversationId)>, IndexError> {
        let query = self.query(filter)?;
        let weight = query.weight(EnableScoring::disabled_from_searcher(&self.searcher))?;
        let mut found = Found::new();
        for segment in self.searcher.segment_readers() {
            collect(segment, &*weight, filter, count, &mut found)?;
        }
        Ok(found.into_sorted_vec().into_iter().map(|Reverse(one)| one).collect())
    }

    fn query(&self, filter: &Filter<'_>) -> Result<BooleanQuery, IndexError> {
        let fields = self.fields;
        let (mut terms, mut queries) = (Vec::new(), Vec::<Box<dyn Query>>::new());
        for part in filter.question.parts() {
            match part {
                Part::Word(word) => terms.push(Term::from_field_text(fields.words, word)),
                Part::Prefix(start) => queries.push(self.beginning_with(start)),
                Part::Within(run) => {
                    let chars: Vec<char> = run.chars().collect();
                    match chars.len() {
                        0 | 1 => queries.push(self.beginning_with(run)),
                        _ => terms.extend(
                            chars.windows(2).map(|pair| Term::from_field_text(fields.words, &String::from_iter(pair))),
                        ),
                    }
                }
            }
        }
        terms.truncate(TERMS);
        if let Some(author) = filter.author {
            terms.push(Term::from_field_u64(fields.author, author.0));
        }
        let mut rarest = u64::MAX;
        for term in terms {
            rarest = rarest.min(self.searcher.doc_freq(&term)?);
            queries.push(Box::new(TermQuery::new(term, IndexRecordOption::Basic)));
        }
        let of_conversation = |id: &ConversationId| Term::from_field_u64(fields.conversation, id.0);
        match filter.conversations {
            [one] => queries.push(Box::new(TermQuery::new(of_conversation(one), IndexRecordOption::Basic))),
            several if several.len() <= LOOKED_UP && rarest >= COMMON => {
                queries.push(Box::new(TermSetQuery::new(several.iter().map(of_conversation))));
            }
            _ => {}
        }
        Ok(BooleanQuery::intersection(queries))
    }

    fn beginning_with(&self, start: &str) -> Box<dyn Query> {
        let term = |text: &str| Term::from_field_text(self.fields.words, text);
        // Behind every term that begins so: no character is greater than the last one there is.
        let end = format!("{start}{}", char::MAX);
        Box::new(InvertedIndexRangeQuery::new(Bound::Included(term(start)), Bound::Excluded(term(&end))))
    }
}

fn collect(
    segment: &SegmentReader,
    weight: &dyn Weight,
    filter: &Filter<'_>,
    count: usize,
    found: &mut Found,
) -> Result<(), IndexError> {
    let messages = segment.fast_fields().u64(MESSAGE)?.first_or_default_col(0);
    let conversations = segment.fast_fields().u64(CONVERSATION)?.first_or_default_col(0);
    let first = first_where(segment.max_doc(), |document| messages.get_val(document) < filter.before.0);
    let mut documents = weight.scorer(segment, 1.0)?;
    let mut document = documents.doc();
    if document < first {
        document = documents.seek(first);
    }
    while document != TERMINATED {
        let message = EventId(messages.get_val(document));
        if found.len() >= count && found.peek().is_some_and(|Reverse((oldest, _))| message <= *oldest) {
            break;
        }
        let conversation = ConversationId(conversations.get_val(document));
        let is_alive = segment.alive_bitset().is_none_or(|alive| alive.is_alive(document));
        if is_alive && filter.conversations.binary_search(&conversation).is_ok() {
            found.push(Reverse((message, conversation)));
            if found.len() > count {
                found.pop();
            }
        }
        document = documents.advance();
    }
    Ok(())
}

/// The first of so many for which something holds that holds for all after it; their number if for none.
fn first_where(count: u32, holds: impl Fn(u32) -> bool) -> u32 {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use threefold_core::changes::{Change, Text};

    use super::{
        super::index::{Index, Progress},
        *,
    };

    const ALL: &[ConversationId] = &[ConversationId(0), ConversationId(1), ConversationId(2)];

    /// Messages 10, 20, ..., in the conversations 0, 1 and 2 in turn, by the accounts 0 and 1 in turn.
    fn filled(index: &Index, numbers: impl Iterator<Item = u64>, body: impl Fn(u64) -> String) {
        for number in numbers {
            let text = Text { message: EventId(number * 10), author: AccountId(number % 2), body: body(number) };
            index.take(ConversationId(number % 3), Change::Written(text)).unwrap();
        }
    }

    fn commit(index: &mut Index) -> Published {
        index.commit(Progress::nothing(Vec::new())).unwrap()
    }

    fn found(index: &Published, question: &str, conversations: &[ConversationId], count: usize) -> Vec<u64> {
        let question = Question::parse(question).unwrap();
        let filter = Filter { question: &question, conversations, author: None, before: EventId(u64::MAX) };
        index.newest(&filter, count).unwrap().into_iter().map(|(message, _)| message.0).collect()
    }

    #[test]
    fn the_newest_come_first_whatever_the_order_of_indexing() {
        let directory = tempfile::tempdir().unwrap();
        let mut index = Index::open(directory.path()).unwrap();
        let body = |number: u64| if number.is_multiple_of(5) { "every fifth".to_owned() } else { "others".to_owned() };
        // Several segments, one of them in another order, and merges of all of them.
        for part in 0..20 {
            filled(&index, (part * 10 + 1..=part * 10 + 10).rev(), body);
            commit(&mut index);
        }
        filled(&index, 201..=300, body);
        let published = commit(&mut index);
        assert_eq!(published.messages(), 300);
        assert_eq!(found(&published, "fifth", ALL, 3), [3000, 2950, 2900]);
        assert_eq!(found(&published, "every fifth", &ALL[1..2], 3), [2950, 2800, 2650]);
        assert_eq!(found(&published, "fifth others", ALL, 3), [0_u64; 0]);
        assert_eq!(found(&published, "fif*", ALL, 100).len(), 60);
        assert_eq!(found(&published, "others", &[], 100).len(), 0, "a reader without conversations finds nothing");
        let question = Question::parse("fifth").unwrap();
        let mut filter =
            Filter { question: &question, conversations: ALL, author: Some(AccountId(1)), before: EventId(900) };
        assert_eq!(
            published.newest(&filter, 2).unwrap(),
            [(EventId(850), ConversationId(1)), (EventId(750), ConversationId(0))]
        );
        filter.before = EventId(0);
        assert_eq!(published.newest(&filter, 2).unwrap(), []);
    }

    #[test]
    fn rewritten_and_deleted_messages_are_found_as_they_are() {
        let directory = tempfile::tempdir().unwrap();
        let mut index = Index::open(directory.path()).unwrap();
        filled(&index, 1..=3, |_| "old words".to_owned());
        commit(&mut index);
        let text = Text { message: EventId(20), author: AccountId(0), body: "new words".to_owned() };
        index.take(ConversationId(2), Change::Rewritten(text)).unwrap();
        index.take(ConversationId(1), Change::Gone(EventId(10))).unwrap();
        let published = commit(&mut index);
        assert_eq!(found(&published, "old", ALL, 9), [30]);
        assert_eq!(found(&published, "words", ALL, 9), [30, 20]);
    }

    #[test]
    fn every_script_is_found() {
        let texts = [
            ("Привет, мир", "привет"),
            ("Καλημέρα κόσμε", "καλημερα"),
            ("مرحبا بالعالم", "مرحبا"),
            ("שלום עולם", "שלום"),
            ("我在东京都住", "东京"),
            ("東京タワーへ行く", "タワー"),
            ("สวัสดีชาวโลก", "ชาว"),
            ("학교에서 만나요", "학교"),
            ("well done 👍🏽", "👍"),
            ("Crème brûlée", "creme brulee"),
            ("猫", "猫"),
            ("黒い猫", "猫"),
        ];
        let directory = tempfile::tempdir().unwrap();
        let mut index = Index::open(directory.path()).unwrap();
        for (number, (text, _)) in (1..).zip(texts) {
            filled(&index, number..=number, |_| text.to_owned());
        }
        let published = commit(&mut index);
        for (number, (text, question)) in (1..).zip(texts) {
            assert!(found(&published, question, ALL, 9).contains(&(number * 10)), "{question} in {text}");
            assert!(Question::parse(question).unwrap().marks(text).is_some());
        }
    }
}
