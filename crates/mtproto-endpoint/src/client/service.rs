//! The objects that the protocol keeps for itself.
//!
//! The server does not answer them as it answers a query, so a request made of one would wait
//! forever. All of them are sent where they are needed, without anybody's asking.

use mtproto_pack::{CONTAINER_ID, MSG_COPY_ID, RPC_RESULT_ID};
use mtproto_tl::Constructor;

/// What the schema calls the service message `id`; `None` for anything that may be a query.
pub(super) fn name(id: u32) -> Option<&'static str> {
    NAMES.iter().find(|(known, _)| *known == id).map(|(_, name)| *name)
}

macro_rules! names {
    ($($module:ident { $($kind:ident = $name:literal,)* })*) => {
        const NAMES: &[(u32, &str)] = &[
            (CONTAINER_ID, "msg_container"),
            (MSG_COPY_ID, "msg_copy"),
            (RPC_RESULT_ID, "rpc_result"),
            $($((mtproto_tl::$module::$kind::ID, $name),)*)*
        ];
    };
}

names! {
    functions {
        DestroyAuthKey = "destroy_auth_key",
        DestroySession = "destroy_session",
        GetFutureSalts = "get_future_salts",
        Ping = "ping",
        PingDelayDisconnect = "ping_delay_disconnect",
        ReqDhParams = "req_DH_params",
        ReqPq = "req_pq",
        ReqPqMulti = "req_pq_multi",
        RpcDropAnswer = "rpc_drop_answer",
        SetClientDhParams = "set_client_DH_params",
    }
    types {
        HttpWait = "http_wait",
        MsgResendAnsReq = "msg_resend_ans_req",
        MsgResendReq = "msg_resend_req",
        MsgsAck = "msgs_ack",
        MsgsAllInfo = "msgs_all_info",
        MsgsStateInfo = "msgs_state_info",
        MsgsStateReq = "msgs_state_req",
        Pong = "pong",
    }
}
