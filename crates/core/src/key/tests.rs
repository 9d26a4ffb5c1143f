use super::*;

#[test]
fn the_order_of_keys_is_the_order_of_ids() {
    let key = |id| Key::Message(ConversationId(7), EventId(id)).bytes();
    assert!(key(1) < key(255) && key(255) < key(256) && key(256) < key(u64::MAX));
    assert!(key(u64::MAX) < Key::Message(ConversationId(8), EventId(0)).bytes());
}

#[test]
fn names_of_any_length_are_keys() {
    for length in 0..100 {
        let name = "n".repeat(length);
        assert_eq!(Key::Name(&name).bytes(), of_bytes(Table::Name, name.as_bytes()));
    }
    assert_eq!(Key::Session(TokenHash([9; 32])).bytes(), of_bytes(Table::Session, &[9; 32]));
    let hidden = Key::Hidden(AccountId(1), ConversationId(2), EventId(u64::MAX));
    assert_eq!(hidden.bytes(), of_ids(Table::Hidden, &[1, 2, u64::MAX]));
}

#[test]
fn reactions_lie_by_message_state_emoji_and_account() {
    let (conversation, message) = (ConversationId(2), EventId(3));
    let key = |emoji, account| Key::Reaction(conversation, message, emoji, AccountId(account)).bytes();
    assert_eq!(reaction(&key("👍", 7)).unwrap(), ("👍", AccountId(7)));
    let holds = |range: &Range, key: &Vec<u8>| range.start <= *key && key < &range.end;
    let of_one = Range::reacting(conversation, message, Some("+"));
    assert!(holds(&of_one, &key("+", 1)) && holds(&of_one, &key("+", u64::MAX)));
    assert!(!holds(&of_one, &key("+1", 1)) && !holds(&of_one, &key("-", 1)));
    let withdrawn = Key::WithdrawnReaction(conversation, message, "+", AccountId(1)).bytes();
    let any = Range::reacting(conversation, message, None);
    assert!(holds(&any, &key("+", 1)) && holds(&any, &key("👍", u64::MAX)) && !holds(&any, &withdrawn));
    assert!(holds(&Range::of_reactions(conversation, message), &withdrawn));
    let other = Key::Reaction(conversation, EventId(4), "+", AccountId(1)).bytes();
    assert!(!holds(&Range::of_reactions(conversation, message), &other));
    for length in 0..30 {
        let _ = reaction(&key("👍", 7)[..length.min(key("👍", 7).len())]);
    }
    assert!(reaction(&[0; 20]).is_ok() && reaction(&[0xff; 26]).is_err());
}

#[test]
fn an_inclusive_range_holds_both_ends_and_nothing_else() {
    let key = |id| Key::Mailbox(AccountId(1), EventId(id));
    let range = Range::inclusive(key(3), key(u64::MAX));
    let inside = |key: Vec<u8>| range.start <= key && key < range.end;
    assert!(inside(key(3).bytes()) && inside(key(u64::MAX).bytes()));
    assert!(!inside(key(2).bytes()) && !inside(Key::Mailbox(AccountId(2), EventId(0)).bytes()));
}

#[test]
fn a_prefix_range_ends_where_the_prefix_does() {
    let range = Range::mailbox(AccountId(u64::MAX));
    assert_eq!(range.end, [Table::Mailbox as u8 + 1]);
    assert!(Key::Mailbox(AccountId(u64::MAX), EventId(u64::MAX)).bytes() < range.end);
    let names = Range::names("ab");
    assert_eq!(names.end, [Table::Name as u8, b'a', b'c']);
}

#[test]
fn foreign_keys_are_corrupt_and_not_a_panic() {
    assert!(last_id(&[1, 2, 3]).is_err() && last_id(&[0; 8]).is_err());
    assert_eq!(last_id(&Key::Account(AccountId(9)).bytes()).unwrap(), 9);
    assert!(name(&[]).is_err() && name(&[Table::Name as u8, 0xff]).is_err() && name(&[9, b'a']).is_err());
    assert_eq!(name(&Key::Name("ann").bytes()).unwrap(), "ann");
    assert!(name(&Key::RoomName("tea").bytes()).is_err() && room_name(&Key::Name("ann").bytes()).is_err());
    assert_eq!(room_name(&Key::RoomName("tea").bytes()).unwrap(), "tea");
}
