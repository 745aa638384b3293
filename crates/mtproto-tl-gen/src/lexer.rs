//! A schema's text as tokens.

use crate::error::{Error, ErrorKind, Position};

/// What a token is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind<'a> {
    /// `---`, which stands around a section's name.
    Dashes,
    /// The end of the text.
    End,
    /// `#0949d9dc`, without its `#`.
    Id(&'a str),
    /// A name, namespace included: `help.config`.
    Name(&'a str),
    /// Digits.
    Number(&'a str),
    /// A punctuation mark.
    Symbol(char),
}

/// A token and its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind<'a>,
    pub(crate) at: Position,
    /// The token as it stands in the schema.
    pub(crate) text: &'a str,
    /// Whether a space or a comment stands before it.
    pub(crate) spaced: bool,
}

impl Token<'_> {
    /// The token as an error names it.
    pub(crate) fn describe(&self) -> String {
        match self.kind {
            Kind::End => "the end of the schema".to_owned(),
            _ => format!("`{}`", self.text),
        }
    }
}

/// Cuts `text` into tokens; the last one is `End`.
pub(crate) fn tokens(text: &str) -> Result<Vec<Token<'_>>, Error> {
    let mut lexer = Lexer { rest: text, at: Position { line: 1, column: 1 } };
    let mut tokens = Vec::new();
    loop {
        let spaced = lexer.skip_space()?;
        let at = lexer.at;
        let (kind, text) = lexer.token()?;
        tokens.push(Token { kind, at, text, spaced });
        if kind == Kind::End {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    rest: &'a str,
    at: Position,
}

impl<'a> Lexer<'a> {
    /// Skips white space and comments; says whether there were any.
    fn skip_space(&mut self) -> Result<bool, Error> {
        let before = self.rest.len();
        loop {
            let len = self.rest.len();
            self.take_while(|c| c.is_whitespace() || c == '\u{feff}');
            if self.rest.starts_with("//") {
                self.take_while(|c| c != '\n');
            } else if self.rest.starts_with("/*") {
                let Some(end) = self.rest.find("*/") else {
                    return Err(Error { at: self.at, kind: ErrorKind::UnclosedComment });
                };
                self.take(end + 2);
            }
            if self.rest.len() == len {
                return Ok(len < before);
            }
        }
    }

    fn token(&mut self) -> Result<(Kind<'a>, &'a str), Error> {
        let Some(first) = self.rest.chars().next() else {
            return Ok((Kind::End, ""));
        };
        let (kind, text): (fn(&'a str) -> Kind<'a>, _) = match first {
            'a'..='z' | 'A'..='Z' | '_' => (Kind::Name, self.take(self.name_len())),
            '0'..='9' => (Kind::Number, self.take_while(|c| c.is_ascii_digit())),
            '-' if self.rest.starts_with("---") => (|_| Kind::Dashes, self.take(3)),
            '#' if self.rest[1..].starts_with(is_word) => {
                let len = 1 + self.rest[1..].find(|c| !is_word(c)).unwrap_or(self.rest.len() - 1);
                (|text| Kind::Id(&text[1..]), self.take(len))
            }
            _ if "#:?.%!{}[]()<>,=;*".contains(first) => {
                let text = self.take(1);
                return Ok((Kind::Symbol(first), text));
            }
            _ => return Err(Error { at: self.at, kind: ErrorKind::BadCharacter(first) }),
        };
        Ok((kind(text), text))
    }

    /// How long the name at the cursor is. A dot belongs to it only before another word, since
    /// `flags.0?` is not a name.
    fn name_len(&self) -> usize {
        let mut chars = self.rest.char_indices().peekable();
        while let Some((index, c)) = chars.next() {
            let next = chars.peek().map(|&(_, next)| next);
            let joins = c == '.' && next.is_some_and(|next| next.is_ascii_alphabetic());
            if !is_word(c) && !joins {
                return index;
            }
        }
        self.rest.len()
    }

    fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        self.take(self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len()))
    }

    fn take(&mut self, len: usize) -> &'a str {
        let (text, rest) = self.rest.split_at(len);
        for c in text.chars() {
            if c == '\n' {
                self.at = Position { line: self.at.line + 1, column: 1 };
            } else {
                self.at.column += 1;
            }
        }
        self.rest = rest;
        text
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
