//! Pictures as people send them, and as people send them who mean harm.

use std::sync::LazyLock;

use image::{
    Delay, Frame, ImageEncoder, Rgb, RgbImage, Rgba, RgbaImage,
    codecs::{gif::GifEncoder, webp::WebPEncoder},
    metadata::Orientation,
};
use proptest::prelude::*;

use super::*;

const RED: Rgb<u8> = Rgb([220, 20, 20]);
const BLUE: Rgb<u8> = Rgb([20, 20, 220]);

/// Red on the left, blue on the right.
fn halves(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, _| if x < width / 2 { RED } else { BLUE })
}

fn png(picture: &DynamicImage) -> Vec<u8> {
    file(picture, ImageFormat::Png)
}

fn file(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, format).unwrap();
    file.into_inner()
}

/// What was made, read again.
fn seen(scaled: &Scaled) -> DynamicImage {
    let format = ImageFormat::from_mime_type(scaled.content_type).unwrap();
    image::load_from_memory_with_format(&scaled.bytes, format).unwrap()
}

fn is_near(point: Rgba<u8>, color: Rgb<u8>) -> bool {
    (0..3).all(|channel| point.0[channel].abs_diff(color.0[channel]) < 40)
}

#[test]
fn every_format_becomes_small_with_its_shape_and_its_colours() {
    let picture = DynamicImage::from(halves(1200, 600));
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP] {
        let whole = match format {
            ImageFormat::Gif => file(&picture.to_rgba8().into(), format),
            _ => file(&picture, format),
        };
        let scaled = scaled(&whole).unwrap();
        assert_eq!(scaled.content_type, "image/jpeg", "{format:?}");
        let small = seen(&scaled).to_rgba8();
        assert_eq!(small.dimensions(), (480, 240), "{format:?}");
        assert!(is_near(*small.get_pixel(60, 120), RED) && is_near(*small.get_pixel(420, 120), BLUE), "{format:?}");
    }
}

#[test]
fn what_is_small_or_thin_keeps_its_shape() {
    for ((width, height), expected) in
        [((1, 1), (1, 1)), ((480, 480), (480, 480)), ((481, 1), (480, 1)), ((2, 9000), (1, 480)), ((7000, 3), (480, 1))]
    {
        let scaled = scaled(&png(&halves(width, height).into())).unwrap();
        let small = seen(&scaled);
        assert_eq!((small.width(), small.height()), expected, "{width} x {height}");
    }
}

#[test]
fn one_sees_through_what_one_saw_through() {
    let glass =
        RgbaImage::from_fn(900, 900, |x, _| if x < 450 { Rgba([0, 0, 0, 0]) } else { Rgba([20, 20, 220, 255]) });
    let through = scaled(&png(&glass.into())).unwrap();
    assert_eq!(through.content_type, "image/png");
    let small = seen(&through).to_rgba8();
    assert_eq!(small.get_pixel(100, 240).0[3], 0);
    assert!(small.get_pixel(400, 240).0[3] == 255 && is_near(*small.get_pixel(400, 240), BLUE));
    // A channel that says nothing costs nothing.
    let opaque = DynamicImage::from(halves(900, 900)).to_rgba8();
    assert_eq!(scaled(&png(&opaque.into())).unwrap().content_type, "image/jpeg");
}

#[test]
fn sixteen_bits_and_grey_are_as_good() {
    let deep = DynamicImage::from(halves(1000, 500)).to_rgb16();
    let small = seen(&scaled(&png(&deep.into())).unwrap()).to_rgba8();
    assert!(small.dimensions() == (480, 240) && is_near(*small.get_pixel(60, 120), RED));
    let grey = DynamicImage::from(halves(1000, 500)).to_luma8();
    assert_eq!(seen(&scaled(&png(&grey.into())).unwrap()).width(), 480);
}

/// A JPEG with an EXIF segment that says how the camera was held (TIFF 6.0, tag 274).
fn held(width: u32, height: u32, orientation: Orientation) -> Vec<u8> {
    let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation.to_exif(), 0, 0, 0, 0, 0, 0]);
    let mut segment = vec![0xff, 0xe1];
    segment.extend(u16::try_from(exif.len() + 2).unwrap().to_be_bytes());
    segment.extend(exif);
    let whole = file(&halves(width, height).into(), ImageFormat::Jpeg);
    [&whole[..2], &segment, &whole[2..]].concat()
}

#[test]
fn a_picture_stands_as_the_camera_was_held_and_says_no_more_about_it() {
    for (orientation, size, first, second) in [
        (Orientation::NoTransforms, (480, 240), RED, BLUE),
        (Orientation::Rotate180, (480, 240), BLUE, RED),
        (Orientation::Rotate90, (240, 480), RED, BLUE),
        (Orientation::Rotate270, (240, 480), BLUE, RED),
    ] {
        let scaled = scaled(&held(1200, 600, orientation)).unwrap();
        let small = seen(&scaled).to_rgba8();
        assert_eq!(small.dimensions(), size, "{orientation:?}");
        let last = *small.get_pixel(size.0 - 20, size.1 - 20);
        assert!(is_near(*small.get_pixel(20, 20), first) && is_near(last, second), "{orientation:?}");
        assert!(!scaled.bytes.windows(4).any(|part| part == b"Exif"));
    }
}

#[test]
fn a_profile_of_colours_comes_along_if_it_is_small_and_of_screens() {
    for (name, bytes, comes) in [(b"RGB ", 400, true), (b"CMYK", 400, false), (b"RGB ", PROFILE_BYTES + 1, false)] {
        let mut profile = vec![7; bytes];
        profile[16..20].copy_from_slice(name);
        let mut whole = Vec::new();
        let mut encoder = JpegEncoder::new(&mut whole);
        encoder.set_icc_profile(profile.clone()).unwrap();
        encoder.write_image(&halves(600, 300), 600, 300, image::ExtendedColorType::Rgb8).unwrap();
        let scaled = scaled(&whole).unwrap();
        let came = scaled.bytes.windows(profile.len()).any(|part| part == profile);
        assert_eq!(came, comes, "{name:?}, {bytes}");
    }
}

#[test]
fn of_what_moves_the_first_picture_is_taken() {
    let mut whole = Vec::new();
    let mut encoder = GifEncoder::new(&mut whole);
    for color in [RED, BLUE, BLUE] {
        let picture = DynamicImage::from(RgbImage::from_pixel(600, 600, color)).to_rgba8();
        encoder.encode_frame(Frame::from_parts(picture, 0, 0, Delay::from_numer_denom_ms(100, 1))).unwrap();
    }
    drop(encoder);
    let small = seen(&scaled(&whole).unwrap()).to_rgba8();
    assert!(small.pixels().all(|point| is_near(*point, RED)));
}

/// A PNG whose header says that it is so large, and which is empty.
fn claimed(width: u32, height: u32) -> Vec<u8> {
    let mut whole = png(&halves(4, 4).into());
    whole[16..20].copy_from_slice(&width.to_be_bytes());
    whole[20..24].copy_from_slice(&height.to_be_bytes());
    let mut sum = flate2::Crc::new();
    sum.update(&whole[12..29]);
    whole[29..33].copy_from_slice(&sum.sum().to_be_bytes());
    whole
}

#[test]
fn a_bomb_is_refused_by_its_header() {
    for (width, height) in [(65_535, 65_535), (1 << 30, 1), (7681, 4320), (u32::MAX >> 1, u32::MAX >> 1)] {
        assert_eq!(scaled(&claimed(width, height)), Err(Unscalable::TooLarge), "{width} x {height}");
    }
    // Within the bounds, but not there.
    assert!(matches!(scaled(&claimed(4000, 4000)), Err(Unscalable::Damaged)));
    // A small screen with a frame on it that is not small at all.
    let mut gif = file(&DynamicImage::from(halves(8, 8)).to_rgba8().into(), ImageFormat::Gif);
    let frame = gif.iter().rposition(|byte| *byte == b',').unwrap();
    gif[frame + 5..frame + 9].copy_from_slice(&[0xff; 4]);
    assert!(scaled(&gif).is_err());
}

#[test]
fn what_is_broken_or_no_picture_is_refused_in_words() {
    let whole = png(&halves(700, 700).into());
    assert_eq!(scaled(&whole[..whole.len() / 2]), Err(Unscalable::Damaged));
    assert_eq!(scaled(&whole[..20]), Err(Unscalable::Damaged));
    for other in [&b"<svg/>"[..], b"", b"BM", b"%PDF-1.7", b"II*\0"] {
        assert_eq!(scaled(other), Err(Unscalable::NoPicture));
    }
    assert!(Unscalable::TooLarge.to_string().contains("33177600 points"));
}

/// What a damaged file may claim to be, so that it is soon refused or done with.
const FEW_POINTS: u64 = 10_000;

/// Small files of every format, to be damaged.
static SEEDS: LazyLock<[Vec<u8>; 5]> = LazyLock::new(|| {
    let picture = DynamicImage::from(halves(40, 30));
    let mut lossless = Vec::new();
    WebPEncoder::new_lossless(&mut lossless).encode(&halves(40, 30), 40, 30, image::ExtendedColorType::Rgb8).unwrap();
    let gif = file(&picture.to_rgba8().into(), ImageFormat::Gif);
    let turned = held(40, 30, Orientation::Rotate90);
    [png(&picture), file(&picture, ImageFormat::Jpeg), gif, lossless, turned]
});

proptest! {
    /// A panic would end the server.
    #[test]
    fn whatever_is_damaged_is_refused_or_small(
        seed in 0_usize..5,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        end in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut whole = SEEDS[seed].clone();
        for (place, byte) in damage {
            let place = place.index(whole.len());
            whole[place] = byte;
        }
        if is_cut {
            whole.truncate(end.index(whole.len()));
        }
        if let Ok(scaled) = within(FEW_POINTS, &whole) {
            let small = seen(&scaled);
            prop_assert!(small.width() <= SIDE && small.height() <= SIDE);
        }
    }
}
