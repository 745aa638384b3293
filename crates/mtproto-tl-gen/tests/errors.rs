//! What a user reads when a schema is wrong.

use expect_test::{Expect, expect};
use mtproto_tl_gen::{Generator, Schema};

/// Every schema with the error it ends in.
#[allow(clippy::needless_pass_by_value, reason = "`expect!` is made for this call alone")]
fn check(schemas: &[&str], expected: Expect) {
    let mut transcript = String::new();
    for text in schemas {
        let result = Schema::parse(text).and_then(|it| Generator::new("", "").generate(&it));
        let error = result.expect_err(text);
        transcript.push_str(&format!("{text}\n  {error}\n"));
    }
    expected.assert_eq(&transcript);
}

#[test]
fn text_that_is_not_tl() {
    check(
        &[
            "foo = Foo",
            "foo\n  bar = Foo;",
            "foo a: = Foo;",
            "= Foo;",
            "foo 5 = Foo;",
            "foo @ = Foo;",
            "foo - = Foo;",
            "/* so\n * on",
            "---things---",
            "---types",
            "foo {X:Int} = Foo;",
            "foo a:Vector<int = Foo;",
        ],
        expect![[r#"
            foo = Foo
              line 1, column 10: expected `;`, found the end of the schema
            foo
              bar = Foo;
              line 2, column 7: expected `:` and the field's type, found `=`
            foo a: = Foo;
              line 1, column 8: expected a type, found `=`
            = Foo;
              line 1, column 1: expected a declaration's name, found `=`
            foo 5 = Foo;
              line 1, column 7: expected `*`, found `=`
            foo @ = Foo;
              line 1, column 5: the character '@' means nothing here
            foo - = Foo;
              line 1, column 5: the character '-' means nothing here
            /* so
             * on
              line 1, column 1: this comment has no end
            ---things---
              line 1, column 4: expected `functions` or `types`, found `things`
            ---types
              line 1, column 9: expected `---`, found the end of the schema
            foo {X:Int} = Foo;
              line 1, column 8: expected `Type`, found `Int`
            foo a:Vector<int = Foo;
              line 1, column 18: expected `,` or `>`, found `=`
        "#]],
    );
}

#[test]
fn numbers_that_are_not_right() {
    check(
        &[
            "foo#123456789 = Foo;",
            "foo#xyz = Foo;",
            "foo#1 = Foo;",
            "foo = Foo;\nbar = Bar;\nfoo = Bar;",
            "foo flags:# a:flags.32?int = Foo;",
            "foo flags:# a:flags.99999999999?int = Foo;",
        ],
        expect![[r#"
            foo#123456789 = Foo;
              line 1, column 4: a constructor number is 1 to 8 hexadecimal digits, not `123456789`
            foo#xyz = Foo;
              line 1, column 4: a constructor number is 1 to 8 hexadecimal digits, not `xyz`
            foo#1 = Foo;
              line 1, column 1: `foo` is declared as 00000001, but its text gives 08154e77
            foo = Foo;
            bar = Bar;
            foo = Bar;
              line 3, column 1: `foo` is already declared in line 1
            foo flags:# a:flags.32?int = Foo;
              line 1, column 21: a flag's bit is 0 to 31, not 32
            foo flags:# a:flags.99999999999?int = Foo;
              line 1, column 21: a flag's bit is 0 to 31, not 99999999999
        "#]],
    );
}

#[test]
fn two_names_with_one_number() {
    let schema = Schema::parse("foo#1 = Foo;\nbar#1 = Bar;").unwrap();
    let generator = Generator::new("", "").id_exceptions(["foo", "bar"]);
    let error = generator.generate(&schema).unwrap_err();
    expect!["line 2, column 1: number 00000001 of `bar` is also that of `foo` in line 1"]
        .assert_eq(&error.to_string());
}

#[test]
fn what_can_have_no_view() {
    let error = |schema: &str| {
        let generator = Generator::new("", "").views(["foo"]);
        let generator =
            if schema.contains("secret") { generator.secret(["foo"]) } else { generator };
        generator.generate(&Schema::parse(schema).unwrap()).unwrap_err().to_string()
    };
    for schema in [
        "foo = Foo;",
        "foo a:long = Foo;",
        "foo a:Vector<Bool> = Foo;",
        "foo a:Vector<string> = Foo;",
        "foo a:bytes b:foo2 = Foo; foo2 = Foo2;",
        "foo flags:# a:bytes b:flags.0?int = Foo;",
        "foo secret:bytes = Foo;",
    ] {
        let error = error(schema);
        assert!(
            error.starts_with("line 1, column 1: `Foo` can have no view: "),
            "{schema} {error}"
        );
    }
}

#[test]
fn names_that_mean_nothing() {
    check(
        &[
            "foo a:Bar = Foo;",
            "foo a:Vector<bar> = Foo;",
            "foo a:%Bar = Foo;",
            "---functions---\nfoo a:!X = Bool;",
            "foo a:flags.0?int = Foo;",
            "foo a:flags.0?int flags:# = Foo;",
            "---functions---\nfoo {X:Type} = X;",
        ],
        expect![[r#"
            foo a:Bar = Foo;
              line 1, column 7: type `Bar` is not declared
            foo a:Vector<bar> = Foo;
              line 1, column 14: type `bar` is not declared
            foo a:%Bar = Foo;
              line 1, column 8: type `Bar` is not declared
            ---functions---
            foo a:!X = Bool;
              line 2, column 7: type `X` is not declared
            foo a:flags.0?int = Foo;
              line 1, column 5: no field `flags:#` stands before this one
            foo a:flags.0?int flags:# = Foo;
              line 1, column 5: no field `flags:#` stands before this one
            ---functions---
            foo {X:Type} = X;
              line 2, column 1: type parameter `X` is used by no field `!X`
        "#]],
    );
}

#[test]
fn layouts_that_cannot_be() {
    check(
        &[
            "a = T;\nb = T;\nc a:%T = C;",
            "foo a:foo = Foo;",
            "foo a:Object b:int = Foo;",
            "foo a:int b:Object = Foo;\nbar c:foo d:int = Bar;",
            "foo a:Vector<Object> = Foo;",
        ],
        expect![[r#"
            a = T;
            b = T;
            c a:%T = C;
              line 3, column 6: `%T` needs a type with one constructor, this one has 2
            foo a:foo = Foo;
              line 1, column 1: a bare `foo` would hold itself without end
            foo a:Object b:int = Foo;
              line 1, column 5: `a` takes all that is left, so it must come last
            foo a:int b:Object = Foo;
            bar c:foo d:int = Bar;
              line 2, column 5: `c` takes all that is left, so it must come last
            foo a:Vector<Object> = Foo;
              line 1, column 5: `a` takes all that is left, so it must come last
        "#]],
    );
}

#[test]
fn tl_that_nobody_uses() {
    check(
        &[
            "foo {X:Type} a:X = Foo X;",
            "foo a:Map<int, int> = Foo;",
            "foo a:Vector = Foo;",
            "foo = %Foo;",
            "foo a:# b:a.0?# c:b.1?int = Foo;",
            "---functions---\nfoo = vector<int>;",
        ],
        expect![[r#"
            foo {X:Type} a:X = Foo X;
              line 1, column 1: a generic type other than `Vector` is not supported
            foo a:Map<int, int> = Foo;
              line 1, column 7: a generic type other than `Vector` is not supported
            foo a:Vector = Foo;
              line 1, column 7: a vector of not exactly one type is not supported
            foo = %Foo;
              line 1, column 1: a constructor of something else than a named type is not supported
            foo a:# b:a.0?# c:b.1?int = Foo;
              line 1, column 9: a word of flags that is itself optional is not supported
            ---functions---
            foo = vector<int>;
              line 2, column 7: a function with a bare result is not supported
        "#]],
    );
}

#[test]
fn types_nest_only_so_deep() {
    let nested =
        |depth| format!("foo a:{}int{} = Foo;", "Vector<".repeat(depth), ">".repeat(depth));
    assert!(Schema::parse(&nested(16)).is_ok());
    let error = Schema::parse(&nested(17)).unwrap_err();
    expect!["line 1, column 126: types nest deeper than 16"].assert_eq(&error.to_string());
}
