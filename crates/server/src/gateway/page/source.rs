//! A source as it is sent: without what is only for who works on it. Comments, indentation and spaces are an eighth of the page's weight.
//!
//! Promises: a script's lines keep their number and order, so that a fault says where it is (within the whole script, where modules are put together); every word and sign stays, in its order, but for the
//! last `;` of a style's block; strings, regular expressions and templates stay as they are, but for the indentation in html`...`, where
//! it means no more than any space; a source that is not understood is sent as it is. Left out: what would take a parser, such as shorter
//! names.

/// Signs beside which a space says nothing in a script. None that makes another sign, or a comment, with what may follow it (`+ +`, `/ /`).
const APART: &[u8] = b",;:(){}[]=>&|?";
/// And in a style. Before a `:` a space may say that any descendant is meant, and after a `)` that there is one.
const STYLE_APART: &[u8] = b",;{}>";

/// Where something stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Code,
    Comment,
    /// Within a template; one of `html` is markup.
    Template {
        markup: bool,
    },
}

/// What is sent in the place of a source: of a script, or of a style, in which spaces between words and signs may mean something.
pub(super) fn thinned(source: &str, is_script: bool) -> String {
    let mut scan = Scan {
        rest: source.as_bytes(),
        is_script,
        place: Place::Code,
        around: Vec::new(),
        braces: 0,
        before: b"",
        space: false,
        sent: Vec::with_capacity(source.len()),
    };
    let is_understood = scan.run().is_some();
    is_understood.then(|| String::from_utf8(scan.sent).ok()).flatten().unwrap_or_else(|| source.to_owned())
}

struct Scan<'a> {
    rest: &'a [u8],
    is_script: bool,
    place: Place,
    /// The templates in whose `${...}` this is: whether they are markup, and how many braces are open around them.
    around: Vec<(bool, usize)>,
    braces: usize,
    /// The word or sign before this.
    before: &'a [u8],
    /// There is space between that and this.
    space: bool,
    sent: Vec<u8>,
}

impl Scan<'_> {
    /// None: it is not understood.
    fn run(&mut self) -> Option<()> {
        while let Some(&byte) = self.rest.first() {
            match self.place {
                _ if byte == b'\n' => self.end_line(),
                Place::Code => self.code(byte)?,
                Place::Comment if self.rest.starts_with(b"*/") => {
                    self.place = Place::Code;
                    self.skip(2);
                }
                Place::Comment => self.skip(1),
                Place::Template { markup } => self.template(byte, markup),
            }
        }
        (self.place == Place::Code && self.around.is_empty() && self.braces == 0).then_some(())
    }

    fn end_line(&mut self) {
        if !self.is_script {
            self.pass(1);
            return;
        }
        self.skip(1);
        self.sent.push(b'\n');
        self.space = false;
        if self.place == (Place::Template { markup: true }) {
            self.skip(self.rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count());
        }
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    /// Leaves out space, or a comment, in code.
    fn pass(&mut self, bytes: usize) {
        self.space = true;
        self.skip(bytes);
    }

    fn take(&mut self, bytes: usize) {
        let (taken, rest) = self.rest.split_at(bytes.min(self.rest.len()));
        let apart = if self.is_script { APART } else { STYLE_APART };
        let parts = |byte: Option<&u8>| byte.is_some_and(|byte| *byte != b'\n' && !apart.contains(byte));
        let is_value = !self.is_script && self.sent.last() == Some(&b':');
        if self.space && !is_value && parts(self.sent.last()) && parts(taken.first()) {
            self.sent.push(b' ');
        }
        if !self.is_script && taken == b"}" && self.sent.last() == Some(&b';') {
            self.sent.pop();
        }
        self.sent.extend_from_slice(taken);
        (self.space, self.before, self.rest) = (false, taken, rest);
    }

    fn code(&mut self, byte: u8) -> Option<()> {
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || !byte.is_ascii();
        match byte {
            b' ' | b'\t' | b'\r' => self.pass(1),
            b'/' if self.is_script && self.rest.starts_with(b"//") => {
                self.pass(self.rest.iter().take_while(|byte| **byte != b'\n').count());
            }
            b'/' if self.rest.starts_with(b"/*") => {
                self.place = Place::Comment;
                self.pass(2);
            }
            b'/' if self.is_script && !self.follows_value() => self.take(quoted(self.rest, b'/')?),
            b'"' | b'\'' => self.take(quoted(self.rest, byte)?),
            b'`' => {
                self.place = Place::Template { markup: self.before == b"html" };
                self.take(1);
            }
            b'}' if self.braces == 0 => {
                let (markup, braces) = self.around.pop()?;
                (self.place, self.braces) = (Place::Template { markup }, braces);
                self.take(1);
            }
            b'{' => {
                self.braces += 1;
                self.take(1);
            }
            b'}' => {
                self.braces -= 1;
                self.take(1);
            }
            _ => self.take(self.rest.iter().take_while(|byte| is_word(byte)).count().max(1)),
        }
        Some(())
    }

    fn template(&mut self, byte: u8, markup: bool) {
        match byte {
            // What follows may be the end of the line.
            b'\\' if self.rest.get(1) != Some(&b'\n') => self.take(2),
            b'`' => {
                self.place = Place::Code;
                self.take(1);
            }
            b'$' if self.rest.starts_with(b"${") => {
                self.around.push((markup, self.braces));
                (self.place, self.braces) = (Place::Code, 0);
                self.take(2);
            }
            _ => self.take(1),
        }
    }

    /// Whether a slash here divides. After a `}` it rather begins a regular expression.
    fn follows_value(&self) -> bool {
        const BEFORE_VALUES: [&[u8]; 8] = [b"return", b"typeof", b"case", b"in", b"of", b"await", b"throw", b"else"];
        let ends_value = |byte: &u8| byte.is_ascii_alphanumeric() || b"_$)]\"'`/".contains(byte) || !byte.is_ascii();
        self.before.last().is_some_and(ends_value) && !BEFORE_VALUES.contains(&self.before)
    }
}

/// How long a string or a regular expression is; none: it does not end in its line.
fn quoted(text: &[u8], end: u8) -> Option<usize> {
    let mut in_class = false;
    let mut escaped = false;
    for (at, byte) in text.iter().enumerate().skip(1) {
        match byte {
            b'\n' => return None,
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'[' if end == b'/' => in_class = true,
            b']' => in_class = false,
            byte if *byte == end && !in_class => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::page::{Files, SOURCES};

    #[test]
    fn comments_and_spaces_are_not_sent_and_lines_keep_their_numbers() {
        let source =
            "// about\n/** More:\n * much.\n */\nlet a = 1; // here\n  /* b */\n  /* c\n   */ b('//', '/*');\n";
        assert_eq!(thinned(source, true), "\n\n\n\nlet a=1;\n\n\nb('//','/*');\n");
        let source = "async (x) => a + +b - -c ? [...d] : e / 2 !== f, typeof g, return  /* why */  h ?? { i };";
        assert_eq!(thinned(source, true), "async(x)=>a + +b - -c?[...d]:e / 2 !==f,typeof g,return h??{i};");
    }

    #[test]
    fn a_style_keeps_the_spaces_that_say_something() {
        let source = "/* all */\n.a :hover > b,\n  p\n  q {\n  /* one */\n  flex: 1 / -1;\n  content: \"/* x ; \" ;\n}\n@media (c: 1) and (d) {\n}\n";
        let thin = ".a :hover>b,p q{flex:1 / -1;content:\"/* x ; \"}@media (c:1) and (d){}";
        assert_eq!(thinned(source, false), thin);
        let source = "a { margin: -1px 0 calc(1px + -2px); --x: a( b ) c; }\n\n:root .b { }";
        assert_eq!(thinned(source, false), "a{margin:-1px 0 calc(1px + -2px);--x:a( b ) c}:root .b{}");
    }

    #[test]
    fn templates_stay_as_they_are_and_markup_loses_its_indentation() {
        let plain = "let a=`one\n  // two , \n  /* three ${f({b:`four\n    five`})}\n  six\\`\n  */`;";
        assert_eq!(thinned(plain, true), plain);
        let markup = "  return html`<p>\n    // said , ${a ? html`\n      <b />` : `\n      c`}\n    // ${/* why */ d}\n  </p>`;";
        let thin = "return html`<p>\n// said , ${a?html`\n<b />`:`\n      c`}\n// ${d}\n</p>`;";
        assert_eq!(thinned(markup, true), thin);
    }

    #[test]
    fn strings_and_regular_expressions_hide_what_looks_like_something_else() {
        for (source, thin) in [
            ("a = '` ( '; // x\n  b", "a='` ( ';\nb"),
            ("a = \"\\\"` , \"; // x\n  b", "a=\"\\\"` , \";\nb"),
            ("a = /[`/] , \\/'/g; // x\n  b", "a=/[`/] , \\/'/g;\nb"),
            ("f(/`/, b) / c; // `\n  b", "f(/`/,b)/ c;\nb"),
            ("return /\" ;/;\n  b", "return /\" ;/;\nb"),
            ("a[0] / 2 / c; '/ ;'\n  b", "a[0]/ 2 / c;'/ ;'\nb"),
            ("n = `${x / 2} ; ` / 2;\n  b", "n=`${x / 2} ; ` / 2;\nb"),
        ] {
            assert_eq!(thinned(source, true), thin, "{source}");
        }
    }

    #[test]
    fn what_is_not_understood_is_sent_as_it_is() {
        for source in ["  a = `b", "  a = 'b\n  ';", "  }", "  {", "  a = `${b`", "  /* a", "  a = /b\n  c/"] {
            assert_eq!(thinned(source, true), source);
        }
    }

    /// The browser's tests run what is sent. Here: all of it is understood, and has as many lines.
    #[test]
    fn the_pages_sources_are_understood() {
        for path in Files::iter().filter(|path| SOURCES.iter().any(|end| path.ends_with(end))) {
            let file = Files::get(&path).unwrap();
            let source = std::str::from_utf8(&file.data).unwrap();
            let is_script = path.ends_with(".js");
            let spaced = format!("{source}\n  ;");
            assert_ne!(thinned(&spaced, is_script), spaced, "{path} is not understood");
            let sent = thinned(source, is_script);
            let lines = if is_script { source.matches('\n').count() } else { 0 };
            assert_eq!(sent.matches('\n').count(), lines, "{path}");
            assert_eq!(thinned(&sent, is_script), sent, "{path}: there is nothing left to leave out");
        }
    }
}
