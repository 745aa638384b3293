//! A schema in Rust's terms: every name looked up, every layout decided, nothing written yet.

use crate::error::Position;

/// Everything that will be written.
#[derive(Debug, Default)]
pub(crate) struct Model {
    /// The constructors and functions, in schema order.
    pub(crate) structs: Vec<Struct>,
    /// The types with several constructors, in the order of their first one.
    pub(crate) enums: Vec<Enum>,
}

impl Model {
    /// Where a type is written.
    pub(crate) fn path(&self, target: Target) -> &Path {
        match target {
            Target::Enum(index) => &self.enums[index].path,
            Target::Struct(index) => &self.structs[index].path,
        }
    }
}

/// Where an item is written.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Root {
    Enums,
    Functions,
    Types,
    Views,
}

impl Root {
    pub(crate) fn module(self) -> &'static str {
        match self {
            Self::Enums => "enums",
            Self::Functions => "functions",
            Self::Types => "types",
            Self::Views => "views",
        }
    }
}

/// A module: a root, and a namespace in it unless that is empty.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Module {
    pub(crate) root: Root,
    pub(crate) namespace: String,
}

/// An item's place and name.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    pub(crate) module: Module,
    pub(crate) ident: String,
}

/// A constructor or a function.
#[derive(Debug)]
pub(crate) struct Struct {
    pub(crate) at: Position,
    pub(crate) path: Path,
    /// The schema line.
    pub(crate) text: String,
    pub(crate) id: u32,
    /// Type parameters, each a query.
    pub(crate) parameters: Vec<String>,
    /// What stands on the wire, in order.
    pub(crate) slots: Vec<Slot>,
    /// What a function answers; `None` for a constructor.
    pub(crate) response: Option<Response>,
    /// Whether it holds no `f64`.
    pub(crate) has_eq: bool,
    /// Whether its fields are kept out of `Debug`.
    pub(crate) is_secret: bool,
    /// Whether it can also be read where it lies.
    pub(crate) has_view: bool,
    /// The least number of bytes its fields take.
    pub(crate) len_min: usize,
}

impl Struct {
    pub(crate) fn fields(&self) -> impl Iterator<Item = &Field> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Field(field) => Some(field),
            Slot::Flags { .. } => None,
        })
    }
}

/// What a function answers.
#[derive(Clone, Debug)]
pub(crate) enum Response {
    /// Whatever the query in this type parameter answers.
    OfParameter(String),
    /// A value.
    Value(Wire),
}

/// One thing on the wire.
#[derive(Debug)]
pub(crate) enum Slot {
    /// A word of flags; it is computed from the fields and is none itself.
    Flags {
        /// The Rust name of its local variable.
        ident: String,
    },
    /// A field.
    Field(Field),
}

/// A field.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) ident: String,
    pub(crate) presence: Presence,
    pub(crate) wire: Wire,
    /// Whether Rust needs a `Box` around it, since it may hold its owner.
    pub(crate) is_boxed: bool,
}

/// When a field is on the wire.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Presence {
    Always,
    /// The bit is the value: `flags.3?true`.
    Bit(Bit),
    /// When the bit is set: `flags.3?int`.
    If(Bit),
}

impl Presence {
    pub(crate) fn bit(&self) -> Option<&Bit> {
        match self {
            Self::Always => None,
            Self::Bit(bit) | Self::If(bit) => Some(bit),
        }
    }
}

/// A bit of a word of flags.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Bit {
    /// The Rust name of the word.
    pub(crate) word: String,
    pub(crate) number: u32,
}

/// A value, on the wire and in Rust.
#[derive(Clone, Debug)]
pub(crate) enum Wire {
    /// A constructor without its number: an index of `structs`.
    Bare(usize),
    /// A type with its constructor's number.
    Boxed(Target),
    /// A value of the crate `mtproto-tl`, of Rust itself, or of a newtype.
    Leaf {
        /// Its Rust path.
        path: String,
        /// How many bytes it takes at least.
        len_min: usize,
    },
    /// Some object, left as it is.
    Raw,
    /// A query, of the type that this type parameter stands for.
    Query(String),
    /// A vector, with its number if it is boxed.
    Vector { is_boxed: bool, item: Box<Self> },
}

impl Wire {
    /// Whether the Rust type's own `Encode` and `Decode` write this form.
    pub(crate) fn is_plain(&self) -> bool {
        match self {
            Self::Bare(_) | Self::Vector { is_boxed: false, .. } => false,
            Self::Vector { is_boxed: true, item } => item.is_plain(),
            Self::Boxed(_) | Self::Leaf { .. } | Self::Query(_) | Self::Raw => true,
        }
    }

    /// The innermost item of a vector of vectors, or the value itself.
    pub(crate) fn innermost(&self) -> &Self {
        let mut wire = self;
        while let Self::Vector { item, .. } = wire {
            wire = item;
        }
        wire
    }
}

/// A type: its only constructor, or the enum of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Target {
    /// An index of `enums`.
    Enum(usize),
    /// An index of `structs`.
    Struct(usize),
}

/// A type with several constructors.
#[derive(Debug)]
pub(crate) struct Enum {
    /// Where its first constructor is declared.
    pub(crate) at: Position,
    pub(crate) path: Path,
    /// The name in the schema.
    pub(crate) name: String,
    pub(crate) variants: Vec<Variant>,
    /// Whether it holds no `f64`.
    pub(crate) has_eq: bool,
}

/// One constructor of several.
#[derive(Debug)]
pub(crate) struct Variant {
    pub(crate) ident: String,
    /// An index of `structs`.
    pub(crate) constructor: usize,
}
