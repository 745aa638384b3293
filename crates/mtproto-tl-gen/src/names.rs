//! Rust names for TL names.

use std::collections::HashSet;

/// `server_DH_params_ok` becomes `ServerDhParamsOk`, `RSAPublicKey` becomes `RsaPublicKey`.
pub(crate) fn camel_case(name: &str) -> String {
    let name: String = words(name).iter().map(|word| capitalised(word)).collect();
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) { name } else { format!("X{name}") }
}

/// `fooBar` becomes `foo_bar`; a keyword is escaped.
pub(crate) fn field_name(name: &str) -> String {
    let name = words(name).join("_");
    match name.as_str() {
        // These cannot be raw identifiers.
        "self" | "super" | "crate" => format!("{name}_"),
        keyword if KEYWORDS.contains(&keyword) => format!("r#{name}"),
        _ if name.starts_with(|c: char| c.is_ascii_alphabetic()) => name,
        _ => format!("x{name}"),
    }
}

/// A namespace as a module's name.
pub(crate) fn module_name(namespace: &str) -> String {
    let name = words(namespace).join("_");
    if KEYWORDS.contains(&name.as_str()) || RESERVED_MODULES.contains(&name.as_str()) {
        format!("{name}_")
    } else {
        name
    }
}

/// A TL name as namespace and last part: `help.getConfig` is `help` and `getConfig`.
pub(crate) fn split(name: &str) -> (&str, &str) {
    name.rsplit_once('.').unwrap_or(("", name))
}

/// Names already taken in one scope.
#[derive(Clone, Debug, Default)]
pub(crate) struct Taken(HashSet<String>);

impl Taken {
    /// The scope of a module of types, where some names are already in use.
    pub(crate) fn types() -> Self {
        Self(RESERVED_TYPES.iter().map(|&name| name.to_owned()).collect())
    }

    /// Takes `name`, or the first of `name2`, `name3` … that is free.
    pub(crate) fn take(&mut self, name: &str) -> String {
        let mut free = name.to_owned();
        let mut number = 1;
        while !self.0.insert(free.clone()) {
            number += 1;
            free = format!("{name}{number}");
        }
        free
    }
}

/// The lower-case words of a name in any of the styles TL knows.
fn words(name: &str) -> Vec<String> {
    let chars: Vec<char> = name.chars().collect();
    let mut words = vec![String::new()];
    for (index, &c) in chars.iter().enumerate() {
        if !c.is_ascii_alphanumeric() {
            words.push(String::new());
            continue;
        }
        let before = index.checked_sub(1).and_then(|index| chars.get(index));
        let after = chars.get(index + 1);
        let begins = c.is_ascii_uppercase()
            && before.is_some_and(|before| {
                !before.is_ascii_uppercase() || after.is_some_and(char::is_ascii_lowercase)
            });
        if begins {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(c.to_ascii_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars).collect()
}

const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let",
    "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return",
    "static", "struct", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use",
    "virtual", "where", "while", "yield",
];

/// What every generated module has in scope under these names.
const RESERVED_MODULES: &[&str] = &[
    "core",
    "crate",
    "enums",
    "functions",
    "mtproto_tl",
    "self",
    "std",
    "super",
    "types",
    "views",
];

/// What generated code refers to without a path.
const RESERVED_TYPES: &[&str] = &[
    "AuthKeyId",
    "Box",
    "Bytes",
    "Constructor",
    "Decode",
    "DecodeError",
    "Encode",
    "Err",
    "From",
    "Function",
    "Items",
    "MsgId",
    "None",
    "Ok",
    "Option",
    "Raw",
    "Reader",
    "Result",
    "Salt",
    "Self",
    "Seqno",
    "SessionId",
    "Some",
    "String",
    "Vec",
    "View",
];
