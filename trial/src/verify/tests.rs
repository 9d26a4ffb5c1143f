use super::*;

fn names() -> Vec<String> {
    ["ada", "bob", "eve"].map(str::to_owned).to_vec()
}

fn entry(sender: usize, recipient: usize, number: u64, body: &str, outcome: Outcome) -> Entry {
    Entry { sender, recipient, number, body: body.to_owned(), outcome }
}

fn line(id: u64, from: &str, peer: &str, body: &str) -> Line {
    Line {
        kind: "message".to_owned(),
        id,
        from: from.to_owned(),
        peer: peer.to_owned(),
        number: 0,
        body: body.to_owned(),
    }
}

/// ada and bob talk; eve writes to bob.
fn entries() -> Vec<Entry> {
    vec![
        entry(0, 1, 1, "one", Outcome::Acknowledged(10)),
        entry(1, 0, 1, "two", Outcome::Acknowledged(20)),
        entry(0, 1, 2, "three", Outcome::Unknown("timeout".to_owned())),
        entry(2, 1, 1, "aside", Outcome::Acknowledged(25)),
        entry(0, 1, 3, "four", Outcome::Acknowledged(40)),
        entry(0, 1, 4, "never", Outcome::NotSent("stopped".to_owned())),
    ]
}

fn ada(lines: &[Line]) -> Vec<String> {
    let (names, entries) = (names(), entries());
    Judge::new(&names, &entries).view(View { place: "ada", user: 0, with: None }, lines)
}

fn good() -> Vec<Line> {
    vec![line(10, "ada", "bob", "one"), line(20, "bob", "bob", "two"), line(40, "ada", "bob", "four")]
}

#[test]
fn what_was_acknowledged_and_nothing_else_is_right() {
    assert_eq!(ada(&good()), Vec::<String>::new());
    let mut with_unknown = good();
    with_unknown.insert(2, line(30, "ada", "bob", "three"));
    assert_eq!(ada(&with_unknown), Vec::<String>::new());
    let other = Line { kind: "session_opened".to_owned(), ..line(5, "", "", "") };
    let with_other: Vec<Line> = std::iter::once(other).chain(good()).collect();
    assert_eq!(ada(&with_other), Vec::<String>::new());
}

/// Makes a good stream bad.
type Change = fn(&mut Vec<Line>);

#[test]
fn every_kind_of_wrong_is_found() {
    let change = |change: Change| {
        let mut lines = good();
        change(&mut lines);
        ada(&lines).join("\n")
    };
    let cases: [(Change, &str); 8] = [
        (|lines| drop(lines.remove(1)), "message 1 of bob, to ada (acknowledged as 20), \"two\" is missing"),
        (|lines| lines.push(line(50, "ada", "bob", "one")), "is there twice"),
        (|lines| lines.swap(0, 2), "event 20 comes after event 40"),
        (|lines| lines.insert(0, line(9, "ada", "bob", "three")), "is out of its sender's order"),
        (|lines| lines.push(line(50, "ada", "bob", "invented")), "was never sent here"),
        (|lines| lines.push(line(50, "eve", "eve", "aside")), "was never sent here"),
        (|lines| lines.push(line(50, "ada", "bob", "never")), "although it was given up"),
        (|lines| lines[1].id = 21, "is there as 21"),
    ];
    for (make, expected) in cases {
        let complaints = change(make);
        assert!(complaints.contains(expected), "{expected}: {complaints}");
    }
    assert!(change(|lines| lines[0].from = "eve".to_owned()).contains("is shown as from eve"));
    assert!(change(|lines| lines[1].body = "tow".to_owned()).contains("is missing"));
}

#[test]
fn what_was_abandoned_may_come_late_but_only_once() {
    let (names, mut entries) = (names(), entries());
    entries[2].outcome = Outcome::Abandoned;
    let judge = Judge::new(&names, &entries);
    let view = View { place: "ada", user: 0, with: None };
    let mut late = good();
    late.push(line(50, "ada", "bob", "three"));
    assert_eq!(judge.view(view, &late), Vec::<String>::new());
    late.push(line(60, "ada", "bob", "three"));
    assert!(judge.view(view, &late).join("\n").contains("is there twice"));
}

#[test]
fn a_history_shows_one_conversation() {
    let (names, entries) = (names(), entries());
    let judge = Judge::new(&names, &entries);
    let view = View { place: "bob with eve", user: 1, with: Some(2) };
    assert_eq!(judge.view(view, &[line(25, "eve", "eve", "aside")]), Vec::<String>::new());
    assert!(!judge.view(view, &good()).is_empty());
    let mut numbered = good();
    for (line, number) in numbered.iter_mut().zip(1..) {
        line.number = number;
    }
    assert_eq!(judge.numbers("ada with bob", &numbered), None);
    numbered[2].number = 4;
    assert!(judge.numbers("ada with bob", &numbered).unwrap().contains("has number 4, not 3"));
}

#[test]
fn the_ledger_itself_is_judged() {
    let names = names();
    assert_eq!(Judge::new(&names, &entries()).ledger(), Vec::<String>::new());
    let mut wrong = entries();
    wrong[4].outcome = Outcome::Acknowledged(5);
    wrong[1].outcome = Outcome::Refused("overloaded".to_owned());
    let complaints = Judge::new(&names, &wrong).ledger().join("\n");
    assert!(complaints.contains("out of order") && complaints.contains("was refused: overloaded"), "{complaints}");
}
