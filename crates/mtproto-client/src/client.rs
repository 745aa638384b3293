//! The handle of a running client.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use mtproto_endpoint::client::{Closed, KeyMade, RequestOptions, State};
use mtproto_tl::{AuthKeyId, Decode, Function};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::actor::Command;
use crate::cancel::{CallId, CancelOnDrop, Cancellations};
use crate::clock::now;
use crate::events::Unclaimed;
use crate::{CallError, ClientBuilder, Events, InvokeError};

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
    pub(crate) stop: Arc<Notify>,
    pub(crate) state: watch::Receiver<State>,
    pub(crate) info: watch::Receiver<ConnectInfo>,
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
        self.request(object.into(), RequestOptions::default()).await
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
        let deadline = now().checked_add(limit);
        let options = RequestOptions { deadline, ..RequestOptions::default() };
        self.request(object.into(), options).await
    }

    /// Calls a function of a schema and waits for its typed result.
    ///
    /// Dropping the future cancels the query, as with [`Client::call`].
    ///
    /// # Errors
    /// `Result` if the result is not what the schema says; else see [`CallError`].
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
        self.shared.stop.notify_one();
        let stopped = self.shared.commands.closed();
        if tokio::time::timeout(SHUTDOWN_MAX, stopped).await.is_err()
            && let Some(actor) = actor
        {
            actor.abort();
        }
    }

    async fn request(&self, object: Bytes, options: RequestOptions) -> Result<Bytes, CallError> {
        let id = CallId(self.shared.calls.fetch_add(1, Ordering::Relaxed));
        let (reply, answer) = oneshot::channel();
        let cancellations = Arc::clone(&self.shared.cancellations);
        let command = Command::Call { id, object, options, reply };
        within(options, self.command(command)).await?;
        let guard = CancelOnDrop::new(id, cancellations);
        let outcome = answer.await.unwrap_or(Err(CallError::Stopped));
        guard.disarm();
        outcome
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
