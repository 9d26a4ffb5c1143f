//! Who may do what: each row of the tables in `docs/permissions.md` is asked by everybody that it names, by every way in, of real servers.

mod files;
mod questions;
mod scene;
mod ways;

use std::{collections::BTreeSet, fs, path::Path};

use self::{
    questions::question,
    scene::Scene,
    ways::{Told, Way},
};

/// Calls that stand in no table: what needs no session, what ends it, and the stream, which has what others have.
const ELSEWHERE: [&str; 5] = ["register", "login", "status", "logout", "converse"];

/// A row of a table: what is asked, and what each is told.
struct Row {
    table: String,
    what: String,
    answers: Vec<(String, String)>,
}

fn document(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)).unwrap()
}

/// The tables are those behind a mark `<!-- table: name -->`; their columns name who asks.
fn rows() -> Vec<Row> {
    let text = document("docs/permissions.md");
    let cells = |line: &str| -> Vec<String> {
        line.trim().trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect()
    };
    let mut rows = Vec::new();
    for part in text.split("<!-- table: ").skip(1) {
        let (table, rest) = part.split_once(" -->").unwrap();
        let mut lines = rest.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
        let columns = cells(lines.next().unwrap());
        for line in lines.skip(1) {
            let mut found = cells(line).into_iter();
            let what = found.next().unwrap();
            let answers: Vec<_> = columns[1..].iter().cloned().zip(found).collect();
            assert_eq!(answers.len() + 1, columns.len(), "{line}");
            rows.push(Row { table: table.to_owned(), what, answers });
        }
    }
    rows
}

/// What is done without anything to be said of it: its empty answer says yes.
const DONE_IN_SILENCE: [&str; 4] = ["change_password", "delete_account", "discard_attachment", "end_session"];

/// As a table says it.
fn in_words(call: &str, told: &Told) -> String {
    match told {
        Ok(_) if DONE_IN_SILENCE.contains(&call) => "yes".to_owned(),
        Ok(reply) if reply.as_object().is_some_and(serde_json::Map::is_empty) => "nothing".to_owned(),
        Ok(_) => "yes".to_owned(),
        Err(code) => code.clone(),
    }
}

#[test]
fn every_call_stands_in_a_table() {
    let schema = document("crates/proto/proto/chat.proto");
    let calls = schema.lines().filter_map(|line| line.trim().strip_prefix("rpc ")?.split_once('('));
    let snake = |name: &str| {
        let mut snake = String::new();
        for letter in name.chars() {
            if letter.is_uppercase() && !snake.is_empty() {
                snake.push('_');
            }
            snake.extend(letter.to_lowercase());
        }
        snake
    };
    let calls: BTreeSet<String> = calls.map(|(name, _)| snake(name)).collect();
    let listed: BTreeSet<String> =
        rows().into_iter().map(|row| row.what.split(' ').next().unwrap().to_owned()).collect();
    let missing: Vec<_> =
        calls.iter().filter(|call| !listed.contains(*call) && !ELSEWHERE.contains(&call.as_str())).collect();
    assert!(missing.is_empty(), "calls in no table of docs/permissions.md: {missing:?}");
    let unknown: Vec<_> = listed.difference(&calls).collect();
    assert!(unknown.is_empty(), "no calls: {unknown:?}");
}

#[test]
fn who_may_is_answered_and_who_may_not_is_refused_by_every_way_in() {
    let mut scene = Scene::new();
    let mut wrong = Vec::new();
    let mut asked = 0;
    for row in rows() {
        for (who, expected) in &row.answers {
            for way in [Way::Grpc, Way::WebSocket, Way::Tcp, Way::Http] {
                scene.prepare(&row.table, &row.what, who);
                let Some(question) = question(&scene, &row.what, way) else { continue };
                let told = scene.ask(&scene.standing_in(who, &row.what), way, &question);
                asked += 1;
                let mut told = in_words(question.call, &told);
                if question.call == "discard_attachment" && told == "yes" && !scene.is_discarded() {
                    told = "nothing".to_owned();
                }
                // The chat TCP port says in words that there is nothing.
                let is_said = way == Way::Tcp && expected == "nothing" && told == "yes";
                if told != *expected && !is_said {
                    wrong.push(format!("{}: {who} asks {} by {way:?}: {told}, not {expected}", row.table, row.what));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "of {asked} questions {} were answered otherwise:\n{}", wrong.len(), wrong.join("\n"));
    assert!(asked > 600, "only {asked} questions: are the tables read?");
}
