//! Writes values of a schema's types straight from its text.

use std::collections::HashMap;

use mtproto_tl_gen::{Body, Declaration, Schema, Section, Type, TypeKind};

pub(crate) struct Interpreter<'a> {
    schema: &'a Schema,
    state: u64,
}

impl<'a> Interpreter<'a> {
    pub(crate) fn new(schema: &'a Schema, seed: u64) -> Self {
        Self { schema, state: seed }
    }

    /// Some value of a constructor or function, its number in front.
    pub(crate) fn boxed(&mut self, declaration: &Declaration) -> Vec<u8> {
        let mut out = declaration.effective_id().to_le_bytes().to_vec();
        self.fields(declaration, 0, &mut out);
        out
    }

    fn fields(&mut self, declaration: &Declaration, depth: usize, out: &mut Vec<u8>) {
        let Body::Fields(fields) = &declaration.body else {
            return;
        };
        let mut words = HashMap::new();
        for field in fields {
            let flags = fields.iter().filter_map(|it| it.flag.as_ref());
            let bits = flags.filter(|it| it.word == field.name);
            let mask = bits.fold(0, |mask, flag| mask | 1 << flag.bit);
            match &field.flag {
                _ if field.ty.kind == TypeKind::Nat && mask != 0 => {
                    let word = if depth < DEPTH_MAX { mask & self.next() as u32 } else { 0 };
                    words.insert(field.name.as_str(), word);
                    out.extend(word.to_le_bytes());
                }
                Some(flag) if words[flag.word.as_str()] >> flag.bit & 1 == 0 => {}
                Some(_) | None => self.value(&field.ty, depth + 1, out),
            }
        }
    }

    fn value(&mut self, ty: &Type, depth: usize, out: &mut Vec<u8>) {
        match &ty.kind {
            TypeKind::Nat => out.extend((self.next() as u32).to_le_bytes()),
            TypeKind::Query(_) => self.raw(out),
            TypeKind::Named { name, arguments } => self.named(name, arguments, depth, out),
            TypeKind::Bare(inner) => match &inner.kind {
                TypeKind::Named { name, arguments } if name == "Vector" => {
                    self.named("vector", arguments, depth, out);
                }
                TypeKind::Named { name, .. } if name == "Int" => self.noise(4, out),
                TypeKind::Named { name, .. } => {
                    let constructor = self.constructors(name)[0];
                    self.fields(constructor, depth, out);
                }
                other => panic!("% before {other:?}"),
            },
        }
    }

    fn named(&mut self, name: &str, arguments: &[Type], depth: usize, out: &mut Vec<u8>) {
        match name {
            "int" => self.noise(4, out),
            "long" | "double" => self.noise(8, out),
            "int128" => self.noise(16, out),
            "int256" => self.noise(32, out),
            "Bool" if self.next() & 1 == 0 => out.extend([0x37, 0x97, 0x79, 0xbc]),
            "Bool" => out.extend([0xb5, 0x75, 0x72, 0x99]),
            "bytes" | "string" => self.byte_string(out),
            "Object" => self.raw(out),
            "vector" | "Vector" => {
                if name == "Vector" {
                    out.extend([0x15, 0xc4, 0xb5, 0x1c]);
                }
                let count = if depth < DEPTH_MAX { self.next() as u32 % 3 } else { 0 };
                out.extend(count.to_le_bytes());
                (0..count).for_each(|_| self.value(&arguments[0], depth + 1, out));
            }
            _ => {
                let types = self.schema.declarations.iter();
                let mut types = types.filter(|it| it.section == Section::Types);
                if let Some(bare) = types.find(|it| it.name == name) {
                    return self.fields(bare, depth, out);
                }
                let constructors = self.constructors(name);
                // The shortest one comes first wherever a type may hold itself.
                let choice = if depth < DEPTH_MAX { self.next() as usize } else { 0 };
                let constructor = constructors[choice % constructors.len()];
                out.extend(constructor.effective_id().to_le_bytes());
                self.fields(constructor, depth, out);
            }
        }
    }

    fn constructors(&self, ty: &str) -> Vec<&'a Declaration> {
        let makes = |it: &&Declaration| {
            it.section == Section::Types
                && matches!(&it.result.kind, TypeKind::Named { name, .. } if name == ty)
        };
        self.schema.declarations.iter().filter(makes).collect()
    }

    /// ASCII, so that it is a `string` as well.
    fn byte_string(&mut self, out: &mut Vec<u8>) {
        let len = match self.next() % 8 {
            0 => 250 + self.next() as usize % 12,
            few => few as usize,
        };
        match len {
            0..=253 => out.push(len as u8),
            _ => out.extend([254, len as u8, (len >> 8) as u8, 0]),
        }
        out.extend((0..len).map(|_| b'a' + (self.next() % 26) as u8));
        while !out.len().is_multiple_of(4) {
            out.push(0);
        }
    }

    /// Some object that nobody looks into.
    fn raw(&mut self, out: &mut Vec<u8>) {
        let words = 1 + self.next() as usize % 4;
        self.noise(4 * words, out);
    }

    fn noise(&mut self, len: usize, out: &mut Vec<u8>) {
        out.extend((0..len).map(|_| self.next() as u8));
    }

    /// The next number: SplitMix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ self.state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

/// How deep a value nests before the shortest one is taken.
const DEPTH_MAX: usize = 4;
