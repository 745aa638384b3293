//! The handle of a running client.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use mtproto_endpoint::client::{Closed, KeyMade, LOG_OUT_MAX, RequestOptions, State};
use mtproto_store::StoreError;
use mtproto_tl::{AuthKeyId, Decode, Function};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::actor::{Command, Ending};
use crate::cancel::{CallId, CancelOnDrop, Cancellations};
use crate::clock::now;
use crate::events::Unclaimed;
use crate::{Call, CallError, CallOptions, ClientBuilder, Events, InvokeError, LogOutError};

/// How long [`Client::shutdown`] takes at most.
pub const SHUTDOWN_MAX: Duration = Duration::from_secs(5);

/// A client of one server: it keeps a connection, makes it again when it breaks, and carries
/// requests over all of that.
///
/// It is a handle, cheap to clone. The client stops when [`Client::shutdown`] is called or the last
/// handle is dropped.
///
/// Every method is cancel-safe in the sense of `tokio::select!`: a future that is dropped leaves
/// the client as able as before, and what a dropped call means to the server its own text says.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) cancellations: Arc<Cancellations>,
    pub(crate) ending: Arc<Ending>,
    pub(crate) state: watch::Receiver<State>,
    pub(crate) info: watch::Receiver<ConnectInfo>,
    pub(crate) save_error: watch::Receiver<Option<Arc<StoreError>>>,
    pub(crate) events: Mutex<Option<Unclaimed>>,
    pub(crate) calls: AtomicU64,
    pub(crate) actor: Mutex<Option<JoinHandle<()>>>,
}

/// How the client came to be connected.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ConnectInfo {
    /// The key that messages are encrypted with now.
    pub key: Option<AuthKeyId>,
    /// Whether the permanent key was stored from an earlier time.
    pub key_reused: bool,
    /// What the exchange of the permanent key took, if it was made in this run.
    pub exchange: Option<Duration>,
    /// What the exchange of the last temporary key took.
    pub temporary_exchange: Option<Duration>,
    /// Time from the start of the client until it was ready the first time.
    pub ready_after: Option<Duration>,
    /// How often it became ready; more than once means that it came back.
    pub connections: u64,
}

impl ConnectInfo {
    pub(crate) fn add(&mut self, made: &KeyMade) {
        if made.temporary {
            self.temporary_exchange = Some(made.took);
        } else {
            self.exchange = Some(made.took);
            self.key_reused = false;
        }
    }
}

impl Client {
    /// Describes a client; `connect` starts it.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    pub(crate) fn new(shared: Shared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    /// Sends one boxed object as a query and waits for its result, reconnects included.
    ///
    /// Dropping the future cancels the query: the server is told to drop the answer, and may or may
    /// not have carried it out.
    ///
    /// # Errors
    /// See [`CallError`].
    // req: S6
    pub async fn call(&self, object: impl Into<Bytes>) -> Result<Bytes, CallError> {
        self.begin(object, CallOptions::default()).await?.result().await
    }

    /// The same, given up after `limit`.
    ///
    /// Dropping the future cancels the query, as does the limit.
    ///
    /// # Errors
    /// `TimedOut` after `limit`; else see [`CallError`].
    pub async fn call_within(
        &self,
        object: impl Into<Bytes>,
        limit: Duration,
    ) -> Result<Bytes, CallError> {
        let options = CallOptions { limit: Some(limit), ..CallOptions::default() };
        self.begin(object, options).await?.result().await
    }

    /// Begins to send one boxed object as a query; the [`Call`] waits for what comes of it. While
    /// the client is full of calls, this waits to be taken.
    ///
    /// Dropping the future leaves nothing behind: the query is not sent.
    ///
    /// # Errors
    /// `Stopped` or `Closed`; `TimedOut` if the limit passes first.
    pub async fn begin(
        &self,
        object: impl Into<Bytes>,
        options: CallOptions,
    ) -> Result<Call, CallError> {
        let (object, options) = (object.into(), options.since(now()));
        let id = CallId(self.shared.calls.fetch_add(1, Ordering::Relaxed));
        let (reply, result) = oneshot::channel();
        let (note, noted) = options.quick_ack.then(oneshot::channel).unzip();
        let command = Command::Call { id, object, options, reply, received: note };
        within(options, self.command(command)).await?;
        let guard = CancelOnDrop::new(id, Arc::clone(&self.shared.cancellations));
        Ok(Call::new(guard, result, noted))
    }

    /// Calls a function of a schema and waits for its typed result.
    ///
    /// Dropping the future cancels the query, as with [`Client::call`]. The protocol's own
    /// functions, such as `ping`, are not called in this way: the client uses them itself.
    ///
    /// # Errors
    /// [`Misuse::NotAQuery`](crate::Misuse::NotAQuery) for one of those; `Result` if the result is
    /// not what the schema says; else see [`CallError`].
    pub async fn invoke<F: Function>(&self, function: &F) -> Result<F::Response, InvokeError> {
        let result = self.call(function.to_bytes()).await?;
        Ok(F::Response::from_bytes(&result)?)
    }

    /// Measures the time to the server and back, once there is a connection.
    ///
    /// A ping whose connection breaks is sent again on the next one. Dropping the future forgets
    /// it.
    ///
    /// # Errors
    /// `Closed` or `Stopped`.
    pub async fn ping(&self) -> Result<Duration, CallError> {
        let (reply, answer) = oneshot::channel();
        self.command(Command::Ping { reply }).await?;
        answer.await.unwrap_or(Err(CallError::Stopped))
    }

    /// Begins another session and lets the server destroy the present one, with every answer that
    /// waits in it. After many calls were dropped that is cheaper than cancelling each. Calls under
    /// way go on; they are made again, and may be carried out again.
    ///
    /// Dropping the future before it is done may or may not call it off.
    ///
    /// # Errors
    /// `Closed` or `Stopped`.
    // req: S12
    pub async fn replace_session(&self) -> Result<(), CallError> {
        self.command(Command::ReplaceSession).await
    }

    /// The events of this client, for the first who asks. What happened before is kept for it, as
    /// far as there is room.
    #[must_use]
    pub fn events(&self) -> Option<Events> {
        let unclaimed = self.shared.events.lock().unwrap_or_else(PoisonError::into_inner).take();
        unclaimed.map(Unclaimed::claim)
    }

    /// How far the client is, to look at or to wait on.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        self.shared.state.clone()
    }

    /// How the client came to be connected.
    #[must_use]
    pub fn connect_info(&self) -> ConnectInfo {
        *self.shared.info.borrow()
    }

    /// Stops the client: what is still to be said goes out, calls under way end as
    /// [`CallError::Closed`], the store is written. It takes [`SHUTDOWN_MAX`] at most.
    ///
    /// Dropping the future does not call it off.
    pub async fn shutdown(&self) {
        let actor = self.shared.actor.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.shared.ending.stop.notify_one();
        self.end(actor, SHUTDOWN_MAX).await;
    }

    /// Logs out: the server destroys the auth key, the store forgets it, and the client stops.
    /// Calls under way end as [`CallError::Closed`]. The server has [`LOG_OUT_MAX`] for it,
    /// reconnects included.
    ///
    /// Dropping the future does not call it off; [`Client::shutdown`] and dropping the last handle
    /// do.
    ///
    /// # Errors
    /// `Unconfirmed` if the key is forgotten here, but maybe not there; see [`LogOutError`].
    // req: S67
    pub async fn log_out(&self) -> Result<(), LogOutError> {
        self.shared.ending.log_out.notify_one();
        self.end(None, LOG_OUT_MAX + SHUTDOWN_MAX).await;
        let destroyed = match *self.shared.state.borrow() {
            State::Closed(Closed::LoggedOut { destroyed }) => destroyed,
            State::Closed(reason) => return Err(LogOutError::Closed(reason)),
            _ => return Err(LogOutError::Stopped),
        };
        match self.shared.save_error.borrow().clone() {
            Some(error) => Err(LogOutError::Store(error)),
            None if destroyed => Ok(()),
            None => Err(LogOutError::Unconfirmed),
        }
    }

    /// Waits for the actor's end, and after `limit` makes it.
    async fn end(&self, actor: Option<JoinHandle<()>>, limit: Duration) {
        let stopped = self.shared.commands.closed();
        if tokio::time::timeout(limit, stopped).await.is_err()
            && let Some(actor) = actor
        {
            actor.abort();
        }
    }

    async fn command(&self, command: Command) -> Result<(), CallError> {
        self.shared.commands.send(command).await.map_err(|_| self.stopped())
    }

    /// Why there is no actor to ask.
    fn stopped(&self) -> CallError {
        match *self.shared.state.borrow() {
            State::Closed(reason) if reason != Closed::ByCaller => CallError::Closed(reason),
            _ => CallError::Stopped,
        }
    }
}

/// While the client is full of calls, a new one waits to be taken; its own limit holds there too.
async fn within(
    options: RequestOptions,
    taken: impl Future<Output = Result<(), CallError>>,
) -> Result<(), CallError> {
    match options.deadline {
        None => taken.await,
        Some(deadline) => tokio::time::timeout_at(deadline.into(), taken)
            .await
            .unwrap_or(Err(CallError::TimedOut)),
    }
}
