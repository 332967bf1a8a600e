//! Equality with OpenCV, on files and pixels that `tests/fixtures/images/make_images.py` wrote.

use std::path::PathBuf;

use dede_model::request_memory::{MemoryShare, RequestMemory};
use proptest::prelude::*;

use super::*;
use crate::image::colour::swap_red_and_blue;

const LIMIT: u64 = 1_000_000;

fn file(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/images").join(name);
    std::fs::read(&path).expect("a fixture")
}

fn decoded(bytes: &[u8], mode: Mode, most_pixels: u64) -> Result<Decoded, String> {
    let memory = MemoryShare::unbounded();
    decode(bytes, mode, &mut Room::new(most_pixels, &memory), Vec::new()).map_err(|undecoded| match undecoded {
        Undecoded::Unreadable(reason) => reason,
        Undecoded::Memory(error) => error.to_string(),
    })
}

/// Width, height, channels, and values with blue first.
fn blue_first(decoded: Decoded) -> (usize, usize, usize, Vec<u16>) {
    fn values<T: Copy + Into<u16>>(mut raster: Raster<T>, order: Order) -> (usize, usize, usize, Vec<u16>) {
        if raster.channels >= 3 && order == Order::RedFirst {
            swap_red_and_blue(&mut raster.values, raster.channels);
        }
        let values = raster.values.iter().map(|value| (*value).into()).collect();
        (raster.width, raster.height, raster.channels, values)
    }
    match decoded.pixels {
        Pixels::U8(raster) => values(raster, decoded.order),
        Pixels::U16(raster) => values(raster, decoded.order),
    }
}

/// Levels by which a value may differ from OpenCV's: none, but for the pure-Rust JPEG decoder.
fn tolerance(name: &str) -> u16 {
    match (name, cfg!(feature = "turbojpeg")) {
        (name, true) if is_jpeg_in_tiff(name) => 1,
        (name, false) if is_jpeg_in_tiff(name) => 5,
        (_, true) => 0,
        ("cmyk.jpg", false) => 3,
        (name, false) if name.ends_with(".jpg") => 5,
        _ => 0,
    }
}

fn is_jpeg_in_tiff(name: &str) -> bool {
    name.ends_with("jpeg.tiff") || name.ends_with("jpeg420.tiff")
}

#[test]
fn pixels_equal_those_of_opencv() {
    let cases = include_str!("../../../tests/fixtures/images/decoded.tsv");
    let pixels = include_bytes!("../../../tests/fixtures/images/decoded.bin");
    compare("", cases, pixels);
}

/// JPEG files with bytes between their segments, or segments that contradict each other; TIFF files of many kinds; PNG files with gamma.
#[test]
fn pixels_of_unusual_files_equal_those_of_opencv() {
    let cases = include_str!("../../../tests/fixtures/images/unusual/decoded.tsv");
    let pixels = include_bytes!("../../../tests/fixtures/images/unusual/decoded.bin");
    compare("unusual/", cases, pixels);
}

fn compare(directory: &str, cases: &str, pixels: &[u8]) {
    let mut wrong = Vec::new();
    for line in cases.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split('\t').collect();
        let number = |at: usize| fields[at].parse::<usize>().expect("a number");
        let (width, height, channels, depth, offset) = (number(2), number(3), number(4), number(5), number(6));
        let mode = match fields[1] {
            "colour" => Mode::Colour,
            "grey" => Mode::Grey,
            _ => Mode::Unchanged,
        };
        let decoded = match decoded(&file(&format!("{directory}{}", fields[0])), mode, LIMIT) {
            Ok(decoded) => decoded,
            // libjpeg-turbo names what it found between the last scan and the end, and its binding takes that for a failure.
            Err(refused) if cfg!(feature = "turbojpeg") && fields[0] == "stray_end.jpg" => {
                assert!(format!("{refused:?}").contains("extraneous bytes before marker 0xd9"), "{refused:?}");
                continue;
            }
            Err(refused) => {
                wrong.push(format!("{line}: {refused}"));
                continue;
            }
        };
        let deep = matches!(decoded.pixels, Pixels::U16(_));
        let (found_width, found_height, found_channels, values) = blue_first(decoded);
        if (found_width, found_height, found_channels, deep) != (width, height, channels, depth == 16) {
            wrong.push(format!("{line}: found {found_width}x{found_height}x{found_channels}"));
            continue;
        }
        let bytes = &pixels[offset..][..width * height * channels * depth / 8];
        let expected = bytes.chunks_exact(depth / 8).map(|bytes| match bytes {
            [low, high] => u16::from_le_bytes([*low, *high]),
            _ => bytes[0].into(),
        });
        let most = values.iter().zip(expected).map(|(found, expected)| found.abs_diff(expected)).max();
        if most > Some(tolerance(fields[0])) {
            wrong.push(format!("{line}: differs by {most:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Little-endian EXIF data with an orientation of 6 as LONG.
const TURNED: &[u8] = b"II*\0\x08\0\0\0\x01\0\x12\x01\x04\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
/// The same without an entry.
const PLAIN: &[u8] = b"II*\0\x08\0\0\0\0\0\0\0\0\0";

fn with_segments(exif: &[&[u8]]) -> Vec<u8> {
    let jpeg = file("rgb444.jpg");
    let segment = |exif: &&[u8]| [&[0xff, 0xe1, 0, 8 + exif.len() as u8][..], b"Exif\0\0", exif].concat();
    [&jpeg[..2], &exif.iter().flat_map(segment).collect::<Vec<u8>>(), &jpeg[2..]].concat()
}

fn with_chunks(exif: &[&[u8]]) -> Vec<u8> {
    const HEADER_END: usize = 33;
    let png = file("rgb.png");
    let chunk = |exif: &&[u8]| {
        let content = [b"eXIf", *exif].concat();
        [&(exif.len() as u32).to_be_bytes()[..], &content, &png_crc(&content).to_be_bytes()].concat()
    };
    [&png[..HEADER_END], &exif.iter().flat_map(chunk).collect::<Vec<u8>>(), &png[HEADER_END..]].concat()
}

fn webp_with(flags: u8, exif: &[u8]) -> Vec<u8> {
    let webp = file("rgb.webp");
    let (width, height) = (size_of_fixture().0 as u8, size_of_fixture().1 as u8);
    let head = [b"WEBPVP8X\x0a\0\0\0", &[flags, 0, 0, 0, width - 1, 0, 0, height - 1, 0, 0][..]].concat();
    let body = [&head, &webp[12..], b"EXIF", &(exif.len() as u32).to_le_bytes(), exif].concat();
    [b"RIFF", &(body.len() as u32).to_le_bytes()[..], &body].concat()
}

/// Width and height of the fixtures that are called `rgb`.
fn size_of_fixture() -> (usize, usize) {
    let (width, height, ..) = blue_first(decoded(&file("rgb.png"), Mode::Colour, LIMIT).expect("a PNG"));
    (width, height)
}

/// As OpenCV 5.0.0 reads them: each segment of a JPEG counts; of a PNG the first chunk that libpng takes, of a WebP the declared one.
#[test]
fn orientations_are_found_where_opencv_finds_them() {
    let (width, height) = size_of_fixture();
    for (name, bytes, is_turned) in [
        ("a segment", with_segments(&[TURNED]), true),
        ("the second segment", with_segments(&[PLAIN, TURNED]), true),
        ("a segment after one that is cut off", with_segments(&[b"II", TURNED]), true),
        ("a chunk", with_chunks(&[TURNED]), true),
        ("a chunk after one that libpng leaves out", with_chunks(&[b"XX", TURNED]), true),
        ("the second chunk", with_chunks(&[PLAIN, TURNED]), false),
        ("a chunk with the head of a segment", with_chunks(&[&[b"Exif\0\0", TURNED].concat()]), false),
        ("a WebP", webp_with(8, TURNED), true),
        ("a WebP that declares none", webp_with(0, TURNED), false),
    ] {
        let image = decoded(&bytes, Mode::Colour, LIMIT).unwrap_or_else(|refused| panic!("{name}: {refused}"));
        let (found_width, found_height, ..) = blue_first(image);
        let expected = if is_turned { (height, width) } else { (width, height) };
        assert_eq!((found_width, found_height), expected, "{name}");
    }
}

#[test]
fn the_first_frame_of_a_gif_is_read() {
    let decoded = decoded(&file("two_frames.gif"), Mode::Colour, LIMIT).expect("a GIF");
    let (width, height, channels, values) = blue_first(decoded);
    assert_eq!((width, height, channels), (5, 4, 3));
    assert!(values.chunks(3).all(|pixel| pixel[2] > 150 && pixel[0] < 50), "{values:?}");
}

#[test]
fn declared_sizes_are_checked_before_anything_is_allocated() {
    let mut png = file("rgb.png");
    png.truncate(65);
    png[16..24].copy_from_slice(&[0, 1, 0x86, 0xa0, 0, 1, 0x86, 0xa0]);
    let crc = png_crc(&png[12..29]);
    png[29..33].copy_from_slice(&crc.to_be_bytes());
    let refused = decoded(&png, Mode::Colour, 100_000_000).expect_err("10 gigapixels");
    assert!(refused.contains("100000x100000"), "{refused}");

    for name in [
        "rgb.png",
        "rgb.bmp",
        "two_frames.gif",
        "rgb.webp",
        "rgb.tiff",
        "rgb444.jpg",
        "unusual/palette8.tiff",
        "unusual/stray_fill.jpg",
    ] {
        let refused = decoded(&file(name), Mode::Colour, 19).expect_err(name);
        assert!(refused.contains("expected from 1 to 19"), "{name}: {refused}");
    }
}

/// The checksum of a PNG chunk (ISO/IEC 15948, annex D).
fn png_crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    };
    !bytes.iter().fold(u32::MAX, step)
}

#[test]
fn truncated_files_are_refused() {
    // The first frame of the GIF ends with its first half.
    let gif = ("two_frames.gif", &[2][..]);
    let others = [
        "rgb.png",
        "rgb.bmp",
        "rgb.webp",
        "rgb.tiff",
        "rgb444.jpg",
        "progressive.jpg",
        "unusual/stray_bytes.jpg",
        "unusual/stray_progressive.jpg",
        "unusual/palette8.tiff",
        "unusual/palette_tiff_lzw.tiff",
    ];
    for (name, shares) in others.map(|name| (name, &[2, 3, 4, 9][..])).into_iter().chain([gif]) {
        let whole = file(name);
        for share in shares {
            let cut = &whole[..whole.len() - whole.len() / share];
            assert!(decoded(cut, Mode::Colour, LIMIT).is_err(), "{name} cut to {} bytes", cut.len());
        }
    }
}

#[test]
fn what_is_beside_the_pixels_is_bounded_and_counts() {
    let mut gif = file("two_frames.gif");
    let frame = gif.windows(2).position(|bytes| bytes == [0x2c, 0]).expect("a frame");
    gif[frame + 5..frame + 9].copy_from_slice(&[0xff, 0x3f, 0xff, 0x3f]);
    let refused = decoded(&gif, Mode::Colour, LIMIT).expect_err("a frame of 268 megapixels in an image of 20 pixels");
    assert_eq!(refused, "Gif: its first frame has more pixels than the image, which declares 5x4");

    let memory = RequestMemory::new(1 << 20);
    let share = memory.share();
    // Texts and profiles of such a file may take more.
    let refused = decode(&file("rgb.png"), Mode::Colour, &mut Room::new(LIMIT, &share), Vec::new());
    assert!(matches!(refused, Err(Undecoded::Memory(_))), "{refused:?}");
}

#[test]
fn other_content_is_refused_by_name() {
    for bytes in [&b""[..], b"GIF", b"<svg/>", b"\xff\xd8\xff", b"%PDF-1.7", b"BM"] {
        assert!(decoded(bytes, Mode::Colour, LIMIT).is_err(), "{bytes:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), magic in 0usize..8) {
        let magics: [&[u8]; 8] =
            [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF89a", b"RIFF\0\x01\0\0WEBP", b"II*\0", b"MM\0*", b""];
        let bytes = [magics[magic], &bytes].concat();
        let _ = decode_upright(&bytes, Mode::Colour, &mut Room::new(LIMIT, &MemoryShare::unbounded()), Vec::new());
    }

    #[test]
    fn no_damage_makes_it_panic(name in 0usize..21, at in any::<prop::sample::Index>(), byte in any::<u8>(),
                                cut in any::<prop::sample::Index>(), mode in 0usize..3) {
        let names = ["rgb420.jpg", "progressive.jpg", "cmyk.jpg", "orientation6.jpg", "palette.png", "rgb16.png",
                     "rgb.bmp", "two_frames.gif", "rgba.webp", "lzw.tiff", "unusual/stray_lone.jpg",
                     "unusual/stray_progressive.jpg", "unusual/palette4.tiff", "unusual/palette_big_last.tiff", "unusual/fill_order16.tiff",
                     "unusual/tiles_jpeg.tiff", "unusual/rgb_jpeg.tiff", "unusual/alpha_unassociated16.tiff", "unusual/gamma16.png",
                     "unusual/orientation_last.png", "unusual/tiles_lzw_slopes.tiff"];
        let mut bytes = file(names[name]);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let cut = cut.index(2 * bytes.len()).max(1);
        bytes.truncate(cut);
        let _ = decode_upright(&bytes, [Mode::Colour, Mode::Grey, Mode::Unchanged][mode], &mut Room::new(LIMIT, &MemoryShare::unbounded()), Vec::new());
    }
}
