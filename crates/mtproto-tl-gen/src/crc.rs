//! Constructor numbers: the CRC-32 of a declaration's text.

/// The number that a declaration's text gives. `text` has single spaces; the number after the name
/// and the `;` may be there or not.
#[must_use]
pub fn constructor_id(text: &str) -> u32 {
    crc32fast::hash(canonical(text, true).as_bytes())
}

/// The same, but with `bytes` left as it is: TON's schemas count it so.
pub(crate) fn constructor_id_with_bytes(text: &str) -> u32 {
    crc32fast::hash(canonical(text, false).as_bytes())
}

/// The text that is hashed. Historically `bytes` was called `string`, and a flag without a value
/// was no field; both still count so, but not inside a vector's brackets.
fn canonical(text: &str, bytes_is_string: bool) -> String {
    let text = text.trim_end_matches(';');
    let mut words = text.split_whitespace();
    let name = words.next().unwrap_or_default();
    let name = name.split_once('#').map_or(name, |(name, _)| name);
    let mut canonical = name.to_owned();
    for word in words.filter(|word| !is_bare_flag(word)) {
        canonical.push(' ');
        match word.strip_suffix("bytes") {
            Some(head) if bytes_is_string && head.ends_with([':', '?']) => {
                canonical.push_str(head);
                canonical.push_str("string");
            }
            _ => canonical.push_str(word),
        }
    }
    let spaced = canonical.replace(['<', ','], " ").replace(['>', '{', '}', '(', ')'], "");
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a word is `name:flags.3?true`.
fn is_bare_flag(word: &str) -> bool {
    word.split_once(':')
        .and_then(|(_, ty)| ty.strip_suffix("?true"))
        .is_some_and(|condition| condition.contains('.'))
}
