//! Who answers the queries of `mtproto serve`.

use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use mtproto_kit::server::{Request, RpcError, SessionHandle, method_invalid};
use mtproto_kit::tl::{Encode, Function};
use tower_service::Service;
use tracing::debug;

use crate::generated::demo::functions::demo as functions;
use crate::generated::demo::types::demo as types;
use crate::tickets::Tickets;

/// The longest `demo.sleep`, in milliseconds.
const SLEEP_MS_MAX: i32 = 15 * 60 * 1000;
/// The largest `demo.blob`, in bytes.
const BLOB_LEN_MAX: i32 = 512 << 10;
/// The most ticks of one `demo.subscribe`.
const TICKS_MAX: i32 = 100_000;

type Answer = Result<Bytes, RpcError>;
type Pending = Pin<Box<dyn Future<Output = Answer>>>;

/// Answers `schema/demo.tl`.
#[derive(Clone)]
pub(crate) struct Demo {
    tickets: Arc<Mutex<Tickets>>,
}

impl Demo {
    pub(crate) fn new(tickets: Tickets) -> Self {
        Self { tickets: Arc::new(Mutex::new(tickets)) }
    }
}

/// Returns each query's own bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Echo;

/// Answers `METHOD_INVALID` to everything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reject;

macro_rules! service {
    ($name:ident, $future:ty, $answer:expr) => {
        impl Service<Request> for $name {
            type Response = Bytes;
            type Error = RpcError;
            type Future = $future;

            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), RpcError>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: Request) -> Self::Future {
                $answer(self, request)
            }
        }
    };
}

service!(Demo, Pending, |demo: &Self, request| Box::pin(answer(demo.clone(), request)));
service!(Echo, Ready<Answer>, |_, request: Request| ready(Ok(request.query)));
service!(Reject, Ready<Answer>, |_, _| ready(Err(method_invalid())));

async fn answer(demo: Demo, request: Request) -> Answer {
    if let Some(echo) = request.decode::<functions::Echo>() {
        return answer_to::<functions::Echo>(types::Text { text: echo?.text });
    }
    if let Some(sleep) = request.decode::<functions::Sleep>() {
        let delay = in_range(sleep?.delay_ms, SLEEP_MS_MAX, "DELAY_INVALID")?;
        tokio::time::sleep(Duration::from_millis(delay)).await;
        return answer_to::<functions::Sleep>(types::Done);
    }
    if let Some(fail) = request.decode::<functions::Fail>() {
        let fail = fail?;
        return Err(RpcError::new(fail.code, fail.text));
    }
    if let Some(blob) = request.decode::<functions::Blob>() {
        let len = in_range(blob?.size, BLOB_LEN_MAX, "SIZE_INVALID")?;
        let data = (0..len).map(|index| index as u8).collect::<Vec<_>>();
        return answer_to::<functions::Blob>(types::Blob { data: data.into() });
    }
    if let Some(subscribe) = request.decode::<functions::Subscribe>() {
        let subscribe = subscribe?;
        in_range(subscribe.count, TICKS_MAX, "COUNT_INVALID")?;
        let interval = in_range(subscribe.interval_ms, SLEEP_MS_MAX, "INTERVAL_INVALID")?;
        let interval = Duration::from_millis(interval);
        tokio::spawn(tick(request.session, subscribe.count, interval));
        return answer_to::<functions::Subscribe>(types::Done);
    }
    if let Some(take) = request.decode::<functions::Take>() {
        let holder = take?.holder;
        let mut tickets = demo.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        let number = tickets.take(holder, &request)?;
        return answer_to::<functions::Take>(types::Ticket { holder, number });
    }
    Err(method_invalid())
}

/// Pushes until it has, or until the session is gone or does not keep up.
async fn tick(session: SessionHandle, count: i32, interval: Duration) {
    for number in 1..=count {
        tokio::time::sleep(interval).await;
        if let Err(error) = session.push(&types::Tick { number, count }).await {
            return debug!(?session, %error, "a subscription ended early");
        }
    }
}

fn answer_to<F: Function>(response: F::Response) -> Answer
where
    F::Response: Encode,
{
    Ok(response.to_bytes())
}

fn in_range(value: i32, max: i32, error: &str) -> Result<u64, RpcError> {
    u64::try_from(value).ok().filter(|_| value <= max).ok_or_else(|| RpcError::new(400, error))
}
