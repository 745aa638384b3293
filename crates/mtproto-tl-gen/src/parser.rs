//! Tokens to declarations.

use crate::error::{Error, ErrorKind};
use crate::lexer::{Kind, Token, tokens};
use crate::schema::{Body, Declaration, Field, Flag, Schema, Section, Type, TypeKind};

pub(crate) fn parse(text: &str) -> Result<Schema, Error> {
    let mut parser = Parser { tokens: tokens(text)?, next: 0, section: Section::Types };
    let mut declarations = Vec::new();
    loop {
        match parser.peek().kind {
            Kind::End => return Ok(Schema { declarations }),
            Kind::Dashes => parser.section()?,
            _ => declarations.push(parser.declaration()?),
        }
    }
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    next: usize,
    section: Section,
}

impl<'a> Parser<'a> {
    fn section(&mut self) -> Result<(), Error> {
        self.advance();
        self.section = match self.name("`functions` or `types`")? {
            "functions" => Section::Functions,
            "types" => Section::Types,
            _ => return Err(self.expected_before("`functions` or `types`")),
        };
        match self.advance().kind {
            Kind::Dashes => Ok(()),
            _ => Err(self.expected_before("`---`")),
        }
    }

    fn declaration(&mut self) -> Result<Declaration, Error> {
        let first = self.next;
        let at = self.peek().at;
        let name = self.name("a declaration's name")?.to_owned();
        let id = self.id()?;
        let parameters = self.parameters()?;
        let body = self.body()?;
        self.symbol('=', "a field, or `=` and the result")?;
        let result = self.applied_type(0)?;
        self.symbol(';', "`;`")?;
        let text = spaced_once(self.tokens.get(first..self.next).unwrap_or_default());
        Ok(Declaration { at, section: self.section, name, id, parameters, body, result, text })
    }

    fn id(&mut self) -> Result<Option<u32>, Error> {
        let Token { kind: Kind::Id(digits), at, .. } = self.peek() else {
            return Ok(None);
        };
        self.advance();
        let id = if digits.len() <= 8 { u32::from_str_radix(digits, 16).ok() } else { None };
        match id {
            Some(id) => Ok(Some(id)),
            None => Err(Error { at, kind: ErrorKind::BadId(digits.to_owned()) }),
        }
    }

    /// `{X:Type}`, any number of times.
    fn parameters(&mut self) -> Result<Vec<String>, Error> {
        let mut parameters = Vec::new();
        while self.take('{') {
            let name = self.name("a type parameter's name")?;
            self.symbol(':', "`:`")?;
            if self.name("`Type`")? != "Type" {
                return Err(self.expected_before("`Type`"));
            }
            self.symbol('}', "`}`")?;
            parameters.push(name.to_owned());
        }
        Ok(parameters)
    }

    fn body(&mut self) -> Result<Body, Error> {
        match self.peek().kind {
            Kind::Symbol('?') => {
                self.advance();
                Ok(Body::Builtin)
            }
            Kind::Symbol('#') => {
                self.advance();
                self.repeated_type()
            }
            Kind::Number(_) => {
                self.advance();
                self.symbol('*', "`*`")?;
                self.repeated_type()
            }
            _ => self.fields(),
        }
    }

    /// `[ t ]` of a built-in's line.
    fn repeated_type(&mut self) -> Result<Body, Error> {
        self.symbol('[', "`[`")?;
        self.applied_type(0)?;
        self.symbol(']', "`]`")?;
        Ok(Body::Builtin)
    }

    fn fields(&mut self) -> Result<Body, Error> {
        let mut fields = Vec::new();
        while let Token { kind: Kind::Name(name), at, .. } = self.peek() {
            self.advance();
            self.symbol(':', "`:` and the field's type")?;
            let flag = self.flag()?;
            let ty = self.field_type()?;
            fields.push(Field { at, name: name.to_owned(), flag, ty });
        }
        Ok(Body::Fields(fields))
    }

    /// `flags.0?`, told from a type by its dot: a dot before a digit belongs to no name.
    fn flag(&mut self) -> Result<Option<Flag>, Error> {
        let Kind::Name(word) = self.peek().kind else {
            return Ok(None);
        };
        if self.peek_at(1).kind != Kind::Symbol('.') {
            return Ok(None);
        }
        self.advance();
        self.advance();
        let Token { kind: Kind::Number(digits), at, .. } = self.advance() else {
            return Err(self.expected_before("a flag's bit"));
        };
        self.symbol('?', "`?` and the field's type")?;
        match digits.parse() {
            Ok(bit @ 0..=31) => Ok(Some(Flag { word: word.to_owned(), bit })),
            _ => Err(Error { at, kind: ErrorKind::BadBit(digits.to_owned()) }),
        }
    }

    fn field_type(&mut self) -> Result<Type, Error> {
        // `x:Vector int` needs no brackets as long as no field begins there.
        self.applied_type(0)
    }

    /// A type, and what it is applied to: `Vector<int>`, `Vector int`.
    fn applied_type(&mut self, depth: usize) -> Result<Type, Error> {
        let mut ty = self.plain_type(depth)?;
        if let TypeKind::Named { arguments, .. } = &mut ty.kind
            && arguments.is_empty()
        {
            while self.at_argument() {
                arguments.push(self.plain_type(depth + 1)?);
            }
        }
        Ok(ty)
    }

    /// Whether another type begins here, rather than a field.
    fn at_argument(&self) -> bool {
        match self.peek().kind {
            Kind::Name(_) => self.peek_at(1).kind != Kind::Symbol(':'),
            Kind::Symbol('%' | '(') => true,
            _ => false,
        }
    }

    fn plain_type(&mut self, depth: usize) -> Result<Type, Error> {
        let Token { kind, at, .. } = self.advance();
        if depth > TYPE_DEPTH_MAX {
            return Err(Error { at, kind: ErrorKind::TooDeep(TYPE_DEPTH_MAX) });
        }
        let kind = match kind {
            Kind::Name(name) => {
                TypeKind::Named { name: name.to_owned(), arguments: self.arguments(depth)? }
            }
            Kind::Symbol('#') => TypeKind::Nat,
            Kind::Symbol('!') => TypeKind::Query(self.name("a type parameter")?.to_owned()),
            Kind::Symbol('%') => TypeKind::Bare(Box::new(self.plain_type(depth + 1)?)),
            Kind::Symbol('(') => {
                let ty = self.applied_type(depth + 1)?;
                self.symbol(')', "`)`")?;
                return Ok(ty);
            }
            _ => return Err(self.expected_before("a type")),
        };
        Ok(Type { at, kind })
    }

    /// `<a, b>`, if it stands here.
    fn arguments(&mut self, depth: usize) -> Result<Vec<Type>, Error> {
        let mut arguments = Vec::new();
        if !self.take('<') {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.applied_type(depth + 1)?);
            if !self.take(',') {
                break;
            }
        }
        self.symbol('>', "`,` or `>`")?;
        Ok(arguments)
    }

    fn name(&mut self, what: &'static str) -> Result<&'a str, Error> {
        match self.advance().kind {
            Kind::Name(name) => Ok(name),
            _ => Err(self.expected_before(what)),
        }
    }

    fn symbol(&mut self, symbol: char, what: &'static str) -> Result<(), Error> {
        if self.take(symbol) {
            return Ok(());
        }
        self.advance();
        Err(self.expected_before(what))
    }

    fn take(&mut self, symbol: char) -> bool {
        let there = self.peek().kind == Kind::Symbol(symbol);
        if there {
            self.advance();
        }
        there
    }

    fn peek(&self) -> Token<'a> {
        self.peek_at(0)
    }

    /// A token ahead; beyond the last one, `End` again.
    fn peek_at(&self, ahead: usize) -> Token<'a> {
        self.tokens[(self.next + ahead).min(self.tokens.len() - 1)]
    }

    fn advance(&mut self) -> Token<'a> {
        let token = self.peek();
        self.next += 1;
        token
    }

    /// The token just taken should have been `what`.
    fn expected_before(&self, what: &'static str) -> Error {
        let token = self.tokens[(self.next - 1).min(self.tokens.len() - 1)];
        Error { at: token.at, kind: ErrorKind::Expected { what, found: token.describe() } }
    }
}

fn spaced_once(tokens: &[Token<'_>]) -> String {
    let mut text = String::new();
    for token in tokens {
        if token.spaced && !text.is_empty() && token.text != ";" {
            text.push(' ');
        }
        text.push_str(token.text);
    }
    text
}

/// How deep types may nest in one another. Schemas in use need 2.
pub(crate) const TYPE_DEPTH_MAX: usize = 16;
