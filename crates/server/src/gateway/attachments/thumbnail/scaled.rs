//! A picture made small: decoded within bounds, the right way up, and encoded anew.
//!
//! Files come from anybody. What would take more than its bounds is refused by its header, before anything is decoded; what is
//! broken is refused where it breaks. Of what moves, the first picture counts. What a file says beside its points (where it was
//! taken, by whom) does not come along, but for the profile of its colours.

use std::io::Cursor;

use image::{
    DynamicImage, ImageDecoder, ImageEncoder as _, ImageFormat, ImageReader, Limits,
    codecs::{jpeg::JpegEncoder, png::PngEncoder},
    imageops::FilterType,
};

use super::{super::kind, FILE_BYTES};

/// The longer side of what is made, in points: what a page shows in a conversation, on a screen with two points where there was one.
pub(super) const SIDE: u32 = 480;
/// Points of a picture, 8K's: what a phone takes by itself, and with what a progressive JPEG holds while it is decoded, 300 MB.
const POINTS: u64 = 7680 * 4320;
/// Bytes of a point that a decoder may have, where it counts them: 16-bit colours with their transparency.
const POINT_BYTES: u64 = 8;
/// Of JPEG: more is not seen at this size.
const QUALITY: u8 = 82;
/// A profile of colours up to this size comes along; the usual ones have a few hundred bytes to 4 KiB.
const PROFILE_BYTES: usize = 8 << 10;
/// Averaging is first done by blocks, quickly, where a picture is so many times larger; the rest with more care.
const ROUGHLY: u32 = 4;

/// What is made.
pub(super) const JPEG: &str = "image/jpeg";
/// What is made of what one can see through.
pub(super) const PNG: &str = "image/png";

/// A picture as it is given out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scaled {
    pub(super) content_type: &'static str,
    pub(super) bytes: Vec<u8>,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unscalable {
    #[error("this is no PNG, JPEG, GIF or WebP: there is no thumbnail of it")]
    NoPicture,
    #[error("the picture is too large for a thumbnail: at most {} MiB or {POINTS} points", FILE_BYTES >> 20)]
    TooLarge,
    #[error("the picture is damaged: there is no thumbnail of it")]
    Damaged,
}

impl From<image::ImageError> for Unscalable {
    fn from(error: image::ImageError) -> Self {
        match error {
            image::ImageError::Limits(_) => Self::TooLarge,
            image::ImageError::Decoding(_)
            | image::ImageError::Encoding(_)
            | image::ImageError::Parameter(_)
            | image::ImageError::Unsupported(_)
            | image::ImageError::IoError(_) => Self::Damaged,
        }
    }
}

/// The format of a file, by its first bytes.
pub(super) fn format(first: &[u8]) -> Result<ImageFormat, Unscalable> {
    kind::picture(first).and_then(ImageFormat::from_mime_type).ok_or(Unscalable::NoPicture)
}

/// The picture in `file` with at most [`SIDE`] points on its longer side: a JPEG, or a PNG where one can see through it.
pub(super) fn scaled(file: &[u8]) -> Result<Scaled, Unscalable> {
    within(POINTS, file)
}

/// The same of a picture with at most so many points.
fn within(points: u64, file: &[u8]) -> Result<Scaled, Unscalable> {
    let mut reader = ImageReader::with_format(Cursor::new(file), format(file)?);
    let mut limits = Limits::default();
    limits.max_alloc = Some(points * POINT_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder()?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > points {
        return Err(Unscalable::TooLarge);
    }
    // What a picture says of itself may be broken, and the picture whole.
    let orientation = decoder.orientation().ok();
    let profile = decoder.icc_profile().ok().flatten().filter(|profile| is_of_screens(profile));
    let mut picture = smaller(eight_bits(DynamicImage::from_decoder(decoder)?));
    if let Some(orientation) = orientation {
        picture.apply_orientation(orientation);
    }
    encoded(&picture, profile)
}

/// Whether a profile is of red, green and blue (ICC.1, section 7.2), and small.
fn is_of_screens(profile: &[u8]) -> bool {
    profile.len() <= PROFILE_BYTES && profile.get(16..20) == Some(b"RGB ")
}

/// What is averaged has a byte a colour: larger numbers could add up to more than is counted to.
fn eight_bits(picture: DynamicImage) -> DynamicImage {
    let color = picture.color();
    match (color.bytes_per_pixel() == color.channel_count(), color.has_alpha()) {
        (true, _) => picture,
        (false, true) => picture.into_rgba8().into(),
        (false, false) => picture.into_rgb8().into(),
    }
}

fn smaller(picture: DynamicImage) -> DynamicImage {
    let longer = picture.width().max(picture.height());
    if longer <= SIDE {
        return picture;
    }
    let roughly = match longer > ROUGHLY * SIDE {
        true => picture.thumbnail(SIDE * 2, SIDE * 2),
        false => picture,
    };
    roughly.resize(SIDE, SIDE, FilterType::CatmullRom)
}

fn encoded(picture: &DynamicImage, profile: Option<Vec<u8>>) -> Result<Scaled, Unscalable> {
    let (width, height) = (picture.width(), picture.height());
    let see_through = picture
        .color()
        .has_alpha()
        .then(|| picture.to_rgba8())
        .filter(|all| all.pixels().any(|point| point.0[3] < 255));
    let mut bytes = Vec::new();
    let content_type = match see_through {
        Some(points) => {
            let mut encoder = PngEncoder::new(&mut bytes);
            // Where the encoder takes no profile, the colours are those of most screens.
            profile.into_iter().for_each(|profile| drop(encoder.set_icc_profile(profile)));
            encoder.write_image(&points, width, height, image::ExtendedColorType::Rgba8)?;
            PNG
        }
        None => {
            let mut encoder = JpegEncoder::new_with_quality(&mut bytes, QUALITY);
            profile.into_iter().for_each(|profile| drop(encoder.set_icc_profile(profile)));
            encoder.write_image(&picture.to_rgb8(), width, height, image::ExtendedColorType::Rgb8)?;
            JPEG
        }
    };
    Ok(Scaled { content_type, bytes })
}

#[cfg(test)]
mod tests;
