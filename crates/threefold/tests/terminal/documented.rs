//! The lists of fields in `docs/commands.md`, read for comparison with what commands print: each field is in both, or in neither, down
//! to objects within objects.
//!
//! The lists' language: a field in backticks; in brackets what may be absent; behind a field in parentheses what the object in it (or
//! each of several) has, `as X` for what another row says, `a message`, and `or null`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    iter::Peekable,
    path::Path,
    slice,
};

use serde_json::Value;

/// What the document says of a field's value.
#[derive(Clone, Debug)]
enum Inside {
    /// No object.
    Plain,
    Object(Row),
    /// What another row says.
    As(String),
}

#[derive(Clone, Debug)]
struct Field {
    is_optional: bool,
    may_be_null: bool,
    inside: Inside,
    /// It was there, and where it has objects, an object.
    was_there: bool,
}

/// What the document says of one kind of object.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// It begins with what this other row says.
    base: Option<String>,
    fields: BTreeMap<String, Field>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Name(String),
    Word(String),
    Mark(char),
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    for (place, part) in text.split('`').enumerate() {
        if place % 2 == 1 {
            tokens.push(Token::Name(part.to_owned()));
            continue;
        }
        let spaced = part.replace(['(', ')', '[', ']'], " \0 ");
        let mut marks = part.chars().filter(|mark| "()[]".contains(*mark));
        for word in spaced.split_whitespace() {
            match word {
                "\0" => tokens.push(Token::Mark(marks.next().unwrap())),
                word => tokens.push(Token::Word(word.trim_matches([',', ';', ':', '.']).to_owned())),
            }
        }
    }
    tokens
}

/// Field names are in lower case; what else stands in backticks is an option or an example.
fn is_field(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

impl Row {
    /// From a cell of a table.
    pub fn of(text: &str) -> Self {
        let mut row = Self::read(&mut tokens(text).iter().peekable());
        if text.starts_with("a message") {
            row.base = Some("message".to_owned());
        }
        row
    }

    /// Up to the end, or to the parenthesis that closes.
    fn read(tokens: &mut Peekable<slice::Iter<'_, Token>>) -> Self {
        let (mut row, mut is_optional, mut last) = (Self::default(), false, None);
        while let Some(token) = tokens.next() {
            match token {
                Token::Name(name) if is_field(name) => {
                    let field = Field { is_optional, may_be_null: false, inside: Inside::Plain, was_there: false };
                    row.fields.insert(name.clone(), field);
                    last = Some(name);
                }
                Token::Mark('[') => is_optional = true,
                Token::Mark(']') => is_optional = false,
                Token::Mark(')') => break,
                Token::Mark('(') => {
                    let inner: Vec<Token> = within(tokens);
                    if let Some(field) = last.and_then(|name| row.fields.get_mut(name)) {
                        field.describe(&inner);
                    }
                }
                Token::Name(_) | Token::Word(_) | Token::Mark(_) => {}
            }
        }
        row
    }
}

/// What stands in a pair of parentheses, the first of which was read.
fn within(tokens: &mut Peekable<slice::Iter<'_, Token>>) -> Vec<Token> {
    let (mut depth, mut inner) = (1, Vec::new());
    for token in tokens {
        match token {
            Token::Mark('(') => depth += 1,
            Token::Mark(')') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        inner.push(token.clone());
    }
    inner
}

impl Field {
    fn describe(&mut self, inner: &[Token]) {
        let says = |word: &str| inner.contains(&Token::Word(word.to_owned()));
        self.may_be_null = says("null");
        self.inside = match inner {
            [Token::Word(word), Token::Name(name)] if word == "as" => Inside::As(name.clone()),
            _ if says("message") => Inside::As("message".to_owned()),
            _ => match Row::read(&mut inner.iter().peekable()) {
                row if row.fields.is_empty() => Inside::Plain,
                row => Inside::Object(row),
            },
        };
    }
}

pub fn document() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/commands.md")).unwrap()
}

/// The rows of the table whose first column is called so, by each of the names in their first cells.
fn table(called: &str) -> BTreeMap<String, Row> {
    let document = document();
    let (_, rows) = document.split_once(&format!("| {called} |")).unwrap();
    let rows = rows.lines().skip(2).map_while(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "));
    let named = rows.flat_map(|(first, rest)| {
        let names = first.split('`').skip(1).step_by(2);
        names.map(move |name| (name.to_owned(), Row::of(rest)))
    });
    named.collect()
}

/// Rows that are compared with what is printed.
pub struct Checked {
    rows: BTreeMap<String, Row>,
    told: BTreeSet<String>,
}

impl Checked {
    /// The table whose first column is called so; all its objects have these fields, too, and may hold messages.
    pub fn of(called: &str, common: &[&str]) -> Self {
        let mut rows = table(called);
        for row in rows.values_mut() {
            row.fields.extend(common.iter().map(|name| ((*name).to_owned(), Field::plain())));
        }
        let document = document();
        let (_, message) = document.split_once("A **message** has ").unwrap();
        let (message, _) = message.split_once("\n\n").unwrap();
        rows.insert("message".to_owned(), Row::of(message));
        Self { rows, told: BTreeSet::new() }
    }

    /// Compares objects with the row of this name.
    pub fn check(&mut self, name: &str, objects: &[Value]) {
        assert!(!objects.is_empty(), "{name} has printed nothing");
        for object in objects {
            let mut row = self.rows.get(name).unwrap_or_else(|| panic!("{name} has no row: {object}")).clone();
            self.compare(name, &mut row, object);
            self.rows.insert(name.to_owned(), row);
        }
        self.told.insert(name.to_owned());
    }

    fn compare(&mut self, what: &str, row: &mut Row, object: &Value) {
        let mut left = object.as_object().unwrap_or_else(|| panic!("{what}: {object} is no object")).clone();
        // What is documented elsewhere is looked at here, but need not be whole here.
        let mut base = row.base.as_ref().map(|base| self.rows[base].clone()).unwrap_or_default();
        for (name, field) in base.fields.iter_mut().chain(&mut row.fields) {
            let Some(value) = left.remove(name) else {
                assert!(field.is_optional, "{what}: `{name}` is documented, but not in {object}");
                continue;
            };
            self.look_within(&format!("{what}: {name}"), field, &value);
        }
        assert!(left.is_empty(), "{what}: {:?} not documented, but in {object}", left.keys());
    }

    fn look_within(&mut self, what: &str, field: &mut Field, value: &Value) {
        let objects = match value {
            Value::Null => {
                assert!(field.may_be_null, "{what} may be null, and that is not documented");
                return;
            }
            Value::Array(all) => all.as_slice(),
            one => slice::from_ref(one),
        };
        for object in objects {
            match &mut field.inside {
                Inside::Plain => assert!(!object.is_object(), "{what}: what is in {object} is not documented"),
                Inside::Object(row) => self.compare(what, row, object),
                Inside::As(name) => {
                    let mut row = self.rows[name.as_str()].clone();
                    self.compare(what, &mut row, object);
                }
            }
            field.was_there = true;
        }
        field.was_there |= matches!(field.inside, Inside::Plain);
    }

    /// That everything documented was there, but for these rows, and these fields (`row: field`).
    pub fn end(&self, rows_but: &[&str], fields_but: &[&str]) {
        let rows = self.rows.keys().filter(|name| !self.told.contains(*name) && !rows_but.contains(&name.as_str()));
        let never: Vec<&String> = rows.collect();
        assert!(never.is_empty(), "{never:?} documented, but never printed");
        let mut never = Vec::new();
        for name in &self.told {
            missing(name, &self.rows[name], &mut never);
        }
        never.retain(|field| !fields_but.contains(&field.as_str()));
        assert!(never.is_empty(), "{never:?} documented, but never there");
    }
}

impl Field {
    fn plain() -> Self {
        Self { is_optional: false, may_be_null: false, inside: Inside::Plain, was_there: false }
    }
}

fn missing(what: &str, row: &Row, never: &mut Vec<String>) {
    for (name, field) in &row.fields {
        let what = format!("{what}: {name}");
        if !field.was_there {
            never.push(what);
        } else if let Inside::Object(row) = &field.inside {
            missing(&what, row, never);
        }
    }
}

#[test]
fn what_is_not_documented_or_not_there_is_noticed() {
    let mut checked = Checked::of("command", &[]);
    let status = "`a` [`b`] (`c` `d`, or null) `e` (as `x`); without `--f` nothing";
    checked.rows =
        [("x", "`y`"), ("status", status)].map(|(name, text)| (name.to_owned(), Row::of(text))).into_iter().collect();
    let mut fails = |text: &str| {
        let object = serde_json::from_str(text).unwrap();
        let mut row = checked.rows["status"].clone();
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| checked.compare("status", &mut row, &object))).is_err()
    };
    for good in [r#"{"a":1,"e":{"y":1}}"#, r#"{"a":1,"b":null,"e":[]}"#, r#"{"a":1,"b":[{"c":1,"d":2}],"e":[{"y":0}]}"#]
    {
        assert!(!fails(good), "{good}");
    }
    for bad in [
        r#"{"e":{"y":1}}"#,
        r#"{"a":1,"e":{"y":1},"f":1}"#,
        r#"{"a":null,"e":{"y":1}}"#,
        r#"{"a":{"z":1},"e":{"y":1}}"#,
        r#"{"a":1,"e":{"z":1}}"#,
        r#"{"a":1,"e":{"y":1},"b":{"c":1}}"#,
    ] {
        assert!(fails(bad), "{bad}");
    }
}
