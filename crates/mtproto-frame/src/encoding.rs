//! Texts of bytes: hex and both kinds of base64.

/// Reads pairs of hex digits.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let pairs = digits.chunks_exact(2).filter_map(<[u8]>::first_chunk);
    pairs.map(|[high, low]| Some(hex_digit(*high)? << 4 | hex_digit(*low)?)).collect()
}

/// Reads base64 in the alphabet of links (`-_`), with or without `=` at the end.
pub(crate) fn from_base64url(text: &str) -> Option<Vec<u8>> {
    from_base64(text, *b"-_")
}

/// Reads base64 in the usual alphabet (`+/`), with or without `=` at the end.
pub(crate) fn from_base64std(text: &str) -> Option<Vec<u8>> {
    from_base64(text, *b"+/")
}

/// Writes base64 in the alphabet of links, without `=` at the end.
pub(crate) fn to_base64url(bytes: &[u8]) -> String {
    let digit = |value: u32| match u8::try_from(value & 0x3f).unwrap_or_default() {
        value @ 0..26 => b'A' + value,
        value @ 26..52 => b'a' + (value - 26),
        value @ 52..62 => b'0' + (value - 52),
        62 => b'-',
        _ => b'_',
    };
    let groups = bytes.chunks(3).flat_map(|group| {
        let word = group.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
        let word = word << (8 * (3 - group.len()));
        [18, 12, 6, 0].into_iter().map(move |shift| word >> shift).take(group.len() + 1)
    });
    groups.map(|value| char::from(digit(value))).collect()
}

/// `last` are the digits for 62 and 63.
fn from_base64(text: &str, last: [u8; 2]) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    digits.chunks(4).try_fold(Vec::new(), |mut bytes, group| {
        let word = group
            .iter()
            .try_fold(0_u32, |word, digit| Some(word << 6 | base64_digit(*digit, last)?))?;
        let [_, a, b, c] = (word << (6 * (4 - group.len()))).to_be_bytes();
        match group.len() {
            4 => bytes.extend([a, b, c]),
            3 => bytes.extend([a, b]),
            2 => bytes.push(a),
            // Six bits are no byte.
            _ => return None,
        }
        Some(bytes)
    })
}

fn hex_digit(digit: u8) -> Option<u8> {
    u8::try_from(char::from(digit).to_digit(16)?).ok()
}

fn base64_digit(digit: u8, last: [u8; 2]) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        _ if digit == last[0] => 62,
        _ if digit == last[1] => 63,
        _ => return None,
    };
    Some(value.into())
}
