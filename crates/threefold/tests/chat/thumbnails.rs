//! `make-thumbnail`, as servers call it: it makes what it is asked, each time, within its bounds.

use std::{
    fs,
    io::Write as _,
    process::{Child, Command, Stdio},
};

use crate::harness::{PROGRAM, until, wait};

/// What an answer begins with.
const TOO_LARGE: u8 = 1;
const JPEG: u8 = 3;

fn thumbnailer(variables: &[(&str, &str)]) -> Child {
    let mut command = Command::new(PROGRAM);
    command.arg("make-thumbnail").env_clear().envs(variables.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// What it answers of a file.
fn answer(file: &[u8], variables: &[(&str, &str)]) -> Vec<u8> {
    let mut child = thumbnailer(variables);
    // It may answer before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(file);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// What its allocator finds mapped differs from run to run, and so did what a limit of memory left of it. (Optimised programs alone place it at
/// random; others take seconds for a large picture.)
#[test]
fn a_picture_has_its_thumbnail_at_every_run_and_a_bomb_has_none() {
    let (width, height, runs) = if cfg!(debug_assertions) { (640, 480, 2) } else { (4000, 3000, 30) };
    let points = image::RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, (x * y) as u8]));
    let mut file = std::io::Cursor::new(Vec::new());
    points.write_to(&mut file, image::ImageFormat::Jpeg).unwrap();
    let file = file.into_inner();
    // As a server calls it, and as somebody who tries it does.
    for variables in [&[("MIMALLOC_ARENA_EAGER_COMMIT", "0")][..], &[]] {
        for run in 0..runs {
            let made = answer(&file, variables);
            assert_eq!(made[0], JPEG, "run {run}");
            let made = image::load_from_memory_with_format(&made[1..], image::ImageFormat::Jpeg).unwrap();
            assert_eq!((made.width(), made.height()), (480, 360));
        }
        // 65,535 points each way, says its header.
        assert_eq!(
            answer(b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x08\x01\0;", variables),
            [TOO_LARGE]
        );
    }
}

#[test]
fn its_process_has_bounds_that_hold_without_its_server() {
    let mut child = thumbnailer(&[("MIMALLOC_ARENA_EAGER_COMMIT", "0")]);
    let about = |what: &str| fs::read_to_string(format!("/proc/{}/{what}", child.id())).unwrap_or_default();
    let limit = |name: &str| -> Option<u64> {
        about("limits").lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
    };
    wait("the last of its bounds", || about("oom_score_adj").trim() == "1000");
    assert_eq!((limit("Max cpu time"), limit("Max core file size")), (Some(30), Some(0)));
    let memory = until("a bound of memory", || limit("Max data size"));
    assert!(
        (1 << 30..(1 << 30) + (256 << 20)).contains(&memory),
        "{memory}: what is mapped in advance is no more than it needs"
    );
    // And it ends with whoever feeds it.
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}
