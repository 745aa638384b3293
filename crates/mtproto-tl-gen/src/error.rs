//! What can be wrong with a schema, and where.

use std::fmt;

/// A place in a schema's text, both counted from 1; columns count characters.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Why no code can be made from a schema.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{at}: {kind}")]
pub struct Error {
    /// Where the trouble begins.
    pub at: Position,
    /// What it is.
    pub kind: ErrorKind,
}

/// What is wrong with a schema.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A flag's bit is not 0..=31.
    #[error("a flag's bit is 0 to 31, not {0}")]
    BadBit(String),
    /// What follows `#` is not a constructor number.
    #[error("a constructor number is 1 to 8 hexadecimal digits, not `{0}`")]
    BadId(String),
    /// A character that has no meaning in TL.
    #[error("the character {0:?} means nothing here")]
    BadCharacter(char),
    /// Two declarations of one section have the same number.
    #[error("number {id:08x} of `{name}` is also that of `{other}` in line {line}")]
    DuplicateId {
        /// The number.
        id: u32,
        /// The later declaration.
        name: String,
        /// The earlier one.
        other: String,
        /// Its line.
        line: usize,
    },
    /// Two declarations of one section have the same name.
    #[error("`{name}` is already declared in line {line}")]
    DuplicateName {
        /// The name.
        name: String,
        /// The line of the earlier declaration.
        line: usize,
    },
    /// A bare value that holds itself has no end.
    #[error("a bare `{0}` would hold itself without end")]
    Endless(String),
    /// Something else should stand here.
    #[error("expected {what}, found {found}")]
    Expected {
        /// What should stand here.
        what: &'static str,
        /// What does.
        found: String,
    },
    /// The generated text is not Rust: a defect of the generator.
    #[error("the code generated for `{name}` does not parse: {reason}; please report this")]
    Internal {
        /// The declaration.
        name: String,
        /// What the Rust parser says.
        reason: String,
    },
    /// The number in the schema is not the one that its text gives.
    #[error("`{name}` is declared as {declared:08x}, but its text gives {computed:08x}")]
    IdMismatch {
        /// The declaration.
        name: String,
        /// Its number in the schema.
        declared: u32,
        /// The CRC-32 of its text.
        computed: u32,
    },
    /// A view was asked for that has nothing to borrow, or fields that it cannot hold.
    #[error("`{0}` can have no view: {NO_VIEW}")]
    NoView(String),
    /// `%T` of a type that has not exactly one constructor.
    #[error("`%{name}` needs a type with one constructor, this one has {count}")]
    NotBare {
        /// The type.
        name: String,
        /// How many constructors it has.
        count: usize,
    },
    /// Types nest too deeply in one declaration.
    #[error("types nest deeper than {0}")]
    TooDeep(usize),
    /// `/*` without its end.
    #[error("this comment has no end")]
    UnclosedComment,
    /// `flags.N?` without a `flags:#` before it.
    #[error("no field `{0}:#` stands before this one")]
    UnknownFlags(String),
    /// A type that the schema does not declare.
    #[error("type `{0}` is not declared")]
    UnknownType(String),
    /// A type parameter that no field uses as a query.
    #[error("type parameter `{0}` is used by no field `!{0}`")]
    UnusedParameter(String),
    /// A value without an end of its own is followed by more.
    #[error("`{0}` takes all that is left, so it must come last")]
    OpenEnded(String),
    /// Legal TL that no schema in use needs, and this generator does not know.
    #[error("{0} is not supported")]
    Unsupported(&'static str),
}

const NO_VIEW: &str = "its fields must always be there, be numbers, texts, byte strings or vectors \
                       of numbers, and not all be numbers";
