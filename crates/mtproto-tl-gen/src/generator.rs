//! What a user sets and calls.

use std::collections::{HashMap, HashSet};

use crate::emit::{emit_files, emit_text};
use crate::error::{Error, ErrorKind};
use crate::model::Model;
use crate::resolve::resolve;
use crate::schema::{Declaration, Schema, Section};
use crate::{constructor_id, crc};

/// Makes Rust from schemas.
///
/// ```
/// use mtproto_tl_gen::{Generator, Schema};
///
/// let schema = Schema::parse("ping#7abe77ec ping_id:long = Pong;")?;
/// let files = Generator::new("build.rs", "ping.tl").generate(&schema)?;
/// assert!(files.iter().any(|file| file.contents.contains("pub struct Ping {")));
/// # Ok::<(), mtproto_tl_gen::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Generator {
    pub(crate) command: String,
    pub(crate) source: String,
    id_exceptions: HashSet<String>,
    left_out: HashSet<String>,
    newtypes: HashMap<String, String>,
    raw: HashSet<String>,
    secret: HashSet<String>,
    views: HashSet<String>,
}

/// A generated file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct File {
    /// Where it belongs, relative to the directory of the generated module: `types/auth.rs`.
    pub path: String,
    /// Its text.
    pub contents: String,
}

impl Generator {
    /// A generator whose files say that `command` made them from `source`.
    #[must_use]
    pub fn new(command: &str, source: &str) -> Self {
        Self {
            command: command.to_owned(),
            source: source.to_owned(),
            id_exceptions: HashSet::new(),
            left_out: HashSet::new(),
            newtypes: HashMap::new(),
            raw: HashSet::from(["Object".to_owned()]),
            secret: HashSet::new(),
            views: HashSet::new(),
        }
    }

    /// Declarations whose number is right although their text gives another.
    #[must_use]
    pub fn id_exceptions<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.id_exceptions.extend(names.into_iter().map(str::to_owned));
        self
    }

    /// Declarations to write nothing for. Their numbers are checked all the same.
    #[must_use]
    pub fn left_out<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.left_out.extend(names.into_iter().map(str::to_owned));
        self
    }

    /// Rust types for fields of type `int` or `long`, or vectors of them: pairs of a field's name,
    /// `msg_id` or `pong.msg_id`, and a path, `mtproto_tl::MsgId`.
    #[must_use]
    pub fn newtypes<'a>(mut self, table: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let owned = |(field, path): (&str, &str)| (field.to_owned(), path.to_owned());
        self.newtypes.extend(table.into_iter().map(owned));
        self
    }

    /// Types to leave as they are on the wire, as `mtproto_tl::Raw`; they need no declaration.
    /// `Object` always is one.
    #[must_use]
    pub fn raw<'a>(mut self, types: impl IntoIterator<Item = &'a str>) -> Self {
        self.raw.extend(types.into_iter().map(str::to_owned));
        self
    }

    /// Declarations whose `Debug` must not show their fields.
    #[must_use]
    pub fn secret<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.secret.extend(names.into_iter().map(str::to_owned));
        self
    }

    /// Constructors to write a view for as well, `mtproto_tl::View`, which reads them where they
    /// lie. Their fields are always there, and are numbers, texts, byte strings and vectors of
    /// numbers.
    #[must_use]
    pub fn views<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.views.extend(names.into_iter().map(str::to_owned));
        self
    }

    /// Makes the files of a module from `schema`; the module's own file is `mod.rs`.
    ///
    /// # Errors
    /// The first declaration that makes no sense, or that this generator does not know.
    pub fn generate(&self, schema: &Schema) -> Result<Vec<File>, Error> {
        emit_files(&self.model(schema)?, self)
    }

    /// Makes the same as one text. A `build.rs` writes it to a file in `OUT_DIR`, and
    /// `mod api { include!(concat!(env!("OUT_DIR"), "/api.rs")); }` takes it in.
    ///
    /// # Errors
    /// As [`Generator::generate`].
    pub fn generate_text(&self, schema: &Schema) -> Result<String, Error> {
        emit_text(&self.model(schema)?, self)
    }

    fn model(&self, schema: &Schema) -> Result<Model, Error> {
        check_unique(&schema.declarations)?;
        for declaration in &schema.declarations {
            self.check_id(declaration)?;
        }
        resolve(schema, self)
    }

    pub(crate) fn is_left_out(&self, name: &str) -> bool {
        self.left_out.contains(name)
    }

    pub(crate) fn is_raw(&self, name: &str) -> bool {
        self.raw.contains(name)
    }

    pub(crate) fn is_secret(&self, name: &str) -> bool {
        self.secret.contains(name)
    }

    pub(crate) fn has_view(&self, declaration: &Declaration) -> bool {
        declaration.section == Section::Types && self.views.contains(&declaration.name)
    }

    pub(crate) fn newtype_of(&self, declaration: &str, field: &str) -> Option<&str> {
        let exact = self.newtypes.get(&format!("{declaration}.{field}"));
        exact.or_else(|| self.newtypes.get(field)).map(String::as_str)
    }

    fn check_id(&self, declaration: &Declaration) -> Result<(), Error> {
        let Some(declared) = declaration.id else {
            return Ok(());
        };
        let computed = constructor_id(&declaration.text);
        let is_right = declared == computed
            || declared == crc::constructor_id_with_bytes(&declaration.text)
            || self.id_exceptions.contains(&declaration.name);
        if is_right {
            return Ok(());
        }
        let name = declaration.name.clone();
        Err(Error { at: declaration.at, kind: ErrorKind::IdMismatch { name, declared, computed } })
    }
}

impl Declaration {
    /// The number in the schema, or else the one that the text gives.
    #[must_use]
    pub fn effective_id(&self) -> u32 {
        self.id.unwrap_or_else(|| constructor_id(&self.text))
    }
}

fn check_unique(declarations: &[Declaration]) -> Result<(), Error> {
    let mut names: HashMap<(Section, &str), usize> = HashMap::new();
    let mut ids: HashMap<(Section, u32), &Declaration> = HashMap::new();
    for declaration in declarations {
        let fail = |kind| Err(Error { at: declaration.at, kind });
        let name = declaration.name.clone();
        if let Some(line) =
            names.insert((declaration.section, &declaration.name), declaration.at.line)
        {
            return fail(ErrorKind::DuplicateName { name, line });
        }
        let id = declaration.effective_id();
        if let Some(other) = ids.insert((declaration.section, id), declaration) {
            let (other, line) = (other.name.clone(), other.at.line);
            return fail(ErrorKind::DuplicateId { id, name, other, line });
        }
    }
    Ok(())
}
