//! Case 31: images that say they are large, or are.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dede_testing::fixtures;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde_json::json;

use crate::server::Server;

fn chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(kind);
    crc.update(content);
    [&(content.len() as u32).to_be_bytes(), kind.as_slice(), content, &crc.sum().to_be_bytes()].concat()
}

fn deflated(length: usize) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    let zeros = vec![0; 1 << 20];
    for _ in 0..length >> 20 {
        encoder.write_all(&zeros).unwrap();
    }
    encoder.finish().unwrap()
}

/// The content of a PNG of one black pixel.
fn pixel() -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&[0, 0]).unwrap();
    encoder.finish().unwrap()
}

/// A grey PNG that declares a size, with further chunks before the pixels.
fn png(width: u32, height: u32, further: &[u8], pixels: &[u8]) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 0, 0, 0, 0]].concat();
    [b"\x89PNG\r\n\x1a\n", &chunk(b"IHDR", &header)[..], further, &chunk(b"IDAT", pixels), &chunk(b"IEND", b"")]
        .concat()
}

/// Images of a few bytes, up to some MB, that would take gigabytes.
fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let text = [b"k\0\0".as_slice(), &deflated(1 << 30)].concat();
    let profile = [b"p\0\0".as_slice(), &deflated(1 << 30)].concat();
    let bmp = [
        b"BM".as_slice(),
        &[0; 8],
        &54u32.to_le_bytes(),
        &40u32.to_le_bytes(),
        &100_000u32.to_le_bytes(),
        &100_000u32.to_le_bytes(),
        &1u16.to_le_bytes(),
        &24u16.to_le_bytes(),
        &[0; 24],
    ]
    .concat();
    let gif = [
        b"GIF89a".as_slice(),
        &[0xff, 0xff, 0xff, 0xff, 0x80, 0, 0],
        &[0; 6],
        b",",
        &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0],
        &[2, 2, 0x4c, 1, 0, b';'],
    ]
    .concat();
    let jpeg = [
        &[0xff, 0xd8, 0xff, 0xc0, 0, 17, 8][..],
        &[0xff, 0xff, 0xff, 0xff, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0, 0xff, 0xd9],
    ]
    .concat();
    vec![
        ("100,000 x 100,000 in a header", png(100_000, 100_000, b"", &deflated(0))),
        ("2^31 - 1 square", png(0x7fff_ffff, 0x7fff_ffff, b"", &deflated(0))),
        ("a compressed text of 1 GiB", png(1, 1, &chunk(b"zTXt", &text), &pixel())),
        ("a colour profile of 1 GiB", png(1, 1, &chunk(b"iCCP", &profile), &pixel())),
        ("a pixel that inflates to 1 GiB", png(1, 1, b"", &deflated(1 << 30))),
        ("bmp", bmp),
        ("gif", gif),
        ("jpeg", jpeg),
    ]
}

#[test]
fn image_bombs_are_refused_within_the_memory_of_an_image() {
    let server = Server::start(&["--max-image", "10"]);
    let repository = fixtures::copy_model("imgconv", server.path()).unwrap();
    let (status, answer) = server.put(
        "/services/img",
        &json!({"mllib": "caffe", "parameters": {"input": {"connector": "image"}}, "model": {"repository": repository}}),
    );
    assert_eq!(status, 201, "{answer}");
    let before = server.peak_kb();
    for (name, bomb) in bombs() {
        assert!(bomb.len() < 8 << 20, "{name}");
        let data = STANDARD.encode(bomb);
        let (status, answer) = server.post("/predict", &json!({"service": "img", "data": [data]}));
        // A text or a profile may be skipped, then the pixel beside it is an image.
        let is_beside_a_pixel = name.contains("text") || name.contains("profile") || name.contains("pixel");
        assert!(status == 400 || (status == 200 && is_beside_a_pixel), "{name}: {answer}");
        let grown = server.peak_kb().saturating_sub(before);
        assert!(grown < 256 << 10, "{name}: {grown} kB more");
    }
    assert_eq!(server.get("/info").0, 200);
}
