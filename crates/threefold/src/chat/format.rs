//! A message's text as it is drawn: `**bold**`, `*italics*`, `` `code` ``, links and names, on text that was made safe before.

use ratatui::{
    style::{Modifier, Style},
    text::Span,
};

use super::theme::Theme;

/// Names that the text mentions, in lower case, and the reader's own.
pub struct Names<'a> {
    pub mentioned: &'a [String],
    pub own: &'a str,
}

/// Around lines of code.
const FENCE: &str = "```";

/// The parts of a text, each in its style. Each byte is looked at a few times at most, whatever the text.
pub fn spans(text: &str, names: &Names<'_>, theme: Theme) -> Vec<Span<'static>> {
    let mut spans = Vec::new();
    let mut parts = fenced(text).enumerate().peekable();
    while let Some((place, part)) = parts.next() {
        // Between an odd and an even fence stands code; a fence that is never closed is just text.
        let is_fenced = place % 2 == 1 && parts.peek().is_some();
        if is_fenced {
            spans.push(Span::styled(part.trim_matches('\n').to_owned(), theme.code()));
        } else {
            if place % 2 == 1 {
                spans.push(Span::raw("```"));
            }
            inline(part, Style::new(), names, theme, &mut spans);
        }
    }
    spans
}

/// What stands between fences.
fn fenced(text: &str) -> impl Iterator<Item = &str> {
    text.split(FENCE).inspect(|part| look(part.len() + FENCE.len()))
}

/// So many bytes are looked at: tests count them.
fn look(bytes: usize) {
    #[cfg(test)]
    tests::LOOKED.with(|looked| looked.set(looked.get() + bytes));
    let _ = bytes;
}

fn inline(text: &str, style: Style, names: &Names<'_>, theme: Theme, spans: &mut Vec<Span<'static>>) {
    let mut plain = 0;
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        look(c.len_utf8());
        let rest = &text[at..];
        let starts_word = text[..at].chars().next_back().is_none_or(|before| !before.is_alphanumeric());
        let found = match c {
            '`' => enclosed(rest, "`").map(|inner| (inner.len() + 2, Part::Code(inner))),
            '*' if rest.starts_with("**") => {
                enclosed(rest, "**").map(|inner| (inner.len() + 4, Part::Styled(inner, Modifier::BOLD)))
            }
            '*' | '_' if starts_word => {
                let mark = &rest[..1];
                let inner = enclosed(rest, mark).filter(|inner| !inner.contains('\n'));
                let ends_word =
                    |inner: &&str| rest[inner.len() + 2..].chars().next().is_none_or(|after| !after.is_alphanumeric());
                inner.filter(ends_word).map(|inner| (inner.len() + 2, Part::Styled(inner, Modifier::ITALIC)))
            }
            'h' if starts_word => link(rest).map(|length| (length, Part::Link(&rest[..length]))),
            '@' if starts_word => mention(rest, names).map(|length| (length, Part::Name(&rest[..length]))),
            _ => None,
        };
        let Some((length, part)) = found else {
            at += c.len_utf8();
            continue;
        };
        if plain < at {
            spans.push(Span::styled(text[plain..at].to_owned(), style));
        }
        match part {
            Part::Code(inner) => spans.push(Span::styled(inner.to_owned(), style.patch(theme.code()))),
            Part::Link(link) => spans.push(Span::styled(link.to_owned(), style.patch(theme.link()))),
            Part::Name(name) => {
                let is_own = name[1..].eq_ignore_ascii_case(names.own);
                spans.push(Span::styled(name.to_owned(), style.patch(theme.mention(is_own))));
            }
            // What is within is shorter, so this ends.
            Part::Styled(inner, modifier) => inline(inner, style.add_modifier(modifier), names, theme, spans),
        }
        at += length;
        plain = at;
    }
    if plain < text.len() {
        spans.push(Span::styled(text[plain..].to_owned(), style));
    }
}

enum Part<'a> {
    Code(&'a str),
    Link(&'a str),
    Name(&'a str),
    Styled(&'a str, Modifier),
}

/// What stands between this mark, with which `text` begins, and the next one.
fn enclosed<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    let inner = &text[mark.len()..];
    let found = inner.find(mark);
    look(found.unwrap_or(inner.len()));
    let inner = &inner[..found?];
    let tight = !inner.starts_with(char::is_whitespace) && !inner.ends_with(char::is_whitespace);
    (!inner.is_empty() && tight).then_some(inner)
}

/// How long the address is with which `text` begins.
fn link(text: &str) -> Option<usize> {
    let scheme = ["https://", "http://"].into_iter().find(|scheme| text.starts_with(scheme))?;
    let end = text.find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"')).unwrap_or(text.len());
    look(end);
    let link = text[..end].trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '\'', '*', '_']);
    (link.len() > scheme.len()).then_some(link.len())
}

/// How long the mention is with which `text` begins.
fn mention(text: &str, names: &Names<'_>) -> Option<usize> {
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-');
    let end = text[1..].find(|c| !is_name(c)).map_or(text.len(), |at| at + 1);
    look(end);
    // A sentence's full stop is none of the name.
    let name = text[1..end].trim_end_matches(['.', '-']);
    let whole = [&text[1..end], name].into_iter().find(|name| names.mentioned.contains(&name.to_lowercase()))?;
    Some(whole.len() + 1)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;

    use super::*;
    use crate::chat::theme::Colours;

    thread_local! {
        pub static LOOKED: Cell<usize> = const { Cell::new(0) };
    }

    fn shown(text: &str) -> Vec<(String, Modifier)> {
        let mentioned = ["bob".to_owned(), "a.b".to_owned()];
        let names = Names { mentioned: &mentioned, own: "Bob" };
        let spans = spans(text, &names, Theme::new(Colours::None));
        spans.into_iter().map(|span| (span.content.into_owned(), span.style.add_modifier)).collect()
    }

    fn plain(text: &str) -> (String, Modifier) {
        (text.to_owned(), Modifier::empty())
    }

    #[test]
    fn marks_make_styles() {
        assert_eq!(
            shown("a **b *c*** `d*e*`"),
            [plain("a "), ("b *c".to_owned(), Modifier::BOLD), plain("* "), ("d*e*".to_owned(), Modifier::UNDERLINED),]
        );
        assert_eq!(
            shown("*x* _y_"),
            [("x".to_owned(), Modifier::ITALIC), plain(" "), ("y".to_owned(), Modifier::ITALIC)]
        );
    }

    #[test]
    fn what_is_no_mark_stays() {
        for text in ["2 * 3 * 4", "snake_case_name", "a*b*c", "**", "* *", "`", "```", "http://", "@nobody", "x@bob"] {
            let joined: String = shown(text).iter().map(|(text, _)| text.as_str()).collect();
            assert_eq!(joined, text);
            assert!(shown(text).iter().all(|(_, modifier)| modifier.is_empty()), "{text}");
        }
    }

    #[test]
    fn links_and_names_end_where_the_sentence_goes_on() {
        assert_eq!(
            shown("(https://a.b/c?d=e)."),
            [plain("("), ("https://a.b/c?d=e".to_owned(), Modifier::UNDERLINED), plain(").")]
        );
        assert_eq!(
            shown("hi @Bob, @a.b."),
            [plain("hi "), ("@Bob".to_owned(), Modifier::BOLD), plain(", "), plain("@a.b"), plain(".")]
        );
        assert_eq!(shown("x\n```\nlet *a*;\n```"), [plain("x\n"), ("let *a*;".to_owned(), Modifier::UNDERLINED)]);
    }

    #[test]
    fn no_text_is_looked_at_again_and_again() {
        const BYTES: usize = 16 * 1024;
        for piece in [
            "```",
            "``` ",
            "```a",
            "`",
            "` ",
            "`a",
            "*",
            "* ",
            "**",
            "** ",
            "**a ",
            "*a ",
            "_",
            "_a ",
            "*_",
            "**_*`",
            "a*",
            "@",
            "@a ",
            "@bob",
            "http://",
            "http:// ",
            "h",
            "https://a ",
            "http://)",
            "http://.",
            "(http://",
            "\n",
            "*\n",
            "** _`",
            "@a.b-",
            "x_",
            "***",
            "*** a",
        ] {
            for end in ["", "`", "*", "**", "_", "```", " a"] {
                let text = piece.repeat(BYTES / piece.len()) + end;
                LOOKED.set(0);
                shown(&text);
                assert!(LOOKED.get() <= 8 * text.len(), "{} bytes looked at for {piece:?} and {end:?}", LOOKED.get());
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_formatted(text in "[ab *_`@h:/.漢\n]{0,40}|.{0,40}") {
            shown(&text);
        }
    }
}
