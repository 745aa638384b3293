//! No text makes the generator panic, and none makes it write what is not Rust.

use mtproto_tl_gen::{ErrorKind, Generator, Schema};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

fn survives(text: &str) -> Result<(), TestCaseError> {
    let generator = Generator::new("", "");
    let result = Schema::parse(text).and_then(|schema| {
        generator.generate_text(&schema)?;
        generator.generate(&schema)
    });
    if let Err(error) = result {
        prop_assert!(!matches!(error.kind, ErrorKind::Internal { .. }), "{error}");
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_text(text in ".*") {
        survives(&text)?;
    }

    #[test]
    fn any_order_of_words(words in vec(select(WORDS), 0..40)) {
        survives(&words.concat())?;
    }

    #[test]
    fn any_fields(
        declarations in vec(vec((select(NAMES), select(TYPES)), 0..6), 1..6),
    ) {
        let mut text = String::new();
        for (number, fields) in declarations.iter().enumerate() {
            text.push_str(&format!("foo{number} flags:# "));
            for (name, ty) in fields {
                text.push_str(&format!("{name}:{ty} "));
            }
            text.push_str(if number % 2 == 0 { "= Foo;\n" } else { "= Bar;\n" });
        }
        survives(&text)?;
    }
}

/// Words of which some orders are TL.
const WORDS: &[&str] = &[
    "foo",
    "Foo",
    "foo:",
    "flags:# ",
    "flags.1?",
    "flags.2?true",
    "a:int ",
    "b:Foo ",
    "self:Bool ",
    "{X:Type}",
    "{self:Type}",
    "q:!X ",
    "!X",
    "Vector<",
    "vector ",
    "%",
    ">",
    "(",
    ")",
    "=",
    " = Foo;",
    " = Bar;",
    " = X;",
    ";",
    "#12",
    "#",
    "---functions---",
    "---types---",
    "---",
    "// c\n",
    "/*",
    "*/",
    "4*[ int ]",
    "\n",
    "é",
    "type:long ",
    "type.type",
    "types.Vec",
    "_",
    "_1",
    "Option",
    "input:# ",
    "out:input.0?foo ",
];

const NAMES: &[&str] =
    &["a", "input", "out", "value", "self", "Self", "type", "_", "_1", "aB", "a_b"];

const TYPES: &[&str] = &[
    "int",
    "Foo",
    "Bar",
    "foo1",
    "%Bar",
    "Vector<foo0>",
    "vector<%Foo>",
    "flags.0?true",
    "true",
    "flags.3?Foo",
    "flags.3?foo2",
    "#",
    "Object",
    "Vector<Vector<vector<bytes>>>",
    "double",
];
