//! Generated code against its schema: values are made from the schema's text by an interpreter of
//! its own, so that the generator does not only agree with itself.

mod interpreter;

#[rustfmt::skip]
mod generated {
    pub(crate) mod forms;
}

use std::collections::BTreeSet;

use interpreter::Interpreter;
use mtproto_tl::bytes::Bytes;
use mtproto_tl::{
    Decode, DecodeError, Encode, Raw, View, enums, functions, types, views, wrappers,
};
use mtproto_tl_gen::{Body, Schema, Section};
use proptest::collection::vec;
use proptest::prelude::*;

/// A declaration's name with its section, and the check of its Rust type.
type Case = (&'static str, fn(&[u8]) -> Result<(), TestCaseError>);

macro_rules! cases {
    ($($name:literal $ty:ty;)*) => { &[$(($name, check::<$ty> as fn(&[u8]) -> _)),*] };
}

/// `bytes` is one value: it reads and is written back as it was, and no part of it passes as one.
fn check<T: Decode + Encode>(bytes: &[u8]) -> Result<(), TestCaseError> {
    let value = T::from_slice(bytes).map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(&value.to_bytes()[..], bytes);
    let shared = T::from_bytes(&Bytes::copy_from_slice(bytes));
    prop_assert_eq!(&shared.map(|it| it.to_bytes()).unwrap_or_default()[..], bytes);
    prop_assert!(T::LEN_MIN <= bytes.len(), "the least length is {}", T::LEN_MIN);
    for cut in 0..bytes.len() {
        // Only an object left as it is may end anywhere.
        if let Ok(shorter) = T::from_slice(&bytes[..cut]) {
            prop_assert_eq!(&shorter.to_bytes()[..], &bytes[..cut]);
            prop_assert!(holds_raw::<T>());
        }
    }
    if !holds_raw::<T>() {
        let longer = [bytes, &[0; 4]].concat();
        prop_assert_eq!(T::from_slice(&longer).err(), Some(DecodeError::Trailing { bytes: 4 }));
    }
    Ok(())
}

fn holds_raw<T>() -> bool {
    let name = std::any::type_name::<T>();
    name.contains("Raw") || name.contains("forms::Tail")
}

/// Checks the values that `seed` makes of every declaration, and that none is missing in `cases`.
fn check_schema(text: &str, seed: u64, cases: &[Case]) -> Result<(), TestCaseError> {
    let schema = Schema::parse(text).unwrap();
    let mut interpreter = Interpreter::new(&schema, seed);
    let mut checked = BTreeSet::new();
    for declaration in &schema.declarations {
        let name = match declaration.section {
            Section::Functions => format!("{}()", declaration.name),
            Section::Types => declaration.name.clone(),
        };
        let is_ours = declaration.body == Body::Builtin || BY_HAND.contains(&name.as_str());
        let mut found = is_ours;
        for (_, check) in cases.iter().filter(|(case, _)| *case == name) {
            found = true;
            check(&interpreter.boxed(declaration))?;
        }
        prop_assert!(found, "no case for `{name}`");
        checked.insert(name);
    }
    let strangers: Vec<_> = cases.iter().filter(|(case, _)| !checked.contains(*case)).collect();
    prop_assert!(strangers.is_empty(), "not in the schema: {strangers:?}");
    Ok(())
}

/// Of `bytes`, of every part of them, and of more, a view says what the struct says.
fn check_view<'a, V: View<'a>, T: Decode + Encode>(
    bytes: &'a [u8],
    own: fn(V) -> T,
) -> Result<(), TestCaseError> {
    for len in 0..=bytes.len() {
        let (view, owned) = (V::of(&bytes[..len]).map(own), T::from_slice(&bytes[..len]));
        // As bytes: a number that is none does not equal itself.
        prop_assert_eq!(view.map(|it| it.to_bytes()), owned.map(|it| it.to_bytes()));
    }
    Ok(())
}

/// The boxed `name` of the schema `text`, with values that `seed` makes, and something behind it.
fn boxed(text: &str, name: &str, seed: u64) -> Vec<u8> {
    let schema = Schema::parse(text).unwrap();
    let declaration = schema.declarations.iter().find(|it| it.name == name).unwrap();
    let mut bytes = Interpreter::new(&schema, seed).boxed(declaration);
    bytes.extend([0; 4]);
    bytes
}

/// Not generated: the built-in ones, and what `mtproto-pack` reads.
const BY_HAND: &[&str] =
    &["boolFalse", "boolTrue", "gzip_packed", "message", "msg_container", "msg_copy", "rpc_result"];

proptest! {
    #[test]
    fn service_messages(seed: u64) {
        let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../schema/mtproto.tl"));
        check_schema(text, seed, SERVICE)?;
    }

    #[test]
    fn wrappers_of_the_api(seed: u64) {
        let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../schema/wrappers.tl"));
        check_schema(text, seed, WRAPPERS)?;
    }

    #[test]
    fn every_form(seed: u64) {
        let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../schema/forms.tl"));
        check_schema(text, seed, FORMS)?;
    }

    #[test]
    fn views_say_what_structs_say(seed: u64, noise: u8, at: proptest::sample::Index) {
        let service = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../schema/mtproto.tl"));
        let forms = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../schema/forms.tl"));
        for (text, cases) in [(service, SERVICE_VIEWS), (forms, FORMS_VIEWS)] {
            for (name, check) in cases {
                let mut bytes = boxed(text, name, seed);
                check(&bytes)?;
                // Damaged, too: an id, a count, a length, or only a value.
                *at.get_mut(&mut bytes) = noise;
                check(&bytes)?;
            }
        }
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(seed: u64, noise in vec(any::<u8>(), 0..64)) {
        let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../schema/forms.tl"));
        let schema = Schema::parse(text).unwrap();
        let mut interpreter = Interpreter::new(&schema, seed);
        for declaration in &schema.declarations {
            let mut bytes = interpreter.boxed(declaration);
            let at = usize::from(*noise.first().unwrap_or(&0)) % bytes.len();
            bytes.splice(at.., noise.iter().copied());
            for (_, check) in FORMS.iter().filter(|(name, _)| *name == declaration.name) {
                // An error is as good as a value: what counts is that one of them comes back.
                let _ = check(&bytes);
            }
        }
    }
}

const SERVICE: &[Case] = cases! {
    "true" types::True;
    "null" types::Null;
    "resPQ" types::ResPq;
    "p_q_inner_data" types::PQInnerData;
    "p_q_inner_data" enums::PQInnerData;
    "p_q_inner_data_dc" types::PQInnerDataDc;
    "p_q_inner_data_dc" enums::PQInnerData;
    "p_q_inner_data_temp" types::PQInnerDataTemp;
    "p_q_inner_data_temp" enums::PQInnerData;
    "p_q_inner_data_temp_dc" types::PQInnerDataTempDc;
    "p_q_inner_data_temp_dc" enums::PQInnerData;
    "server_DH_params_fail" types::ServerDhParamsFail;
    "server_DH_params_fail" enums::ServerDhParams;
    "server_DH_params_ok" types::ServerDhParamsOk;
    "server_DH_params_ok" enums::ServerDhParams;
    "server_DH_inner_data" types::ServerDhInnerData;
    "client_DH_inner_data" types::ClientDhInnerData;
    "dh_gen_ok" types::DhGenOk;
    "dh_gen_ok" enums::SetClientDhParamsAnswer;
    "dh_gen_retry" types::DhGenRetry;
    "dh_gen_retry" enums::SetClientDhParamsAnswer;
    "dh_gen_fail" types::DhGenFail;
    "dh_gen_fail" enums::SetClientDhParamsAnswer;
    "bind_auth_key_inner" types::BindAuthKeyInner;
    "rsa_public_key" types::RsaPublicKey;
    "rpc_error" types::RpcError;
    "rpc_answer_unknown" types::RpcAnswerUnknown;
    "rpc_answer_unknown" enums::RpcDropAnswer;
    "rpc_answer_dropped_running" types::RpcAnswerDroppedRunning;
    "rpc_answer_dropped_running" enums::RpcDropAnswer;
    "rpc_answer_dropped" types::RpcAnswerDropped;
    "rpc_answer_dropped" enums::RpcDropAnswer;
    "future_salt" types::FutureSalt;
    "future_salts" types::FutureSalts;
    "pong" types::Pong;
    "destroy_session_ok" types::DestroySessionOk;
    "destroy_session_ok" enums::DestroySessionRes;
    "destroy_session_none" types::DestroySessionNone;
    "destroy_session_none" enums::DestroySessionRes;
    "new_session_created" types::NewSessionCreated;
    "msgs_ack" types::MsgsAck;
    "bad_msg_notification" types::BadMsgNotification;
    "bad_msg_notification" enums::BadMsgNotification;
    "bad_server_salt" types::BadServerSalt;
    "bad_server_salt" enums::BadMsgNotification;
    "msg_resend_req" types::MsgResendReq;
    "msg_resend_req" enums::MsgResendReq;
    "msg_resend_ans_req" types::MsgResendAnsReq;
    "msg_resend_ans_req" enums::MsgResendReq;
    "msgs_state_req" types::MsgsStateReq;
    "msgs_state_info" types::MsgsStateInfo;
    "msgs_all_info" types::MsgsAllInfo;
    "msg_detailed_info" types::MsgDetailedInfo;
    "msg_detailed_info" enums::MsgDetailedInfo;
    "msg_new_detailed_info" types::MsgNewDetailedInfo;
    "msg_new_detailed_info" enums::MsgDetailedInfo;
    "destroy_auth_key_ok" types::DestroyAuthKeyOk;
    "destroy_auth_key_ok" enums::DestroyAuthKeyRes;
    "destroy_auth_key_none" types::DestroyAuthKeyNone;
    "destroy_auth_key_none" enums::DestroyAuthKeyRes;
    "destroy_auth_key_fail" types::DestroyAuthKeyFail;
    "destroy_auth_key_fail" enums::DestroyAuthKeyRes;
    "http_wait" types::HttpWait;
    "req_pq()" functions::ReqPq;
    "req_pq_multi()" functions::ReqPqMulti;
    "req_DH_params()" functions::ReqDhParams;
    "set_client_DH_params()" functions::SetClientDhParams;
    "rpc_drop_answer()" functions::RpcDropAnswer;
    "get_future_salts()" functions::GetFutureSalts;
    "ping()" functions::Ping;
    "ping_delay_disconnect()" functions::PingDelayDisconnect;
    "destroy_session()" functions::DestroySession;
    "destroy_auth_key()" functions::DestroyAuthKey;
    "auth.bindTempAuthKey()" functions::auth::BindTempAuthKey;
    "invokeAfterMsg()" functions::InvokeAfterMsg<Raw>;
    "invokeAfterMsgs()" functions::InvokeAfterMsgs<Raw>;
};

const SERVICE_VIEWS: &[Case] = &[
    ("msgs_ack", |bytes| {
        check_view(bytes, |it: views::MsgsAck<'_>| types::MsgsAck { msg_ids: it.msg_ids.to_vec() })
    }),
    ("msg_resend_req", |bytes| {
        check_view(bytes, |it: views::MsgResendReq<'_>| types::MsgResendReq {
            msg_ids: it.msg_ids.to_vec(),
        })
    }),
    ("msg_resend_ans_req", |bytes| {
        check_view(bytes, |it: views::MsgResendAnsReq<'_>| types::MsgResendAnsReq {
            msg_ids: it.msg_ids.to_vec(),
        })
    }),
    ("msgs_state_req", |bytes| {
        check_view(bytes, |it: views::MsgsStateReq<'_>| types::MsgsStateReq {
            msg_ids: it.msg_ids.to_vec(),
        })
    }),
    ("msgs_state_info", |bytes| {
        check_view(bytes, |it: views::MsgsStateInfo<'_>| types::MsgsStateInfo {
            req_msg_id: it.req_msg_id,
            info: Bytes::copy_from_slice(it.info),
        })
    }),
    ("msgs_all_info", |bytes| {
        check_view(bytes, |it: views::MsgsAllInfo<'_>| types::MsgsAllInfo {
            msg_ids: it.msg_ids.to_vec(),
            info: Bytes::copy_from_slice(it.info),
        })
    }),
];

const FORMS_VIEWS: &[Case] = &[("forms.lists", |bytes| {
    check_view(bytes, |it: generated::forms::views::forms::Lists<'_>| {
        generated::forms::types::forms::Lists {
            a: it.a,
            b: it.b.to_owned(),
            c: Bytes::copy_from_slice(it.c),
            d: it.d,
            e: it.e,
            f: it.f.to_vec(),
            g: it.g.to_vec(),
            h: it.h.to_vec(),
        }
    })
})];

const WRAPPERS: &[Case] = cases! {
    "inputClientProxy" wrappers::types::InputClientProxy;
    "jsonNull" wrappers::enums::JsonValue;
    "jsonBool" wrappers::enums::JsonValue;
    "jsonNumber" wrappers::enums::JsonValue;
    "jsonString" wrappers::enums::JsonValue;
    "jsonArray" wrappers::enums::JsonValue;
    "jsonObject" wrappers::enums::JsonValue;
    "jsonObjectValue" wrappers::types::JsonObjectValue;
    "invokeWithLayer()" wrappers::functions::InvokeWithLayer<Raw>;
    "invokeWithoutUpdates()" wrappers::functions::InvokeWithoutUpdates<Raw>;
    "initConnection()" wrappers::functions::InitConnection<Raw>;
    "help.getConfig()" wrappers::functions::help::GetConfig;
    "help.getNearestDc()" wrappers::functions::help::GetNearestDc;
};

const FORMS: &[Case] = cases! {
    "true" generated::forms::types::True;
    "forms.empty" generated::forms::types::forms::Empty;
    "forms.leaves" generated::forms::types::forms::Leaves;
    "forms.point" generated::forms::types::forms::Point;
    "forms.boxed" generated::forms::types::forms::Boxed;
    "forms.vectors" generated::forms::types::forms::Vectors;
    "forms.lists" generated::forms::types::forms::Lists;
    "forms.nested" generated::forms::types::forms::Nested;
    "forms.words" generated::forms::types::forms::Words;
    "forms.shared" generated::forms::types::forms::Shared;
    "forms.leaf" generated::forms::enums::forms::Tree;
    "forms.branch" generated::forms::enums::forms::Tree;
    "forms.maybe" generated::forms::types::forms::Maybe;
    "forms.keywords" generated::forms::types::forms::Keywords;
    "option" generated::forms::types::Option2;
    "forms.tail" generated::forms::types::forms::Tail;
    "forms.late" generated::forms::types::forms::Late;
    "forms.call()" generated::forms::functions::forms::Call<Raw>;
    "forms.list()" generated::forms::functions::forms::List;
    "forms.raw()" generated::forms::functions::forms::Raw2;
};
