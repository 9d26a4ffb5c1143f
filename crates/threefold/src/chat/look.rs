//! What a reader takes a name for, and which letters nobody takes for others.
//!
//! Left out: a whole table of what looks alike. There are thousands; whatever is of no common script is not plain, and so never stands alone.

/// Letters and digits that look like others.
const ALIKE: [(char, char); 60] = [
    ('0', 'o'),
    ('1', 'l'),
    ('i', 'l'),
    ('ı', 'l'),
    ('|', 'l'),
    ('а', 'a'),
    ('в', 'b'),
    ('е', 'e'),
    ('к', 'k'),
    ('м', 'm'),
    ('н', 'h'),
    ('о', 'o'),
    ('р', 'p'),
    ('с', 'c'),
    ('т', 't'),
    ('у', 'y'),
    ('х', 'x'),
    ('і', 'l'),
    ('ј', 'j'),
    ('ѕ', 's'),
    ('ԁ', 'd'),
    ('ո', 'n'),
    ('α', 'a'),
    ('ε', 'e'),
    ('ι', 'l'),
    ('κ', 'k'),
    ('ν', 'v'),
    ('ο', 'o'),
    ('ρ', 'p'),
    ('τ', 't'),
    ('υ', 'u'),
    ('χ', 'x'),
    ('օ', 'o'),
    ('ԛ', 'q'),
    ('ԝ', 'w'),
    ('һ', 'h'),
    ('ӏ', 'l'),
    ('ս', 'u'),
    ('հ', 'h'),
    ('γ', 'y'),
    ('η', 'n'),
    ('ω', 'w'),
    ('ɡ', 'g'),
    ('ɑ', 'a'),
    ('ɩ', 'l'),
    ('ɪ', 'l'),
    ('ʏ', 'y'),
    ('ʙ', 'b'),
    ('ɴ', 'n'),
    ('ʜ', 'h'),
    ('ʟ', 'l'),
    ('ʀ', 'r'),
    ('ᴀ', 'a'),
    ('ᴄ', 'c'),
    ('ᴏ', 'o'),
    ('ᴛ', 't'),
    ('ᴜ', 'u'),
    ('ᴠ', 'v'),
    ('ᴡ', 'w'),
    ('ĸ', 'k'),
];

/// Letters of the same alphabet, written so that they look like plain ones: from which one on, how many of them, and which plain one the first is. The mathematical ones come
/// in alphabets of two times 26.
const VARIANTS: [(char, u32, char); 11] = [
    ('\u{ff01}', 94, '!'),
    ('\u{1d400}', 676, 'A'),
    ('\u{1d7ce}', 50, '0'),
    ('\u{24b6}', 26, 'a'),
    ('\u{24d0}', 26, 'a'),
    ('\u{1f130}', 26, 'a'),
    ('\u{1f150}', 26, 'a'),
    ('\u{1f170}', 26, 'a'),
    ('\u{2460}', 9, '1'),
    ('\u{2080}', 10, '0'),
    ('\u{2074}', 6, '4'),
];

/// Other letters and signs that are made of plain ones.
const COMPOSED: [(&str, &str); 24] = [
    ("ªₐ", "a"),
    ("ºₒℴ", "o"),
    ("ℬ", "b"),
    ("ℂℭⅽⅭ", "c"),
    ("ⅆⅾⅮ", "d"),
    ("ℯℰⅇₑ", "e"),
    ("ℱ", "f"),
    ("ℊ", "g"),
    ("ℋℌℍℎ", "h"),
    ("ℐℑⅈⅰⅠℒℓⅼⅬ", "l"),
    ("ⅉ", "j"),
    ("ℳⅿⅯ", "m"),
    ("ℕⁿ", "n"),
    ("ℙ", "p"),
    ("ℚ", "q"),
    ("ℛℜℝ", "r"),
    ("ⅴⅤ", "v"),
    ("ⅹⅩₓ", "x"),
    ("ℤℨ", "z"),
    ("ⅱⅡ", "ll"),
    ("ﬀ", "ff"),
    ("ﬁ", "fl"),
    ("ﬂ", "fl"),
    ("ﬆ", "st"),
];

/// Letters with a mark in one: what they are without, for a reader who looks at many names takes them for those.
const MARKED: [(&str, char); 24] = [
    ("àáâãäåāăąǎạảấầẩẫậắằẳẵặ", 'a'),
    ("ḃḅ", 'b'),
    ("çćĉċč", 'c'),
    ("ďđḍ", 'd'),
    ("èéêëēĕėęěẹẻẽếềểễệ", 'e'),
    ("ĝğġģ", 'g'),
    ("ĥħḥ", 'h'),
    ("ìíîïĩīĭįỉị", 'l'),
    ("ĵ", 'j'),
    ("ķḳ", 'k'),
    ("ĺļľŀłḷ", 'l'),
    ("ṁṃ", 'm'),
    ("ñńņňŉṇ", 'n'),
    ("òóôõöøōŏőǒơọỏốồổỗộớờởỡợ", 'o'),
    ("ṗ", 'p'),
    ("ŕŗřṛ", 'r'),
    ("śŝşšșſṣ", 's'),
    ("ţťŧțṭ", 't'),
    ("ùúûüũūŭůűųưụủứừửữự", 'u'),
    ("ṽṿ", 'v'),
    ("ŵẁẃẅ", 'w'),
    ("ẋẍ", 'x'),
    ("ýÿŷỳỵỷỹ", 'y'),
    ("źżžẓ", 'z'),
];

/// What a reader takes a name for: without marks, spaces, case, and what tells letters that look alike from each other.
pub fn look(name: &str) -> String {
    let plain: String = name.chars().map(unvaried).collect();
    let mut looks = String::new();
    for c in plain.to_lowercase().chars() {
        if let Some((_, composed)) = COMPOSED.iter().find(|(all, _)| all.contains(c)) {
            looks.push_str(composed);
            continue;
        }
        let c = MARKED.iter().find(|(all, _)| all.contains(c)).map_or(c, |(_, letter)| *letter);
        let c = ALIKE.iter().find(|(one, _)| *one == c).map_or(c, |(_, other)| *other);
        if c.is_alphanumeric() {
            looks.push(c);
        }
    }
    looks
}

/// The plain one of a letter or digit that is written in a way of its own.
fn unvaried(c: char) -> char {
    let variant = VARIANTS.iter().find_map(|(first, count, plain)| {
        let place = u32::from(c).checked_sub(u32::from(*first)).filter(|place| place < count)?;
        Some(match *plain {
            'A' => (b'a', place % 26),
            '0' => (b'0', place % 10),
            other => (u8::try_from(other).ok()?, place),
        })
    });
    let plain = variant.and_then(|(first, place)| Some(char::from(first.checked_add(u8::try_from(place).ok()?)?)));
    plain.unwrap_or(c)
}

/// Of letters that nobody takes for others, however few cells there are: plain ones, or those of one other script.
pub fn is_plain(name: &str) -> bool {
    let letters = || name.chars().filter(|c| c.is_alphanumeric());
    let mut scripts = letters().filter(|c| !c.is_ascii_digit()).map(script);
    let first = scripts.next();
    first.is_none_or(|first| first.is_some() && scripts.all(|other| other == first))
}

/// The script of a letter, as its number; none for what is in no common one.
fn script(c: char) -> Option<u32> {
    let number = u32::from(c);
    match number {
        // Latin, with what European languages and Vietnamese have beside it; not the signs of phonetics.
        0x41..=0x5a | 0x61..=0x7a | 0xc0..=0x17f | 0x1a0..=0x1a1 | 0x1af..=0x1b0 | 0x218..=0x21b | 0x1e00..=0x1eff => {
            Some(1)
        }
        // Greek, Cyrillic, Armenian, Hebrew, Arabic.
        0x370..=0x3ff => Some(2),
        0x400..=0x45f | 0x490..=0x4ff => Some(3),
        0x531..=0x58a => Some(4),
        0x5d0..=0x5ea => Some(5),
        0x620..=0x6ff => Some(6),
        // Those of India, each in a block; Thai, Lao; Georgian; Ethiopic; Khmer.
        0x900..=0xeff => Some(number / 0x80),
        0x10a0..=0x10ff => Some(7),
        0x1200..=0x137f => Some(8),
        0x1780..=0x17ff => Some(9),
        // Chinese, Japanese and Korean stand together.
        0x1100..=0x11ff | 0x3005..=0x3007 | 0x3041..=0x30ff | 0x3105..=0x312f | 0x3400..=0x9fff | 0xac00..=0xd7a3 => {
            Some(10)
        }
        _ => None,
    }
}
