//! The items of one declaration as Rust text; layout is the formatter's.

use crate::emit::Scope;
use crate::layout::wire_len_min;
use crate::model::{Bit, Enum, Field, Presence, Response, Slot, Struct, Wire};

/// A struct and its implementations.
pub(crate) fn struct_items(it: &Struct, scope: &mut Scope<'_>) -> Vec<String> {
    let mut items = vec![definition(it, scope)];
    if it.is_secret {
        items.push(silent_debug(it));
    }
    items.push(constructor(it, scope));
    if let Some(response) = &it.response {
        items.push(function(it, response, scope));
    }
    items
}

fn definition(it: &Struct, scope: &mut Scope<'_>) -> String {
    let derives = derives(&[("Clone", true), ("Debug", !it.is_secret), ("Eq", it.has_eq)]);
    let name = format!("{}{}", it.path.ident, generics(it, ""));
    let docs = format!("/// `{}`\n{}", it.text, shared_bits_doc(it));
    let fields: String = it
        .fields()
        .map(|field| format!("pub {}: {},\n", field.ident, field_type(field, scope)))
        .collect();
    match fields.as_str() {
        "" => format!("{docs}#[derive({derives})]\npub struct {name};"),
        _ => format!("{docs}#[derive({derives})]\npub struct {name} {{ {fields} }}"),
    }
}

/// Those that are wanted of `traits`, and `PartialEq`.
pub(crate) fn derives(traits: &[(&'static str, bool)]) -> String {
    let wanted = traits.iter().filter(|(_, wanted)| *wanted).map(|(name, _)| *name);
    wanted.chain(["PartialEq"]).collect::<Vec<_>>().join(", ")
}

/// Says which fields come and go together.
fn shared_bits_doc(it: &Struct) -> String {
    let mut doc = String::new();
    let mut seen: Vec<&Bit> = Vec::new();
    for bit in it.fields().filter_map(|field| field.presence.bit()) {
        if is_shared(it, bit) && !seen.contains(&bit) {
            seen.push(bit);
            let names = it.fields().filter(|field| field.presence.bit() == Some(bit));
            let names: Vec<String> = names.map(|field| format!("`{}`", field.ident)).collect();
            let (word, number) = (&bit.word, bit.number);
            doc.push_str(&format!(
                "///\n/// One bit, `{word}.{number}`, stands for {}: all are written, or none.\n",
                names.join(", ")
            ));
        }
    }
    doc
}

/// `<X: bound>`, or nothing.
fn generics(it: &Struct, bound: &str) -> String {
    if it.parameters.is_empty() {
        return String::new();
    }
    let bounded: Vec<String> = it.parameters.iter().map(|name| format!("{name}{bound}")).collect();
    format!("<{}>", bounded.join(", "))
}

fn field_type(field: &Field, scope: &mut Scope<'_>) -> String {
    let ty = scope.rust_type(&field.wire);
    let ty = if field.is_boxed { format!("Box<{ty}>") } else { ty };
    match field.presence {
        Presence::Always | Presence::Bit(_) => ty,
        Presence::If(_) => format!("Option<{ty}>"),
    }
}

fn silent_debug(it: &Struct) -> String {
    let name = &it.path.ident;
    format!(
        "impl{} std::fmt::Debug for {name}{} {{
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {{
                f.debug_struct(\"{name}\").finish_non_exhaustive()
            }}
        }}",
        generics(it, ""),
        generics(it, ""),
    )
}

fn constructor(it: &Struct, scope: &mut Scope<'_>) -> String {
    for name in ["Constructor", "DecodeError", "Reader"] {
        scope.import(name);
    }
    if !it.parameters.is_empty() {
        scope.import("Decode");
        scope.import("Encode");
    }
    let is_empty = it.slots.is_empty();
    let (out, input) = if is_empty { ("_", "_") } else { ("out", "input") };
    format!(
        "impl{} Constructor for {}{} {{
            const ID: u32 = {};
            const BARE_LEN_MIN: usize = {};

            fn encode_bare(&self, {out}: &mut Vec<u8>) {{
                {}
            }}

            fn decode_bare({input}: &mut Reader<'_>) -> Result<Self, DecodeError> {{
                {}
            }}
        }}",
        generics(it, ": Encode + Decode"),
        it.path.ident,
        generics(it, ""),
        hex(it.id),
        it.len_min,
        encoder(it, scope),
        decoder(it, scope),
    )
}

/// `0x1cb5_c415`
fn hex(id: u32) -> String {
    format!("0x{:04x}_{:04x}", id >> 16, id & 0xffff)
}

fn function(it: &Struct, response: &Response, scope: &mut Scope<'_>) -> String {
    scope.import("Function");
    let response = match response {
        Response::OfParameter(parameter) => format!("{parameter}::Response"),
        Response::Value(wire) => scope.rust_type(wire),
    };
    format!(
        "impl{} Function for {}{} {{ type Response = {response}; }}",
        generics(it, ": Function + Decode"),
        it.path.ident,
        generics(it, ""),
    )
}

fn encoder(it: &Struct, scope: &mut Scope<'_>) -> String {
    let mut body = String::new();
    for slot in &it.slots {
        match slot {
            Slot::Flags { ident } => {
                scope.import("Encode");
                let word = local(ident);
                body.push_str(&format!(
                    "let {word} = {};\n{word}.encode(out);\n",
                    word_of_flags(it, ident)
                ));
            }
            Slot::Field(field) => body.push_str(&encode_field(it, field, scope)),
        }
    }
    body
}

/// A word of flags, computed from the fields that it tells of.
fn word_of_flags(it: &Struct, word: &str) -> String {
    let mut bits: Vec<u32> = it
        .fields()
        .filter_map(|field| field.presence.bit())
        .filter(|bit| bit.word == word)
        .map(|bit| bit.number)
        .collect();
    bits.sort_unstable();
    bits.dedup();
    let terms: Vec<String> = bits
        .into_iter()
        .map(|number| {
            let all = it.fields().filter_map(|field| match &field.presence {
                Presence::Bit(bit) if bit.word == word && bit.number == number => {
                    Some(format!("self.{}", field.ident))
                }
                Presence::If(bit) if bit.word == word && bit.number == number => {
                    Some(format!("self.{}.is_some()", field.ident))
                }
                _ => None,
            });
            let all: Vec<String> = all.collect();
            match number {
                0 => format!("u32::from({})", all.join(" && ")),
                _ => format!("u32::from({}) << {number}", all.join(" && ")),
            }
        })
        .collect();
    terms.join(" | ")
}

/// Whether several fields hang on one bit.
fn is_shared(it: &Struct, bit: &Bit) -> bool {
    it.fields().filter(|field| field.presence.bit() == Some(bit)).count() > 1
}

fn encode_field(it: &Struct, field: &Field, scope: &mut Scope<'_>) -> String {
    let ident = &field.ident;
    match &field.presence {
        Presence::Always => {
            let value = format!("self.{ident}");
            encode_value(&field.wire, &value, &format!("&{value}"), scope)
        }
        Presence::Bit(_) => String::new(),
        Presence::If(bit) => {
            let write = encode_value(&field.wire, "value", "value", scope);
            let present = if is_shared(it, bit) {
                format!("let (Some(value), true) = (&self.{ident}, {})", is_set(bit))
            } else {
                format!("let Some(value) = &self.{ident}")
            };
            format!("if {present} {{ {write} }}\n")
        }
    }
}

fn is_set(bit: &Bit) -> String {
    let word = local(&bit.word);
    match bit.number {
        0 => format!("{word} & 1 != 0"),
        number => format!("{word} & (1 << {number}) != 0"),
    }
}

/// The statement that writes a value; `place` names it, `reference` borrows it.
fn encode_value(wire: &Wire, place: &str, reference: &str, scope: &mut Scope<'_>) -> String {
    match wire {
        Wire::Bare(_) => format!("{place}.encode_bare(out);\n"),
        Wire::Vector { is_boxed, item } if !wire.is_plain() => {
            let write = import_vector_encoder(*is_boxed, scope);
            format!("{write}({reference}, out, {});\n", encode_function(item, scope))
        }
        _ => {
            scope.import("Encode");
            format!("{place}.encode(out);\n")
        }
    }
}

/// What writes an item of a vector, as a function.
fn encode_function(wire: &Wire, scope: &mut Scope<'_>) -> String {
    match wire {
        Wire::Bare(_) => "Constructor::encode_bare".to_owned(),
        Wire::Vector { is_boxed, item } if !wire.is_plain() => {
            let write = import_vector_encoder(*is_boxed, scope);
            format!("|items, out| {write}(items, out, {})", encode_function(item, scope))
        }
        _ => {
            scope.import("Encode");
            "Encode::encode".to_owned()
        }
    }
}

fn import_vector_encoder(is_boxed: bool, scope: &mut Scope<'_>) -> &'static str {
    let name = if is_boxed { "encode_vector" } else { "encode_items" };
    scope.import(name);
    name
}

fn decoder(it: &Struct, scope: &mut Scope<'_>) -> String {
    if it.slots.is_empty() {
        return "Ok(Self)".to_owned();
    }
    // What stands before a word of flags has to be read before it, so it waits in a variable.
    let last_word = it.slots.iter().rposition(|slot| matches!(slot, Slot::Flags { .. }));
    let (early, late) = it.slots.split_at(last_word.map_or(0, |index| index + 1));
    let mut reads = String::new();
    let mut fields = String::new();
    for slot in early {
        match slot {
            Slot::Flags { ident } => {
                reads.push_str(&format!("let {} = input.u32()?;\n", local(ident)));
            }
            Slot::Field(field) => {
                let (ident, variable) = (&field.ident, local(&field.ident));
                reads.push_str(&format!("let {variable} = {};\n", decode_field(field, scope)));
                fields.push_str(&match variable == *ident {
                    true => format!("{ident},\n"),
                    false => format!("{ident}: {variable},\n"),
                });
            }
        }
    }
    for slot in late {
        if let Slot::Field(field) = slot {
            fields.push_str(&format!("{}: {},\n", field.ident, decode_field(field, scope)));
        }
    }
    format!("{reads} Ok(Self {{ {fields} }})")
}

fn decode_field(field: &Field, scope: &mut Scope<'_>) -> String {
    match &field.presence {
        Presence::Always if field.is_boxed => {
            format!("Box::new({}?)", decode_value(&field.wire, scope))
        }
        Presence::Always => format!("{}?", decode_value(&field.wire, scope)),
        Presence::Bit(bit) => is_set(bit),
        Presence::If(bit) => {
            let read = decode_function(&field.wire, scope);
            let boxed = if field.is_boxed { ".map(Box::new)" } else { "" };
            format!("input.optional({}, {}, {read})?{boxed}", local(&bit.word), bit.number)
        }
    }
}

/// The expression that reads a value.
fn decode_value(wire: &Wire, scope: &mut Scope<'_>) -> String {
    match wire {
        Wire::Bare(_) => "input.bare()".to_owned(),
        Wire::Vector { is_boxed, item } if !wire.is_plain() => {
            let read = if *is_boxed { "vector" } else { "items" };
            let len_min = wire_len_min(item, &scope.model.structs);
            format!("input.{read}({len_min}, {})", decode_function(item, scope))
        }
        _ => {
            scope.import("Decode");
            "Decode::decode(input)".to_owned()
        }
    }
}

/// What reads a value, as a function.
fn decode_function(wire: &Wire, scope: &mut Scope<'_>) -> String {
    match wire {
        Wire::Bare(_) => "Reader::bare".to_owned(),
        Wire::Vector { .. } if !wire.is_plain() => {
            format!("|input| {}", decode_value(wire, scope))
        }
        _ => {
            scope.import("Decode");
            "Decode::decode".to_owned()
        }
    }
}

/// A local variable for a field; these two names are taken by parameters.
fn local(ident: &str) -> String {
    match ident {
        "input" | "out" => format!("{ident}_"),
        _ => ident.to_owned(),
    }
}

/// An enum and its implementations.
pub(crate) fn enum_items(it: &Enum, scope: &mut Scope<'_>) -> Vec<String> {
    for name in ["Constructor", "Decode", "DecodeError", "Encode", "Reader"] {
        scope.import(name);
    }
    let name = &it.path.ident;
    let mut variants = String::new();
    let mut writers = String::new();
    let mut readers = String::new();
    let mut conversions = Vec::new();
    for variant in &it.variants {
        let constructor = &scope.model.structs[variant.constructor];
        let ident = &variant.ident;
        let ty = scope.item(&constructor.path);
        variants.push_str(&format!("/// `{}`\n{ident}({ty}),\n", constructor.text));
        writers.push_str(&format!("Self::{ident}(value) => value.encode(out),\n"));
        readers.push_str(&format!("{ty}::ID => input.variant(Self::{ident}),\n"));
        conversions.push(format!(
            "impl From<{ty}> for {name} {{
                fn from(value: {ty}) -> Self {{ Self::{ident}(value) }}
            }}"
        ));
    }
    let mut items = vec![
        format!(
            "/// `{}`\n#[derive({})]\npub enum {name} {{ {variants} }}",
            it.name,
            derives(&[("Clone", true), ("Debug", true), ("Eq", it.has_eq)])
        ),
        format!(
            "impl Encode for {name} {{
                fn encode(&self, out: &mut Vec<u8>) {{ match self {{ {writers} }} }}
            }}"
        ),
        format!(
            "impl Decode for {name} {{
                fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {{
                    match input.u32()? {{
                        {readers}
                        id => Err(DecodeError::UnknownConstructor {{ id }}),
                    }}
                }}
            }}"
        ),
    ];
    items.extend(conversions);
    items
}
