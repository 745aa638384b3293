//! What the objects in transcripts are called.

use bytes::Bytes;
use mtproto_pack::{RPC_RESULT_ID, RpcResult};
use mtproto_tl::Constructor;
use mtproto_tl::functions::auth::BindTempAuthKey;

/// The number of the objects that the server echoes.
pub(super) const ECHO_ID: u32 = 0x1234_5678;

/// The name of a boxed object.
pub(super) fn name(object: &Bytes) -> String {
    let id = mtproto_pack::object_id(object);
    match id {
        RPC_RESULT_ID => {
            let result = RpcResult::read(object).expect("both sides encode correctly").result;
            format!("rpc_result({})", name(&result))
        }
        ECHO_ID => String::from_utf8_lossy(&object[4..]).trim_end().to_owned(),
        BindTempAuthKey::ID => "bindTempAuthKey".to_owned(),
        0x997275b5 => "true".to_owned(),
        _ => NAMES
            .iter()
            .find(|(known, _)| *known == id)
            .map_or_else(|| format!("{id:#010x}"), |(_, name)| (*name).to_owned()),
    }
}

macro_rules! names {
    ($($module:ident :: $($name:ident)*;)*) => {
        const NAMES: &[(u32, &str)] =
            &[$($((mtproto_tl::$module::$name::ID, stringify!($name)),)*)*];
    };
}

names! {
    types:: BadMsgNotification BadServerSalt DestroyAuthKeyOk DhGenOk FutureSalts HttpWait MsgsAck
        MsgsAllInfo MsgsStateInfo MsgsStateReq NewSessionCreated Pong ResPq RpcError
        ServerDhParamsOk;
    functions:: DestroyAuthKey GetFutureSalts Ping PingDelayDisconnect ReqDhParams ReqPqMulti
        RpcDropAnswer SetClientDhParams;
}
