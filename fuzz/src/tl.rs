//! Every decoder of the service schema and of the API's wrappers.

use bytes::Bytes;
use mtproto_tl::wrappers::functions as wrappers;
use mtproto_tl::{Constructor, Decode, Encode, Raw, Reader, View, enums, functions, types, views};

/// Decodes bytes as everything there is.
///
/// A value is written as the bytes that it was read from, byte strings in an odd form aside: then
/// it is written shorter or with other filler, and reading that gives the same value.
pub fn tl(data: &[u8]) {
    let (choice, rest) = data.split_first().unwrap_or((&0, &[]));
    let id = IDS[usize::from(*choice) % IDS.len()];
    let object = Bytes::from([&id.to_le_bytes(), rest].concat());
    CHECKS.iter().for_each(|check| check(&object));
    VIEWS.iter().for_each(|check| check(&object));
}

fn check<T: Decode + Encode>(object: &Bytes) {
    let mut input = Reader::shared(object);
    let Ok(value) = T::decode(&mut input) else { return };
    let consumed = object.len() - input.remaining();
    let written = value.to_bytes();
    assert!(consumed >= T::LEN_MIN && written.len() <= consumed);
    if !HOLDS_BYTE_STRINGS.contains(&Reader::new(object).peek_u32().unwrap_or_default()) {
        assert_eq!(written, object.slice(..consumed));
    }
    let again = T::from_bytes(&written).expect("what was written reads");
    assert_eq!(again.to_bytes(), written);
    let copied = T::from_slice(&written).expect("what was written reads");
    assert_eq!(copied.to_bytes(), written);
}

/// A view accepts what the struct accepts, and ends where it ends.
fn check_view<'a, V: View<'a>, T: Decode>(object: &'a Bytes) {
    let (mut lying, mut taken) = (Reader::new(object), Reader::new(object));
    let (view, value) = (V::view(&mut lying).map(drop), T::decode(&mut taken).map(drop));
    assert_eq!(view, value);
    assert!(value.is_err() || lying.remaining() == taken.remaining());
}

macro_rules! all {
    (constructors: $($constructor:ty),*; enums: $($enum:ty),*; views: $($view:ident),*;) => {
        const IDS: &[u32] = &[$(<$constructor>::ID),*];
        const CHECKS: &[fn(&Bytes)] = &[$(check::<$constructor>,)* $(check::<$enum>),*];
        const VIEWS: &[fn(&Bytes)] =
            &[$(|object| check_view::<views::$view<'_>, types::$view>(object)),*];
    };
}

all! {
    constructors:
        types::True, types::Null, types::ResPq, types::PQInnerData, types::PQInnerDataDc,
        types::PQInnerDataTemp, types::PQInnerDataTempDc, types::ServerDhParamsFail,
        types::ServerDhParamsOk, types::ServerDhInnerData, types::ClientDhInnerData,
        types::DhGenOk, types::DhGenRetry, types::DhGenFail, types::BindAuthKeyInner,
        types::RsaPublicKey, types::RpcError, types::RpcAnswerUnknown,
        types::RpcAnswerDroppedRunning, types::RpcAnswerDropped, types::FutureSalt,
        types::FutureSalts, types::Pong, types::DestroySessionOk, types::DestroySessionNone,
        types::NewSessionCreated, types::MsgsAck, types::BadMsgNotification,
        types::BadServerSalt, types::MsgResendReq, types::MsgResendAnsReq, types::MsgsStateReq,
        types::MsgsStateInfo, types::MsgsAllInfo, types::MsgDetailedInfo,
        types::MsgNewDetailedInfo, types::DestroyAuthKeyOk, types::DestroyAuthKeyNone,
        types::DestroyAuthKeyFail, types::HttpWait, functions::ReqPq, functions::ReqPqMulti,
        functions::ReqDhParams, functions::SetClientDhParams, functions::RpcDropAnswer,
        functions::GetFutureSalts, functions::Ping, functions::PingDelayDisconnect,
        functions::DestroySession, functions::DestroyAuthKey, functions::auth::BindTempAuthKey,
        functions::InvokeAfterMsg<Raw>, functions::InvokeAfterMsgs<Raw>,
        wrappers::InvokeWithLayer<Raw>, wrappers::InvokeWithoutUpdates<Raw>,
        wrappers::InitConnection<Raw>, wrappers::help::GetConfig, wrappers::help::GetNearestDc;
    enums:
        enums::PQInnerData, enums::ServerDhParams, enums::SetClientDhParamsAnswer,
        enums::RpcDropAnswer, enums::DestroySessionRes, enums::BadMsgNotification,
        enums::MsgResendReq, enums::MsgDetailedInfo, enums::DestroyAuthKeyRes;
    views:
        MsgResendAnsReq, MsgResendReq, MsgsAck, MsgsAllInfo, MsgsStateInfo, MsgsStateReq;
}

/// Objects with fields of `bytes` or `string`, and those with flags that nobody knows.
const HOLDS_BYTE_STRINGS: &[u32] = &[
    types::ResPq::ID,
    types::PQInnerData::ID,
    types::PQInnerDataDc::ID,
    types::PQInnerDataTemp::ID,
    types::PQInnerDataTempDc::ID,
    types::ServerDhParamsOk::ID,
    types::ServerDhInnerData::ID,
    types::ClientDhInnerData::ID,
    types::RsaPublicKey::ID,
    types::RpcError::ID,
    types::MsgsStateInfo::ID,
    types::MsgsAllInfo::ID,
    functions::ReqDhParams::ID,
    functions::SetClientDhParams::ID,
    functions::auth::BindTempAuthKey::ID,
    wrappers::InitConnection::<Raw>::ID,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_schema_is_missing() {
        let schema = include_str!("../../schema/mtproto.tl");
        let lines = schema.lines().filter(|line| !line.starts_with("//"));
        for (name, rest) in lines.filter_map(|line| line.split_once('#')) {
            let id = rest.split(' ').next().and_then(|id| u32::from_str_radix(id, 16).ok());
            let is_there = id.is_some_and(|id| IDS.contains(&id));
            assert!(is_there || BY_HAND.contains(&name), "{name}");
        }
    }

    /// Built in, or read by `mtproto-pack`.
    const BY_HAND: &[&str] = &[
        "int",
        "long",
        "double",
        "string",
        "vector",
        "boolFalse",
        "boolTrue",
        "gzip_packed",
        "message",
        "msg_container",
        "msg_copy",
        "rpc_result",
    ];
}
