//! Colours: none, the terminal's own sixteen, or true ones; always legible on a dark and on a light ground.

use std::env;

use ratatui::style::{Color, Modifier, Style};

/// What the terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Colours {
    /// None at all: bold, dim and reversed text only
    None,
    /// The terminal's own sixteen
    #[value(name = "16")]
    Sixteen,
    /// 24 bits
    True,
}

/// How things look.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    colours: Colours,
}

/// Hues that differ well, at a lightness that stands out from black and from white.
const TRUE: [(u8, u8, u8); 10] = [
    (214, 93, 14),
    (38, 139, 210),
    (133, 153, 0),
    (211, 54, 130),
    (42, 161, 152),
    (181, 137, 0),
    (108, 113, 196),
    (220, 80, 47),
    (66, 160, 90),
    (160, 100, 180),
];
const SIXTEEN: [Color; 6] = [Color::Cyan, Color::Magenta, Color::Green, Color::Yellow, Color::Blue, Color::LightRed];

impl Theme {
    /// With these colours.
    #[must_use]
    pub fn new(colours: Colours) -> Self {
        Self { colours }
    }

    /// As the environment says: `NO_COLOR`, `COLORTERM`, `TERM`.
    #[must_use]
    pub fn detected() -> Self {
        let variable = |name: &str| env::var(name).unwrap_or_default();
        let colours = if !variable("NO_COLOR").is_empty() || matches!(variable("TERM").as_str(), "dumb" | "vt100") {
            Colours::None
        } else if matches!(variable("COLORTERM").as_str(), "truecolor" | "24bit") {
            Colours::True
        } else {
            Colours::Sixteen
        };
        Self { colours }
    }

    /// Of a person's name: always the same for the same one.
    #[must_use]
    pub fn name(self, account: u64) -> Style {
        // Neighbours in the order of registration get hues that are far apart.
        let place = usize::try_from(account.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33).unwrap_or(0);
        let style = Style::new().add_modifier(Modifier::BOLD);
        match self.colours {
            Colours::None => style,
            Colours::Sixteen => style.fg(SIXTEEN[place % SIXTEEN.len()]),
            Colours::True => {
                let (red, green, blue) = TRUE[place % TRUE.len()];
                style.fg(Color::Rgb(red, green, blue))
            }
        }
    }

    /// What matters less.
    #[must_use]
    pub fn faint(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// What matters more.
    #[must_use]
    pub fn bold(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// A bar across the screen, and what is chosen in a list.
    #[must_use]
    pub fn bar(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// What leads the eye.
    #[must_use]
    pub fn accent(self) -> Style {
        self.coloured(Color::Cyan, (42, 161, 152)).add_modifier(Modifier::BOLD)
    }

    /// What is as it should be.
    #[must_use]
    pub fn good(self) -> Style {
        self.coloured(Color::Green, (66, 160, 90))
    }

    /// What one should look at.
    #[must_use]
    pub fn warning(self) -> Style {
        self.coloured(Color::Yellow, (181, 137, 0)).add_modifier(Modifier::BOLD)
    }

    /// What is wrong.
    #[must_use]
    pub fn bad(self) -> Style {
        self.coloured(Color::Red, (220, 50, 47)).add_modifier(Modifier::BOLD)
    }

    /// An address that may be opened.
    #[must_use]
    pub fn link(self) -> Style {
        self.coloured(Color::Blue, (38, 139, 210)).add_modifier(Modifier::UNDERLINED)
    }

    /// What is quoted as it is typed.
    #[must_use]
    pub fn code(self) -> Style {
        match self.colours {
            Colours::None => Style::new().add_modifier(Modifier::UNDERLINED),
            Colours::Sixteen => Style::new().fg(Color::Yellow),
            Colours::True => Style::new().fg(Color::Rgb(181, 137, 0)),
        }
    }

    /// Somebody's name in a text; `own`: the reader's.
    #[must_use]
    pub fn mention(self, own: bool) -> Style {
        if own { self.warning() } else { self.coloured(Color::Cyan, (42, 161, 152)) }
    }

    fn coloured(self, sixteen: Color, (red, green, blue): (u8, u8, u8)) -> Style {
        match self.colours {
            Colours::None => Style::new(),
            Colours::Sixteen => Style::new().fg(sixteen),
            Colours::True => Style::new().fg(Color::Rgb(red, green, blue)),
        }
    }
}
