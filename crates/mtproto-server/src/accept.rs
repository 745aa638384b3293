//! From a listening socket to a connection on one of the shards.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mtproto_crypto::OsRandom;
use mtproto_frame::{Foreign, ServerWireConfig};
use mtproto_session::LinkId;
use mtproto_tcp::{TcpLink, TcpListen};
use mtproto_transport::{Link, Origin, StreamLink};
use smallvec::SmallVec;
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tracing::{debug, error, warn};

use crate::connection::{Connection, House, Life, Parting, Running};
use crate::home::Home;
use crate::quota::{Place, Quota};
use crate::shard::{Packet, Start, Stopped, ToShard};

/// A connection between two runtimes: its socket belongs to neither.
type Detached = Connection<StreamLink<std::net::TcpStream>>;

/// Lets connections in.
pub(crate) struct Acceptor {
    pub(crate) house: Arc<House>,
    pub(crate) wire: Arc<ServerWireConfig>,
    pub(crate) quota: Arc<Quota>,
    pub(crate) next_link: AtomicU64,
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
            let shard = usize::try_from(id.0).unwrap_or(0) % self.house.shards.len();
            match self.adopt(id, stream, peer, place) {
                Ok(connection) => {
                    if send_to(shard, connection, SmallVec::new()).await.is_err() {
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
        let life = Life::new(id, peer, place, Arc::clone(&self.house));
        Ok(Connection { link, life })
    }
}

/// Lets the connection go on in the runtime of `shard`, with packets that came already.
async fn send_to(
    shard: usize,
    mut connection: Detached,
    received: SmallVec<[Packet; 1]>,
) -> Result<(), Stopped> {
    let life = &mut connection.life;
    life.settle(shard);
    let (id, outbox, house) = (life.id, Arc::clone(&life.outbox), Arc::clone(&life.house));
    let start: Start = Box::new(move |home| {
        if let Some(connection) = change_over(connection, mtproto_tcp::attach) {
            spawn_local(Running::new(connection, received, home, part_with_stream));
        }
    });
    house.shards.send(shard, ToShard::Accept(id, outbox, start)).await
}

/// Lets a connection go on elsewhere, or as something else, when it turned out to be that.
fn part_with_stream(connection: Connection<TcpLink>, parting: Parting, home: &Rc<Home>) {
    match parting {
        Parting::Ended => drop(spawn_local(connection.life.end())),
        Parting::Foreign(protocol) => {
            spawn_local(go_on_as(protocol, connection, Rc::clone(home)));
        }
        Parting::Home(owner, received) => {
            debug!(id = connection.life.id.0, to = owner, "moving");
            if let Some(connection) = change_over(connection, mtproto_tcp::detach) {
                // A server that has stopped needs no connection.
                spawn_local(send_to(owner, connection, received));
            }
        }
    }
}

/// Finds out what the connection is, and runs it to its end on the shard where it is.
async fn go_on_as(protocol: Foreign, connection: Connection<TcpLink>, home: Rc<Home>) {
    let Connection { link, mut life } = connection;
    life.stay();
    let house = Arc::clone(&life.house);
    let opened = Box::pin(house.door.open(protocol, link, house.patience.first_packet));
    match opened.await {
        Some(link) => {
            let connection = Connection { link, life };
            spawn_local(Running::new(connection, SmallVec::new(), &home, part_for_good));
        }
        None => life.end().await,
    }
}

/// What a connection has become does not go anywhere else.
fn part_for_good(connection: Connection<Box<dyn Link>>, _: Parting, _: &Rc<Home>) {
    spawn_local(connection.life.end());
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
