//! Scrolling goes by rows, wherever one is, and costs what is seen rather than what is there.

use proptest::prelude::*;

use super::*;
use crate::chat::{
    layout::Areas,
    transcript::{LAID_OUT, Transcript},
};

/// A room with these messages, at this size.
fn room(size: (u16, u16), messages: Vec<Message>) -> Model {
    let mut model = scene(size, Colours::None);
    let handle = model.open.unwrap();
    model.conversations.get_mut(&handle).unwrap().restart();
    ask(&mut model, handle, Page::Before(0));
    page(&mut model, Ok(HistoryReply { messages, ..HistoryReply::default() }));
    model
}

/// The rows in so many cells, up to where the screen ends.
fn rows(model: &Model, height: usize) -> Vec<String> {
    let width = Areas::of(model).messages.width;
    let shown = Transcript::new(model, model.open.unwrap(), width).unwrap().visible(height);
    shown.into_iter().map(|row| row.line.to_string()).collect()
}

/// What one does.
#[derive(Clone, Copy, Debug)]
enum Step {
    Up(isize),
    Top,
    Select(bool),
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (-40..40_isize).prop_map(Step::Up),
        1 => Just(Step::Top),
        2 => any::<bool>().prop_map(Step::Select),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_step_is_so_many_rows_and_ends_where_there_are_no_more(
        lengths in prop::collection::vec(0..400_usize, 0..30),
        size in (20..160_u16, 4..40_u16),
        steps in prop::collection::vec(steps(), 0..20),
    ) {
        let long = |(place, length): (usize, &usize)| {
            let id = u64::try_from(place).unwrap() + 10;
            in_tea(id, id % 3 + 1, &format!("{id} {}", "word ".repeat(length / 5)))
        };
        let mut model = room(size, lengths.iter().enumerate().map(long).collect());
        let height = usize::from(Areas::of(&model).messages.height);
        let all = rows(&model, usize::MAX);
        let most = all.len().saturating_sub(height);
        let mut below = 0_usize;
        for step in steps {
            match step {
                Step::Up(up) => {
                    super::super::update::scroll(&mut model, up);
                    below = below.saturating_add_signed(up).min(most);
                }
                Step::Top => {
                    with(&mut model, KeyModifiers::CONTROL, KeyCode::Home);
                    below = most;
                }
                Step::Select(up) => {
                    with(&mut model, KeyModifiers::CONTROL, if up { KeyCode::Up } else { KeyCode::Down });
                    below = all.len() - rows(&model, usize::MAX).len();
                    if let Some(selected) = model.current().unwrap().selected {
                        let is_seen = rows(&model, height).iter().any(|row| row.contains('▌'));
                        prop_assert!(is_seen || height == 0, "{selected} is not in sight");
                    }
                }
            }
            let end = all.len() - below;
            let expected: Vec<String> = all[end.saturating_sub(height)..end].to_vec();
            let seen: Vec<String> = rows(&model, height).iter().map(|row| row.replace('▌', " ")).collect();
            prop_assert_eq!(seen, expected, "{:?}", step);
        }
    }
}

#[test]
fn a_notch_of_the_wheel_lays_out_what_it_passes_and_what_is_seen() {
    let messages = (10..1_010).map(|id| in_tea(id, id % 3 + 1, "some words")).collect();
    let mut model = room((80, 24), messages);
    with(&mut model, KeyModifiers::CONTROL, KeyCode::Home);
    for up in [-500, 3, -3, 3, 30, -400, 200] {
        LAID_OUT.set(0);
        crate::chat::update::scroll(&mut model, up);
        let most = up.unsigned_abs() + 24;
        assert!(LAID_OUT.get() <= most, "{} entries were laid out for {up} rows", LAID_OUT.get());
    }
    LAID_OUT.set(0);
    with(&mut model, KeyModifiers::CONTROL, KeyCode::Up);
    assert!(LAID_OUT.get() <= 200, "{} entries were laid out to select one", LAID_OUT.get());
}
