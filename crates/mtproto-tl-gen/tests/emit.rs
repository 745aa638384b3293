//! What a schema becomes. Every form at once is `schema/forms.tl`, whose code `mtproto-tl` tests.

use expect_test::{Expect, expect};
use mtproto_tl_gen::{Generator, Schema};

/// The lines of the generated code that declare something.
#[allow(clippy::needless_pass_by_value, reason = "`expect!` is made for this call alone")]
fn check(schema: &str, expected: Expect) {
    let schema = Schema::parse(schema).unwrap();
    let text = Generator::new("a test", "a.tl").generate_text(&schema).unwrap();
    let declares = |line: &&str| line.trim_start().starts_with("pub ");
    let lines: Vec<&str> = text.lines().filter(declares).collect();
    expected.assert_eq(&(lines.join("\n") + "\n"));
}

#[test]
fn names_are_rust_names() {
    check(
        "resPQ pq:bytes = ResPQ;
         p_q_inner_data_dc dc:int = P_Q_inner_data;
         server_DH_params_ok fooBar:int = Server_DH_Params;
         server_DH_params_fail type:int = Server_DH_Params;
         RSAPublicKey self:int = RSAKey;
         help.config2 a_b:int = help.Config;",
        expect![[r#"
            pub mod enums {
                pub enum ServerDhParams {
            pub mod types {
                pub mod help {
                    pub struct Config2 {
                        pub a_b: i32,
                pub struct ResPq {
                    pub pq: Bytes,
                pub struct PQInnerDataDc {
                    pub dc: i32,
                pub struct ServerDhParamsOk {
                    pub foo_bar: i32,
                pub struct ServerDhParamsFail {
                    pub r#type: i32,
                pub struct RsaPublicKey {
                    pub self_: i32,
        "#]],
    );
}

#[test]
fn names_that_meet_are_told_apart() {
    check(
        "foo_bar aB:int a_b:int = A;
         fooBar = B;
         option = C;
         view = View;
         views.x = F;
         vec.type = D;
         types.x = E;
         ---functions---
         fooBar = A;",
        expect![[r#"
            pub mod functions {
                pub struct FooBar;
            pub mod types {
                pub mod types_ {
                    pub struct X;
                pub mod vec {
                    pub struct Type;
                pub mod views_ {
                    pub struct X;
                pub struct FooBar {
                    pub a_b: i32,
                    pub a_b2: i32,
                pub struct FooBar2;
                pub struct Option2;
                pub struct View2;
        "#]],
    );
}

#[test]
fn a_type_is_its_only_constructor_or_an_enum() {
    check(
        "one = One;
         two1 = Two;
         two2 a:One b:Two c:two1 d:%One e:Vector<Two> = Two;
         ---functions---
         get = One;
         list {X:Type} query:!X = Vector<Two>;",
        expect![[r#"
            pub mod enums {
                pub enum Two {
            pub mod functions {
                pub struct Get;
                pub struct List<X> {
                    pub query: X,
            pub mod types {
                pub struct One;
                pub struct Two1;
                pub struct Two2 {
                    pub a: One,
                    pub b: Box<enums::Two>,
                    pub c: Two1,
                    pub d: One,
                    pub e: Vec<enums::Two>,
        "#]],
    );
}

#[test]
fn what_may_hold_itself_is_boxed() {
    check(
        "leaf = Tree;
         branch left:Tree rest:Vector<Tree> up:Forest = Tree;
         forest flags:# first:flags.0?Tree last:flags.1?forest fence:Fence = Forest;
         fence = Fence;",
        expect![[r#"
            pub mod enums {
                pub enum Tree {
            pub mod types {
                pub struct Leaf;
                pub struct Branch {
                    pub left: Box<enums::Tree>,
                    pub rest: Vec<enums::Tree>,
                    pub up: Box<Forest>,
                pub struct Forest {
                    pub first: Option<Box<enums::Tree>>,
                    pub last: Option<Box<Forest>>,
                    pub fence: Fence,
                pub struct Fence;
        "#]],
    );
}

#[test]
fn newtypes_apply_to_numbers() {
    let schema = "foo id:long ids:Vector<long> name:string = Foo; bar id:int name:long = Bar;";
    let generator = Generator::new("", "").newtypes([
        ("id", "crate::Id"),
        ("foo.ids", "mtproto_tl::MsgId"),
        ("name", "crate::Name"),
    ]);
    let text = generator.generate_text(&Schema::parse(schema).unwrap()).unwrap();
    let fields: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("        pub ")).collect();
    expect![[r#"
        id: crate::Id,
        ids: Vec<MsgId>,
        name: String,
        id: crate::Id,
        name: crate::Name,
    "#]]
    .assert_eq(&(fields.join("\n") + "\n"));
}

#[test]
fn a_view_borrows_what_a_struct_owns() {
    let schema = Schema::parse(
        "pong id:long = Pong; info id:long names:vector<int> text:string data:bytes = Info;",
    );
    let generator = Generator::new("", "").newtypes([("id", "mtproto_tl::MsgId")]);
    let text = generator.views(["info", "nobody"]).generate_text(&schema.unwrap()).unwrap();
    let (_, views) = text.split_once("pub mod views {\n").unwrap();
    expect![[r#"
            use mtproto_tl::{Constructor, DecodeError, Items, MsgId, Reader, View};

            use super::types;

            /// `info id:long names:vector<int> text:string data:bytes = Info;`
            #[derive(Clone, Copy, Debug, Eq, PartialEq)]
            pub struct Info<'a> {
                pub id: MsgId,
                pub names: Items<'a, i32>,
                pub text: &'a str,
                pub data: &'a [u8],
            }

            impl<'a> View<'a> for Info<'a> {
                fn view(input: &mut Reader<'a>) -> Result<Self, DecodeError> {
                    input.constructor(types::Info::ID)?;
                    Ok(Self {
                        id: View::view(input)?,
                        names: Items::bare(input)?,
                        text: View::view(input)?,
                        data: View::view(input)?,
                    })
                }
            }
        }
    "#]]
    .assert_eq(views);
}

#[test]
fn a_file_of_a_namespace() {
    let schema = Schema::parse("a.point x:int flags:# y:flags.3?a.Point = a.Point;").unwrap();
    let files = Generator::new("a test", "a.tl").generate(&schema).unwrap();
    let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["mod.rs", "types.rs", "types/a.rs"]);
    expect![[r#"
        // @generated by `a test` from `a.tl`. Do not edit.

        use mtproto_tl::{Constructor, Decode, DecodeError, Encode, Reader};

        /// `a.point x:int flags:# y:flags.3?a.Point = a.Point;`
        #[derive(Clone, Debug, Eq, PartialEq)]
        pub struct Point {
            pub x: i32,
            pub y: Option<Box<Point>>,
        }

        impl Constructor for Point {
            const ID: u32 = 0x35d6_28a7;
            const BARE_LEN_MIN: usize = 8;

            fn encode_bare(&self, out: &mut Vec<u8>) {
                self.x.encode(out);
                let flags = u32::from(self.y.is_some()) << 3;
                flags.encode(out);
                if let Some(value) = &self.y {
                    value.encode(out);
                }
            }

            fn decode_bare(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
                let x = Decode::decode(input)?;
                let flags = input.u32()?;
                Ok(Self {
                    x,
                    y: input.optional(flags, 3, Decode::decode)?.map(Box::new),
                })
            }
        }
    "#]]
    .assert_eq(&files[2].contents);
}
