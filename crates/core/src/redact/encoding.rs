//! The encodings that values hide in, one unit at a time.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Base64 without regard to padding and to the bits that a cut leaves over.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// What an encoded unit stands for.
pub(super) enum Unit {
    Byte(u8),
    Char(char),
}

/// A unit and how many bytes of the text it took; `None` where the text begins with nothing encoded.
pub(super) type Decoded = Option<(usize, Unit)>;

/// `%41`.
pub(super) fn percent(text: &[u8]) -> Decoded {
    let [b'%', digits @ ..] = text else { return None };
    Some((3, Unit::Byte(hex_byte(digits)?)))
}

/// `%41`, and `+` for a space.
pub(super) fn form(text: &[u8]) -> Decoded {
    match text {
        [b'+', ..] => Some((1, Unit::Byte(b' '))),
        _ => percent(text),
    }
}

/// The backslash escapes of JSON, Go, Rust, C and shells. A backslash before anything else stands for that.
pub(super) fn backslash(text: &[u8]) -> Decoded {
    let [b'\\', kind, rest @ ..] = text else {
        return None;
    };
    let special = match kind {
        b'u' => unicode(rest),
        b'U' => Some((8, Unit::Char(char::from_u32(number(rest.get(..8)?, 16)?)?))),
        b'x' => hex_byte(rest).map(|byte| (2, Unit::Byte(byte))),
        b'0'..=b'3' => octal(&text[1..]),
        _ => None,
    };
    match special {
        Some((length, unit)) => Some((2 + length, unit)),
        None => Some((2, Unit::Byte(control(*kind)))),
    }
}

/// The byte that a letter after a backslash stands for, or the letter itself.
fn control(letter: u8) -> u8 {
    match letter {
        b'0' => 0,
        b'a' => 7,
        b'b' => 8,
        b't' => b'\t',
        b'n' => b'\n',
        b'v' => 11,
        b'f' => 12,
        b'r' => b'\r',
        other => other,
    }
}

/// What follows `\u`: `{1f600}`, four digits, or the two halves of a surrogate pair.
fn unicode(text: &[u8]) -> Decoded {
    if let [b'{', rest @ ..] = text {
        let end = rest.iter().take(8).position(|&byte| byte == b'}')?;
        return Some((end + 2, Unit::Char(char::from_u32(number(&rest[..end], 16)?)?)));
    }
    let first = number(text.get(..4)?, 16)?;
    if let Some(c) = char::from_u32(first) {
        return Some((4, Unit::Char(c)));
    }
    let [b'\\', b'u', rest @ ..] = text.get(4..)? else {
        return None;
    };
    let second = number(rest.get(..4)?, 16)?;
    let halves = [u16::try_from(first).ok()?, u16::try_from(second).ok()?];
    let c = char::decode_utf16(halves).next()?.ok()?;
    Some((10, Unit::Char(c)))
}

/// What follows a backslash as three octal digits; the first of them counts as the kind.
fn octal(text: &[u8]) -> Decoded {
    let value = number(text.get(..3)?, 8)?;
    Some((2, Unit::Byte(u8::try_from(value).ok()?)))
}

/// `&amp;`, `&#34;` and `&#x22;`.
pub(super) fn entity(text: &[u8]) -> Decoded {
    let [b'&', rest @ ..] = text else { return None };
    let end = rest.iter().take(9).position(|&byte| byte == b';')?;
    let c = match &rest[..end] {
        b"amp" => '&',
        b"lt" => '<',
        b"gt" => '>',
        b"quot" => '"',
        b"apos" => '\'',
        [b'#', b'x' | b'X', digits @ ..] => char::from_u32(number(digits, 16)?)?,
        [b'#', digits @ ..] => char::from_u32(number(digits, 10)?)?,
        _ => return None,
    };
    Some((end + 2, Unit::Char(c)))
}

/// The byte of two hex digits.
pub(super) fn hex_byte(text: &[u8]) -> Option<u8> {
    u8::try_from(number(text.get(..2)?, 16)?).ok()
}

fn number(digits: &[u8], radix: u32) -> Option<u32> {
    let digits = std::str::from_utf8(digits)
        .ok()
        .filter(|digits| !digits.starts_with('+'))?;
    u32::from_str_radix(digits, radix).ok()
}

/// A character of base64 in the standard or the URL-safe alphabet, without the padding.
pub(super) fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

/// What characters of base64 stand for, when bytes begin with the first of them. Both alphabets are read,
/// even mixed; a last character that alone makes no byte is ignored.
pub(super) fn base64(text: &[u8]) -> Vec<u8> {
    let usable = if text.len() % 4 == 1 {
        text.len() - 1
    } else {
        text.len()
    };
    let standard: Vec<u8> = text[..usable].iter().map(|&byte| standard_letter(byte)).collect();
    LENIENT.decode(standard).unwrap_or_default()
}

fn standard_letter(byte: u8) -> u8 {
    match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => other,
    }
}
