//! What people say: the entries of Debian's `fortunes` package, and lines of our own in other scripts.
//!
//! Every text is different, so that a message found anywhere can be told from all others by its text alone.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use rand::{rngs::StdRng, seq::SliceRandom as _};

/// Where Debian puts them.
pub const FORTUNES: &str = "/usr/share/games/fortunes";
/// With fewer, this is not the test it claims to be.
const FEWEST: usize = 1000;
/// Our own lines: other scripts, directions, emoji, and text that is easily mistaken for something else.
const OWN: &str = include_str!("../texts.txt");

/// An endless supply of texts, no two alike.
pub struct Texts {
    texts: Vec<String>,
    next: usize,
    /// Texts that no message may hold: stray control characters.
    pub left_out: usize,
}

impl Texts {
    /// Reads all texts and shuffles them.
    pub fn load(fortunes: &Path, dice: &mut StdRng) -> anyhow::Result<Self> {
        let mut all: BTreeSet<String> = own().map(str::to_owned).collect();
        for path in files(fortunes)? {
            let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
            all.extend(entries(&String::from_utf8_lossy(&bytes)).map(str::to_owned));
        }
        if all.len() < FEWEST {
            bail!("only {} texts in {}: install the package fortunes", all.len(), fortunes.display());
        }
        let (mut texts, refused): (Vec<String>, Vec<String>) =
            all.into_iter().partition(|text| threefold_core::text::check_body(text).is_ok());
        texts.shuffle(dice);
        Ok(Self { texts, next: 0, left_out: refused.len() })
    }

    /// How many there are before they are repeated with a mark.
    pub fn count(&self) -> usize {
        self.texts.len()
    }

    /// The next text.
    pub fn next(&mut self) -> String {
        let round = self.next / self.texts.len();
        let text = &self.texts[self.next % self.texts.len()];
        self.next += 1;
        if round == 0 { text.clone() } else { format!("{text}\n({} times now)", round + 1) }
    }
}

/// The text files of the package: not their indexes, nor the second names of the same files.
fn files(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let missing = || format!("no texts in {}: install the package fortunes", directory.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).with_context(missing)? {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_file() && !matches!(extension, Some("dat" | "u8")) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Entries are separated by lines of a percent sign.
fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.split("\n%\n")
        .map(|entry| entry.trim_start_matches("%\n").trim_end_matches("\n%").trim_end_matches('\n'))
        .filter(|entry| !entry.is_empty())
}

fn own() -> impl Iterator<Item = &'static str> {
    OWN.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn entries_are_split_at_lines_of_percent() {
        let text = "one\n%\ntwo\nlines, 100%\n%\n\n%\nlast\n%\n";
        assert_eq!(entries(text).collect::<Vec<_>>(), ["one", "two\nlines, 100%", "last"]);
    }

    #[test]
    fn our_own_are_many_and_different() {
        let all: Vec<&str> = own().collect();
        assert!(all.len() >= 36, "a few dozen, not {}", all.len());
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    }

    #[test]
    fn no_text_comes_twice() {
        let directory = tempfile::tempdir().unwrap();
        let many: Vec<String> = (0..FEWEST).map(|number| format!("text {number}")).collect();
        fs::write(directory.path().join("many"), many.join("\n%\n")).unwrap();
        fs::write(directory.path().join("again"), many.join("\n%\n")).unwrap();
        fs::write(directory.path().join("many.dat"), "index").unwrap();
        let mut texts = Texts::load(directory.path(), &mut StdRng::seed_from_u64(1)).unwrap();
        let drawn: BTreeSet<String> = (0..texts.count() * 3).map(|_| texts.next()).collect();
        assert_eq!(drawn.len(), texts.count() * 3);
    }
}
