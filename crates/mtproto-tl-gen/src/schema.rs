//! A schema as its text says it, before anything is looked up.

use crate::error::{Error, Position};

/// A schema: its declarations in the order of the text.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Schema {
    /// The declarations.
    pub declarations: Vec<Declaration>,
}

impl Schema {
    /// Reads a schema's text.
    ///
    /// # Errors
    /// The first thing in the text that is not TL.
    pub fn parse(text: &str) -> Result<Self, Error> {
        crate::parser::parse(text)
    }
}

/// One declaration, a constructor or a function:
/// `msgs_ack#62d6b459 msg_ids:Vector<long> = MsgsAck;`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Declaration {
    /// Where it begins.
    pub at: Position,
    /// Which section it stands in.
    pub section: Section,
    /// Its name, namespace included.
    pub name: String,
    /// The number that stands after the name, if one does.
    pub id: Option<u32>,
    /// The type parameters in braces: `X` of `{X:Type}`.
    pub parameters: Vec<String>,
    /// What stands before the `=`.
    pub body: Body,
    /// The type after the `=`.
    pub result: Type,
    /// The declaration with single spaces and without comments, `;` included.
    pub text: String,
}

/// A section of a schema.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Section {
    /// After `---functions---`.
    Functions,
    /// Before it, or after `---types---`.
    Types,
}

/// What a declaration holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Body {
    /// `?`, or `# [ t ]`, or `4*[ int ]`: known to every implementation, described nowhere.
    Builtin,
    /// Named fields.
    Fields(Vec<Field>),
}

/// A field: `proxy:flags.0?InputClientProxy`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Field {
    /// Where it begins.
    pub at: Position,
    /// Its name.
    pub name: String,
    /// The bit that says whether it is there.
    pub flag: Option<Flag>,
    /// Its type.
    pub ty: Type,
}

/// The condition of a field: `flags.0?`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Flag {
    /// The field of type `#`.
    pub word: String,
    /// Its bit, 0..=31.
    pub bit: u32,
}

/// A type as it is written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Type {
    /// Where it begins.
    pub at: Position,
    /// What it is.
    pub kind: TypeKind,
}

/// The forms a type is written in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TypeKind {
    /// `%T`: without the constructor number.
    Bare(Box<Type>),
    /// `T`, `Vector<T>`.
    Named {
        /// The name, namespace included.
        name: String,
        /// What stands in angle brackets, or behind the name.
        arguments: Vec<Type>,
    },
    /// `#`: a natural number.
    Nat,
    /// `!X`: a query whose answer is `X`.
    Query(String),
}
