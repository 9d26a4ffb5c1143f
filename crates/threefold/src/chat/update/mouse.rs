//! The mouse: what is pointed at, and the wheel.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

use super::{open, overlays, scroll};
use crate::chat::{
    layout::{Areas, PROMPT},
    model::Model,
    transcript::{Transcript, key_at},
};

/// Rows of one notch of the wheel.
const NOTCH: isize = 3;

/// Takes it in.
pub fn take(model: &mut Model, mouse: MouseEvent) {
    let at = Position::new(mouse.column, mouse.row);
    if model.overlay.is_some() {
        match mouse.kind {
            MouseEventKind::ScrollUp => overlays::step(model, -1),
            MouseEventKind::ScrollDown => overlays::step(model, 1),
            MouseEventKind::Down(MouseButton::Left) => overlays::click(model, at),
            _ => {}
        }
        return;
    }
    let areas = Areas::of(model);
    let in_list = areas.list.filter(|list| list.contains(at));
    match mouse.kind {
        MouseEventKind::ScrollUp if in_list.is_some() => model.list_from = model.list_from.saturating_sub(1),
        MouseEventKind::ScrollDown if in_list.is_some() => {
            model.list_from = (model.list_from + 1).min(model.conversations.len().saturating_sub(1));
        }
        MouseEventKind::ScrollUp => scroll(model, NOTCH),
        MouseEventKind::ScrollDown => scroll(model, -NOTCH),
        MouseEventKind::Down(MouseButton::Left) => click(model, at, &areas, in_list),
        _ => {}
    }
}

fn click(model: &mut Model, at: Position, areas: &Areas, in_list: Option<Rect>) {
    if let Some(list) = in_list {
        // The first row says who one is.
        let Some(row) = (at.y - list.y).checked_sub(1) else { return };
        let listed = model.listed();
        if let Some(handle) = listed.get(model.list_from + usize::from(row)) {
            open(model, *handle);
        }
    } else if areas.messages.contains(at) {
        let Some(handle) = model.open else { return };
        let height = usize::from(areas.messages.height);
        let Some(rows) = Transcript::new(model, handle, areas.messages.width).map(|shown| shown.visible(height)) else {
            return;
        };
        // What is there stands at the bottom.
        let above = height.saturating_sub(rows.len());
        let pointed = usize::from(at.y - areas.messages.y).checked_sub(above).and_then(|row| key_at(&rows, row));
        if let Some(current) = model.current_mut() {
            let is_message = pointed.is_some_and(|id| current.message(id).is_some());
            current.selected = pointed.filter(|id| is_message && current.selected != Some(*id));
        }
    } else if areas.input.contains(at) {
        let cells = areas.input_cells();
        let first = super::super::view::first_input_row(model, areas);
        let column = usize::from(at.x - areas.input.x).saturating_sub(PROMPT.chars().count());
        model.editor.go_to(first + usize::from(at.y - areas.input.y), column, cells);
    } else if areas.header.contains(at) && areas.list.is_none() {
        overlays::switcher(model);
    }
}
