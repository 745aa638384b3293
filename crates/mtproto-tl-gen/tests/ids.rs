//! Constructor numbers are the CRC-32 of a declaration's text.

use mtproto_tl_gen::{Schema, constructor_id};

#[test]
fn published_numbers() {
    let known = [
        ("int ? = Int", 0xa850_9bda),
        ("long ? = Long", 0x2207_6cba),
        ("double ? = Double", 0x2210_c154),
        ("string ? = String", 0xb528_6e24),
        ("vector {t:Type} # [ t ] = Vector t", 0x1cb5_c415),
        ("boolFalse = Bool", 0xbc79_9737),
        ("boolTrue = Bool", 0x9972_75b5),
        ("user id:int first_name:string last_name:string = User", 0xd23c_81a3),
        ("getUsers Vector<int> = Vector<User>", 0x2d84_d5f5),
        ("getUsers (Vector int) = Vector User", 0x2d84_d5f5),
        ("message msg_id:long seqno:int bytes:int body:Object = Message", 0x5bb8_e511),
        ("msg_container messages:vector message = MessageContainer", 0x73f1_f8dc),
        ("msg_container messages:vector<%Message> = MessageContainer", 0x29c1_636d),
        ("int128 4*[ int ] = Int128", 0x84cc_f7b7),
    ];
    for (text, id) in known {
        assert_eq!(constructor_id(text), id, "{text}");
    }
}

#[test]
fn bytes_count_as_string_but_not_in_a_vector() {
    let known = [
        "gzip_packed#3072cfa1 packed_data:bytes = Object;",
        "messages.sendVote#10ea6184 peer:InputPeer msg_id:int options:Vector<bytes> = Updates;",
        "wallet.enableBackup#4500c525 flags:# parts:Vector<bytes> new_public_key:flags.1?bytes \
         proof:flags.2?WalletOwnershipProof = WalletState;",
        "inputMediaPhotoExternal#e5bbfe1a flags:# spoiler:flags.1?true url:string \
         ttl_seconds:flags.0?int = InputMedia;",
    ];
    for text in known {
        let schema = Schema::parse(text).unwrap();
        let declaration = &schema.declarations[0];
        assert_eq!(Some(constructor_id(&declaration.text)), declaration.id, "{text}");
    }
}

#[test]
fn every_number_of_the_service_schema_but_one_follows_the_rule() {
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../schema/mtproto.tl"));
    let schema = Schema::parse(text).unwrap();
    let numbered = schema.declarations.iter().filter(|it| it.id.is_some());
    let odd: Vec<&str> = numbered
        .filter(|it| it.id != Some(constructor_id(&it.text)))
        .map(|it| it.name.as_str())
        .collect();
    assert_eq!(odd, ["msg_container"]);
}
