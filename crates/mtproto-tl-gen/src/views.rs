//! The view of one constructor as Rust text: it borrows where the struct owns.

use crate::emit::Scope;
use crate::error::{Error, ErrorKind};
use crate::items::derives;
use crate::model::{Presence, Slot, Struct, Wire};

/// The view of `it`, and how it is read.
pub(crate) fn view_items(it: &Struct, scope: &mut Scope<'_>) -> Result<Vec<String>, Error> {
    let no_view = || Error { at: it.at, kind: ErrorKind::NoView(it.path.ident.clone()) };
    let mut fields = String::new();
    let mut reads = String::new();
    for slot in &it.slots {
        let Slot::Field(field) = slot else { return Err(no_view()) };
        if field.presence != Presence::Always || it.is_secret {
            return Err(no_view());
        }
        let (ty, read) = borrowed(&field.wire, scope).ok_or_else(no_view)?;
        fields.push_str(&format!("pub {}: {ty},\n", field.ident));
        reads.push_str(&format!("{}: {read}(input)?,\n", field.ident));
    }
    if !fields.contains("'a") {
        return Err(no_view());
    }
    for name in ["Constructor", "DecodeError", "Reader", "View"] {
        scope.import(name);
    }
    let (name, owned) = (&it.path.ident, scope.item(&it.path));
    let derives = derives(&[("Clone", true), ("Copy", true), ("Debug", true), ("Eq", it.has_eq)]);
    Ok(vec![
        format!("/// `{}`\n#[derive({derives})]\npub struct {name}<'a> {{ {fields} }}", it.text),
        format!(
            "impl<'a> View<'a> for {name}<'a> {{
                fn view(input: &mut Reader<'a>) -> Result<Self, DecodeError> {{
                    input.constructor({owned}::ID)?;
                    Ok(Self {{ {reads} }})
                }}
            }}"
        ),
    ])
}

/// The type of a value that stays where it lies, and what reads one; `None` where there is none.
fn borrowed(wire: &Wire, scope: &mut Scope<'_>) -> Option<(String, &'static str)> {
    match wire {
        Wire::Leaf { path, .. } => {
            let ty = match path.as_str() {
                "String" => "&'a str".to_owned(),
                "mtproto_tl::bytes::Bytes" => "&'a [u8]".to_owned(),
                _ => scope.rust_type(wire),
            };
            Some((ty, "View::view"))
        }
        Wire::Vector { is_boxed, item } if is_fixed(item) => {
            scope.import("Items");
            let ty = format!("Items<'a, {}>", scope.rust_type(item));
            Some((ty, if *is_boxed { "View::view" } else { "Items::bare" }))
        }
        _ => None,
    }
}

/// Whether every value of it takes the same number of bytes.
fn is_fixed(wire: &Wire) -> bool {
    match wire {
        Wire::Leaf { path, .. } => {
            !matches!(path.as_str(), "String" | "bool" | "mtproto_tl::bytes::Bytes")
        }
        _ => false,
    }
}
