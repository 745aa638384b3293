//! What an application is asked, and how it answers.

use std::future::Future;
use std::task::{Context, Poll};

use bytes::Bytes;
use mtproto_pack::RpcError;
use mtproto_tl::{AuthKeyId, Constructor, Decode, DecodeError, Function, MsgId};
use tower_service::Service;

use crate::SessionHandle;

/// One query of a client.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// The session that it came in; pushes go there.
    pub session: SessionHandle,
    /// The message that brought it.
    pub msg_id: MsgId,
    /// The permanent key on whose behalf it came. `None` only for the few queries that a temporary
    /// key may make before it is bound.
    pub identity: Option<AuthKeyId>,
    /// One boxed object, without `invokeWithLayer`, `initConnection`, `invokeWithoutUpdates`,
    /// `invokeAfterMsg(s)` and gzip around it.
    pub query: Bytes,
    /// The query as it came, wrappers included.
    pub wrapped: Bytes,
    /// What `invokeWithLayer` named.
    pub layer: Option<i32>,
    /// Whether `invokeWithoutUpdates` was among the wrappers.
    pub without_updates: bool,
}

impl Request {
    pub(crate) fn new(session: SessionHandle, request: mtproto_endpoint::server::Request) -> Self {
        let content = request.content;
        Self {
            session,
            msg_id: content.id,
            identity: request.identity,
            query: content.query,
            wrapped: content.wrapped,
            layer: content.layer,
            without_updates: content.without_updates,
        }
    }

    /// Reads the query as the function `F`. `None` if it is another one.
    ///
    /// # Errors
    /// 400 `INPUT_REQUEST_INVALID` when it is `F`, but cannot be read.
    #[must_use]
    pub fn decode<F: Function + Constructor>(&self) -> Option<Result<F, RpcError>> {
        match F::from_bytes(&self.query) {
            Err(DecodeError::UnknownConstructor { id }) if id != F::ID => None,
            read => Some(read.map_err(|_| RpcError::new(400, "INPUT_REQUEST_INVALID"))),
        }
    }
}

/// The answer to a query that the application does not know.
#[must_use]
pub fn method_invalid() -> RpcError {
    RpcError::new(400, "METHOD_INVALID")
}

/// A service made of a function from a request to a future of its answer.
///
/// ```
/// use mtproto_server::{Request, handler_fn};
///
/// let echo = handler_fn(|request: Request| async move { Ok(request.query) });
/// # let _ = echo;
/// ```
pub fn handler_fn<F, R>(handler: F) -> HandlerFn<F>
where
    F: FnMut(Request) -> R,
    R: Future<Output = Result<Bytes, RpcError>>,
{
    HandlerFn(handler)
}

/// See [`handler_fn`].
#[derive(Clone, Debug)]
pub struct HandlerFn<F>(F);

impl<F, R> Service<Request> for HandlerFn<F>
where
    F: FnMut(Request) -> R,
    R: Future<Output = Result<Bytes, RpcError>>,
{
    type Response = Bytes;
    type Error = RpcError;
    type Future = R;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), RpcError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> R {
        (self.0)(request)
    }
}
