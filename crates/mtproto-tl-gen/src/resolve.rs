//! From a schema to the model: looks up names and decides layouts.

use std::collections::{HashMap, HashSet};

use crate::error::{Error, ErrorKind};
use crate::generator::Generator;
use crate::layout::decide_layout;
use crate::model::{
    Bit, Enum, Field, Model, Module, Path, Presence, Response, Root, Slot, Struct, Target, Variant,
    Wire,
};
use crate::names::{Taken, camel_case, field_name, module_name, split};
use crate::schema::{self, Body, Declaration, Schema, Section, Type, TypeKind};

pub(crate) fn resolve(schema: &Schema, options: &Generator) -> Result<Model, Error> {
    let declarations: Vec<&Declaration> = schema
        .declarations
        .iter()
        .filter(|it| it.body != Body::Builtin && !BUILTINS.contains(&it.name.as_str()))
        .filter(|it| !options.is_left_out(&it.name))
        .collect();
    let mut model = Model::default();
    let index = Index::of(&declarations, &mut model)?;
    for (number, &declaration) in declarations.iter().enumerate() {
        let parameters = &model.structs[number].parameters;
        let resolver = Resolver { index: &index, options, declaration, parameters };
        let resolved = resolver.fields()?;
        let response = resolver.response()?;
        let target = &mut model.structs[number];
        target.slots = resolved;
        target.response = response;
        target.is_secret = options.is_secret(&declaration.name);
        target.has_view = options.has_view(declaration);
    }
    decide_layout(&mut model, &declarations)?;
    Ok(model)
}

/// What names mean.
struct Index {
    types: HashMap<String, TypeEntry>,
    constructors: HashMap<String, usize>,
}

struct TypeEntry {
    target: Target,
    constructors: Vec<usize>,
}

impl Index {
    /// Names every struct and enum, and remembers what the schema calls them.
    fn of(declarations: &[&Declaration], model: &mut Model) -> Result<Self, Error> {
        let mut taken: HashMap<Module, Taken> = HashMap::new();
        let mut path = |root, name: &str| {
            let (namespace, last) = split(name);
            let module = Module { root, namespace: module_name(namespace) };
            let names = taken.entry(module.clone()).or_insert_with(Taken::types);
            Path { module, ident: names.take(&camel_case(last)) }
        };
        let mut types: HashMap<&str, Vec<usize>> = HashMap::new();
        let mut order = Vec::new();
        let mut constructors = HashMap::new();
        for (number, declaration) in declarations.iter().enumerate() {
            let root = match declaration.section {
                Section::Functions => Root::Functions,
                Section::Types => Root::Types,
            };
            model.structs.push(unresolved(path(root, &declaration.name), declaration));
            if declaration.section == Section::Types {
                constructors.insert(declaration.name.clone(), number);
                let name = constructed_type(declaration)?;
                let members = types.entry(name).or_default();
                if members.is_empty() {
                    order.push(name);
                }
                members.push(number);
            }
        }
        let mut entries = HashMap::new();
        for name in order {
            let members = types.remove(name).unwrap_or_default();
            let target = match *members.as_slice() {
                [only] => Target::Struct(only),
                _ => {
                    model.enums.push(Enum {
                        at: declarations[members[0]].at,
                        path: path(Root::Enums, name),
                        name: name.to_owned(),
                        variants: variants(&members, declarations),
                        has_eq: true,
                    });
                    Target::Enum(model.enums.len() - 1)
                }
            };
            entries.insert(name.to_owned(), TypeEntry { target, constructors: members });
        }
        Ok(Self { types: entries, constructors })
    }
}

fn unresolved(path: Path, declaration: &Declaration) -> Struct {
    Struct {
        at: declaration.at,
        path,
        text: declaration.text.clone(),
        id: declaration.effective_id(),
        parameters: {
            let mut taken = Taken::types();
            declaration.parameters.iter().map(|name| taken.take(&camel_case(name))).collect()
        },
        slots: Vec::new(),
        response: None,
        has_eq: true,
        is_secret: false,
        has_view: false,
        len_min: 0,
    }
}

/// The name of the type that a constructor makes.
fn constructed_type(declaration: &Declaration) -> Result<&str, Error> {
    let unsupported = |what| Error { at: declaration.at, kind: ErrorKind::Unsupported(what) };
    match &declaration.result.kind {
        TypeKind::Named { name, arguments }
            if arguments.is_empty() && declaration.parameters.is_empty() =>
        {
            Ok(name)
        }
        TypeKind::Named { .. } => Err(unsupported("a generic type other than `Vector`")),
        TypeKind::Bare(_) | TypeKind::Nat | TypeKind::Query(_) => {
            Err(unsupported("a constructor of something else than a named type"))
        }
    }
}

fn variants(members: &[usize], declarations: &[&Declaration]) -> Vec<Variant> {
    let mut taken = Taken::default();
    let variant = |&constructor: &usize| {
        let (_, last) = split(&declarations[constructor].name);
        Variant { ident: taken.take(&camel_case(last)), constructor }
    };
    members.iter().map(variant).collect()
}

/// Looks up what one declaration names.
struct Resolver<'a> {
    index: &'a Index,
    options: &'a Generator,
    declaration: &'a Declaration,
    /// The Rust names of the declaration's type parameters.
    parameters: &'a [String],
}

impl Resolver<'_> {
    fn fields(&self) -> Result<Vec<Slot>, Error> {
        let Body::Fields(fields) = &self.declaration.body else {
            return Ok(Vec::new());
        };
        let words: HashSet<&str> =
            fields.iter().filter_map(|it| Some(it.flag.as_ref()?.word.as_str())).collect();
        let mut taken = Taken::default();
        let mut seen_words = HashMap::new();
        let mut queries = HashSet::new();
        let mut slots = Vec::new();
        for field in fields {
            let ident = taken.take(&field_name(&field.name));
            if field.ty.kind == TypeKind::Nat && words.contains(field.name.as_str()) {
                if field.flag.is_some() {
                    let kind = ErrorKind::Unsupported("a word of flags that is itself optional");
                    return Err(Error { at: field.at, kind });
                }
                seen_words.insert(field.name.as_str(), ident.clone());
                slots.push(Slot::Flags { ident });
                continue;
            }
            if let TypeKind::Query(parameter) = &field.ty.kind {
                queries.insert(parameter.as_str());
            }
            slots.push(Slot::Field(self.field(field, ident, &seen_words)?));
        }
        match self.declaration.parameters.iter().find(|it| !queries.contains(it.as_str())) {
            Some(unused) => Err(Error {
                at: self.declaration.at,
                kind: ErrorKind::UnusedParameter(unused.clone()),
            }),
            None => Ok(slots),
        }
    }

    fn field(
        &self,
        field: &schema::Field,
        ident: String,
        words: &HashMap<&str, String>,
    ) -> Result<Field, Error> {
        let bit = match &field.flag {
            None => None,
            Some(flag) => match words.get(flag.word.as_str()) {
                Some(word) => Some(Bit { word: word.clone(), number: flag.bit }),
                None => {
                    let kind = ErrorKind::UnknownFlags(flag.word.clone());
                    return Err(Error { at: field.at, kind });
                }
            },
        };
        let (presence, wire) = match bit {
            Some(bit) if is_bare_true(&field.ty) => {
                (Presence::Bit(bit), Wire::Leaf { path: "bool".to_owned(), len_min: 0 })
            }
            Some(bit) => (Presence::If(bit), self.field_wire(field)?),
            None => (Presence::Always, self.field_wire(field)?),
        };
        Ok(Field { ident, presence, wire, is_boxed: false })
    }

    fn field_wire(&self, field: &schema::Field) -> Result<Wire, Error> {
        let wire = self.wire(&field.ty)?;
        match self.options.newtype_of(&self.declaration.name, &field.name) {
            Some(path) => Ok(with_newtype(wire, path)),
            None => Ok(wire),
        }
    }

    fn response(&self) -> Result<Option<Response>, Error> {
        if self.declaration.section == Section::Types {
            return Ok(None);
        }
        let result = &self.declaration.result;
        if let TypeKind::Named { name, arguments } = &result.kind
            && arguments.is_empty()
            && let Some(parameter) = self.parameter(name)
        {
            return Ok(Some(Response::OfParameter(parameter)));
        }
        let wire = self.wire(result)?;
        if !wire.is_plain() {
            let kind = ErrorKind::Unsupported("a function with a bare result");
            return Err(Error { at: result.at, kind });
        }
        Ok(Some(Response::Value(wire)))
    }

    fn wire(&self, ty: &Type) -> Result<Wire, Error> {
        match &ty.kind {
            TypeKind::Bare(inner) => self.bare(inner),
            TypeKind::Named { name, arguments } => self.named(ty, name, arguments),
            TypeKind::Nat => Ok(leaf("u32", 4)),
            TypeKind::Query(name) => match self.parameter(name) {
                Some(parameter) => Ok(Wire::Query(parameter)),
                None => Err(Error { at: ty.at, kind: ErrorKind::UnknownType(name.clone()) }),
            },
        }
    }

    /// The Rust name of the type parameter `name`.
    fn parameter(&self, name: &str) -> Option<String> {
        let number = self.declaration.parameters.iter().position(|it| it == name)?;
        self.parameters.get(number).cloned()
    }

    fn named(&self, ty: &Type, name: &str, arguments: &[Type]) -> Result<Wire, Error> {
        let fail = |kind| Err(Error { at: ty.at, kind });
        match (name, arguments) {
            ("Vector" | "vector", [item]) => {
                let is_boxed = name == "Vector";
                Ok(Wire::Vector { is_boxed, item: Box::new(self.wire(item)?) })
            }
            ("Vector" | "vector", _) => {
                fail(ErrorKind::Unsupported("a vector of not exactly one type"))
            }
            (_, [_, ..]) => fail(ErrorKind::Unsupported("a generic type other than `Vector`")),
            _ => match (builtin(name), self.index.types.get(name)) {
                _ if self.options.is_raw(name) => Ok(Wire::Raw),
                (Some(wire), _) => Ok(wire),
                (None, Some(entry)) => Ok(Wire::Boxed(entry.target)),
                (None, None) => match self.index.constructors.get(name) {
                    Some(&constructor) => Ok(Wire::Bare(constructor)),
                    None if RAW_BUILTINS.contains(&name) => Ok(Wire::Raw),
                    None => fail(ErrorKind::UnknownType(name.to_owned())),
                },
            },
        }
    }

    /// `%T`.
    fn bare(&self, inner: &Type) -> Result<Wire, Error> {
        let fail = |kind| Err(Error { at: inner.at, kind });
        let TypeKind::Named { name, arguments } = &inner.kind else {
            return fail(ErrorKind::Unsupported("`%` before something else than a type's name"));
        };
        match (name.as_str(), arguments.as_slice()) {
            ("Vector", _) => self.named(inner, "vector", arguments),
            ("Int", []) => Ok(leaf("i32", 4)),
            ("Long", []) => Ok(leaf("i64", 8)),
            ("Double", []) => Ok(leaf("f64", 8)),
            ("String", []) => Ok(leaf("String", 4)),
            (name, _) => match self.index.types.get(name).map(|it| it.constructors.as_slice()) {
                Some(&[only]) => Ok(Wire::Bare(only)),
                Some(several) => {
                    fail(ErrorKind::NotBare { name: name.to_owned(), count: several.len() })
                }
                None => fail(ErrorKind::UnknownType(name.to_owned())),
            },
        }
    }
}

fn builtin(name: &str) -> Option<Wire> {
    Some(match name {
        "int" => leaf("i32", 4),
        "long" => leaf("i64", 8),
        "double" => leaf("f64", 8),
        "string" => leaf("String", 4),
        "bytes" => leaf("mtproto_tl::bytes::Bytes", 4),
        "int128" => leaf("[u8; 16]", 16),
        "int256" => leaf("[u8; 32]", 32),
        "Bool" => leaf("bool", 4),
        _ => return None,
    })
}

fn leaf(path: &str, len_min: usize) -> Wire {
    Wire::Leaf { path: path.to_owned(), len_min }
}

/// Replaces the number in `wire` by the newtype `path`; anything else stays what it is.
fn with_newtype(wire: Wire, path: &str) -> Wire {
    match wire {
        Wire::Leaf { path: number, len_min } if number == "i32" || number == "i64" => {
            Wire::Leaf { path: path.to_owned(), len_min }
        }
        Wire::Vector { is_boxed, item } => {
            Wire::Vector { is_boxed, item: Box::new(with_newtype(*item, path)) }
        }
        other => other,
    }
}

fn is_bare_true(ty: &Type) -> bool {
    match &ty.kind {
        TypeKind::Named { name, arguments } => name == "true" && arguments.is_empty(),
        TypeKind::Bare(_) | TypeKind::Nat | TypeKind::Query(_) => false,
    }
}

/// What a schema may declare although every implementation knows it.
const BUILTINS: &[&str] = &[
    "boolFalse",
    "boolTrue",
    "bytes",
    "double",
    "function",
    "int",
    "int128",
    "int256",
    "long",
    "object",
    "string",
    "vector",
];

/// Other names for some object, where a schema does not declare them.
const RAW_BUILTINS: &[&str] = &["Function", "function", "object"];
