//! Where everything stands on a screen of any size; the same for whoever draws and whoever reads the mouse.

use ratatui::layout::Rect;

use super::model::Model;

/// From this width on, the conversations are listed beside the one that is open.
const WITH_LIST: u16 = 64;
/// From this width on, who is there is listed on the other side.
const WITH_SIDE: u16 = 130;
/// What stands before the line one types.
pub const PROMPT: &str = "› ";

/// The parts of the screen. All lie within it, also where it is tiny.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Areas {
    pub all: Rect,
    pub list: Option<Rect>,
    pub header: Rect,
    pub messages: Rect,
    pub status: Rect,
    pub input: Rect,
    pub side: Option<Rect>,
}

impl Areas {
    pub fn of(model: &Model) -> Self {
        let (width, height) = model.size;
        let all = Rect::new(0, 0, width, height);
        let list_width = match width {
            0..WITH_LIST => 0,
            WITH_LIST..100 => 20,
            100..160 => 26,
            _ => 32,
        };
        let side_width =
            if width >= WITH_SIDE && model.current().is_some_and(|current| current.is_room()) { 26 } else { 0 };
        let beside = |cells: u16| if cells == 0 { 0 } else { cells + 1 };
        let main_left = beside(list_width);
        let main = width - main_left - beside(side_width);
        let typed = model.editor.rows(input_cells(main)).len();
        let most = (height / 3).clamp(1, 10);
        let input = u16::try_from(typed).unwrap_or(most).clamp(1, most).min(height);
        let header = 1_u16.min(height - input);
        let status = 1_u16.min(height - input - header);
        let messages = height - input - header - status;
        let row = |top: u16, rows: u16| Rect::new(main_left, top, main, rows);
        Self {
            all,
            list: (list_width > 0).then(|| Rect::new(0, 0, list_width, height)),
            header: row(0, header),
            messages: row(header, messages),
            status: row(header + messages, status),
            input: row(header + messages + status, input),
            side: (side_width > 0).then(|| Rect::new(width - side_width, 0, side_width, height)),
        }
    }

    /// Cells of a row of the text one types.
    pub fn input_cells(&self) -> usize {
        input_cells(self.input.width)
    }

    /// The part of the screen that stands over the others: all of a small one.
    pub fn overlay(&self, width: u16, height: u16) -> Rect {
        let (width, height) = (width.min(self.all.width), height.min(self.all.height));
        let (left, top) = ((self.all.width - width) / 2, (self.all.height - height) / 2);
        Rect::new(left, top, width, height)
    }
}

fn input_cells(width: u16) -> usize {
    // One cell is for the cursor behind a full row.
    usize::from(width).saturating_sub(PROMPT.chars().count() + 1).max(2)
}
