//! Conversations, in virtual time.

mod both;
mod cancelling;
mod client;
mod client_limits;
mod client_refusals;
mod client_talk;
mod client_turns;
mod drop_answer;
mod lossy;
mod quirks;
mod server;
mod server_order;
mod server_queue;
mod server_refusals;
mod server_talk;
mod server_turns;
mod server_turns_links;
mod time;
mod world;

use std::time::Duration;

use mtproto_tl::{MsgId, Raw, ServerTime, functions, types};

pub(crate) use time::start;

const SECOND: Duration = Duration::from_secs(1);

/// What the server's clock shows at [`start`].
fn noon() -> ServerTime {
    ServerTime::from_unix(Duration::from_secs(1_700_000_000))
}

/// A query that no schema knows.
fn query(number: u32) -> Raw {
    let words = [0x1111_1111_u32.to_le_bytes(), number.to_le_bytes()];
    Raw(words.concat().into())
}

/// An object of `len` bytes that gzip makes no shorter.
fn noise(len: usize) -> Raw {
    let mut state = 1_u32;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()
    });
    Raw(words.take(len / 4).flatten().collect::<Vec<_>>().into())
}

fn ping(ping_id: i64) -> functions::Ping {
    functions::Ping { ping_id }
}

fn http_wait(max_delay: i32, wait_after: i32, max_wait: i32) -> types::HttpWait {
    types::HttpWait { max_delay, wait_after, max_wait }
}

fn acks(ids: &[MsgId]) -> types::MsgsAck {
    types::MsgsAck { msg_ids: ids.to_vec() }
}
