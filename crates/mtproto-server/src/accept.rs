//! From a listening socket to a connection on one of the shards.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mtproto_crypto::OsRandom;
use mtproto_frame::{Foreign, ServerWireConfig};
use mtproto_session::LinkId;
use mtproto_tcp::{TcpLink, TcpListen};
use mtproto_transport::{Link, Origin, StreamLink};
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tracing::{debug, error, warn};

use crate::connection::{Connection, Life, Parting, Patience};
use crate::door::Door;
use crate::quota::{Place, Quota};
use crate::shard::{Shards, Stopped, ToShard};

/// A connection between two runtimes: its socket belongs to neither.
type Detached = Connection<StreamLink<std::net::TcpStream>>;

/// What every connection of a server shares.
pub(crate) struct Acceptor {
    pub(crate) shards: Shards,
    pub(crate) wire: Arc<ServerWireConfig>,
    pub(crate) patience: Arc<Patience>,
    pub(crate) quota: Arc<Quota>,
    pub(crate) next_link: AtomicU64,
    pub(crate) door: Arc<Door>,
}

impl Acceptor {
    /// Accepts until dropped. Connections go to the shards in turn.
    pub(crate) async fn run(self: Arc<Self>, mut listen: TcpListen) {
        loop {
            let (stream, peer) = match listen.accept_stream().await {
                Ok(accepted) => accepted,
                Err(error) => return error!(%error, "accepting has ended"),
            };
            let Some(place) = self.quota.take(peer.ip()) else {
                debug!(%peer, "refused: too many connections");
                continue;
            };
            let id = LinkId(self.next_link.fetch_add(1, Ordering::Relaxed));
            let shard = usize::try_from(id.0).unwrap_or(0) % self.shards.len();
            match self.adopt(id, stream, peer, place) {
                Ok(connection) => {
                    let door = Arc::clone(&self.door);
                    if send_to(shard, connection, door).await.is_err() {
                        return;
                    }
                }
                Err(error) => warn!(%peer, %error, "could not adopt a connection"),
            }
        }
    }

    fn adopt(
        &self,
        id: LinkId,
        stream: TcpStream,
        peer: SocketAddr,
        place: Place,
    ) -> io::Result<Detached> {
        let (origin, wire) = (Origin::tcp(peer), Arc::clone(&self.wire));
        let link = StreamLink::server(stream, origin, wire, &mut OsRandom::new());
        let peer = link.peer();
        let link = mtproto_tcp::detach(link)?;
        let life = Life::new(id, peer, place, self.shards.clone(), Arc::clone(&self.patience));
        Ok(Connection { link, life })
    }
}

/// Lets the connection go on in the runtime of `shard`.
async fn send_to(shard: usize, mut connection: Detached, door: Arc<Door>) -> Result<(), Stopped> {
    let life = &mut connection.life;
    life.shards.settle(shard);
    let (id, outbox, shards) = (life.id, Arc::clone(&life.outbox), life.shards.clone());
    let start = Box::new(move || {
        if let Some(connection) = change_over(connection, mtproto_tcp::attach) {
            run_on(shard, connection, door);
        }
    });
    shards.send(shard, ToShard::Accept(id, outbox, start)).await
}

/// Runs the connection as a task of this shard, and lets it go on elsewhere or as something else
/// when it turns out to be that.
///
/// A task is as large as the largest of what it goes through. A connection waits in its own for as
/// long as it lives, so what is large and soon over has tasks and boxes of its own.
fn run_on(shard: usize, mut connection: Connection<TcpLink>, door: Arc<Door>) {
    spawn_local(async move {
        match connection.run(shard).await {
            Parting::Ended => connection.life.end().await,
            Parting::Foreign(protocol) => {
                spawn_local(go_on_as(protocol, shard, connection, door));
            }
            Parting::Home(owner) => {
                debug!(id = connection.life.id.0, from = shard, to = owner, "moving");
                if let Some(connection) = change_over(connection, mtproto_tcp::detach) {
                    // A server that has stopped needs no connection.
                    let _ = Box::pin(send_to(owner, connection, door)).await;
                }
            }
        }
    });
}

/// Finds out what the connection is, and runs it to its end on the shard where it is.
async fn go_on_as(
    protocol: Foreign,
    shard: usize,
    connection: Connection<TcpLink>,
    door: Arc<Door>,
) {
    let Connection { link, mut life } = connection;
    life.stay();
    match Box::pin(door.open(protocol, link, life.first_packet_limit())).await {
        Some(link) => run_to_end(shard, Connection { link, life }),
        None => life.end().await,
    }
}

fn run_to_end(shard: usize, mut connection: Connection<Box<dyn Link>>) {
    spawn_local(async move {
        connection.run(shard).await;
        connection.life.end().await;
    });
}

/// Changes the link of a connection. If that fails the connection is over.
fn change_over<L, M>(
    connection: Connection<L>,
    change: impl FnOnce(L) -> io::Result<M>,
) -> Option<Connection<M>> {
    let Connection { link, life } = connection;
    match change(link) {
        Ok(link) => Some(Connection { link, life }),
        Err(error) => {
            warn!(id = life.id.0, %error, "a connection was lost on its way to another shard");
            spawn_local(life.end());
            None
        }
    }
}
