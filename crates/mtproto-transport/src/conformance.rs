//! What every transport promises, as tests that each of them runs: [`run`] for those over a byte
//! stream, [`turns`] for those that take turns.

pub mod turns;

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use mtproto_frame::{FRAME_LEN_MAX_SERVER, Inbound, Outbound, Recognised, TransportError};
use tokio::time::timeout;

use crate::{Dial, Link, LinkError, LinkExt, Listen};

/// Goes through every promise over new links from `dial` to `listen`.
///
/// # Panics
/// If a promise is broken; the message names it.
pub async fn run(dial: &dyn Dial, listen: &mut dyn Listen) {
    macro_rules! promises {
        ($($promise:ident),* $(,)?) => {$(
            let (client, server) = connect(dial, listen).await;
            let kept = timeout(PATIENCE, $promise(client, server)).await;
            assert!(kept.is_ok(), "{} does not end", stringify!($promise));
        )*};
    }
    promises!(
        packets_of_every_length_arrive_in_order,
        the_longest_packets_arrive,
        both_directions_flow_at_once,
        what_was_taken_leaves_with_one_flush,
        a_dropped_wait_loses_nothing,
        quick_acks_are_asked_for_and_given,
        errors_arrive_in_place_of_packets,
        a_full_link_refuses_and_loses_nothing,
        misuse_changes_nothing,
        an_end_between_packets_is_a_close,
        a_server_learns_what_the_client_speaks,
    );
}

/// How long a promise may take.
const PATIENCE: Duration = Duration::from_secs(60);

type AnyLink = Box<dyn Link>;

async fn connect(dial: &dyn Dial, listen: &mut dyn Listen) -> (AnyLink, AnyLink) {
    let (client, server) = tokio::join!(dial.dial(), listen.accept());
    (client.expect("a link can be dialled"), server.expect("a link can be accepted"))
}

/// What looks like an encrypted message of so many cipher blocks.
fn encrypted(blocks: usize) -> Bytes {
    (0..24 + 16 * blocks).map(|at| (at % 251) as u8 + 1).collect()
}

/// What looks like a plain message with a body of `len` bytes.
fn plain(len: u32) -> Bytes {
    let header = [0; 8].into_iter().chain([9; 8]).chain(len.to_le_bytes());
    header.chain((0..len).map(|at| at as u8)).collect()
}

async fn expect(link: &mut AnyLink, payload: &Bytes) {
    match link.recv().await {
        Ok(Inbound::Packet { payload: received, .. }) => {
            assert!(received == payload, "a packet of {} bytes changed", payload.len());
        }
        other => panic!("not the packet of {} bytes: {other:?}", payload.len()),
    }
}

/// Sends from one end while the other takes.
async fn pass(from: &mut AnyLink, to: &mut AnyLink, payload: &Bytes) {
    let (sent, ()) =
        tokio::join!(from.send(Outbound::packet(payload.clone())), expect(to, payload));
    sent.expect("a packet can be sent");
}

async fn packets_of_every_length_arrive_in_order(mut client: AnyLink, mut server: AnyLink) {
    let plains = [4, 20, 40, 1000].map(plain);
    let encrypted = (1..70).chain([500, 4095, 4096, 9000]).map(encrypted);
    for payload in plains.into_iter().chain(encrypted) {
        pass(&mut client, &mut server, &payload).await;
        pass(&mut server, &mut client, &payload).await;
    }
}

async fn the_longest_packets_arrive(mut client: AnyLink, mut server: AnyLink) {
    // Less what padding may add.
    let longest = encrypted((FRAME_LEN_MAX_SERVER - 24) / 16 - 1);
    pass(&mut client, &mut server, &longest).await;
    pass(&mut server, &mut client, &longest).await;
    pass(&mut server, &mut client, &encrypted(4 << 16)).await;
}

/// Sends `count` packets and receives as many, through one `&mut`.
async fn exchange(link: &mut AnyLink, payload: &Bytes, count: usize) {
    let (mut sent, mut received) = (0, 0);
    std::future::poll_fn(|cx| {
        loop {
            while sent < count && link.unsent() < 2 * payload.len() {
                link.start_send(Outbound::packet(payload.clone())).expect("there is room");
                sent += 1;
            }
            let flushed = link.poll_flush(cx).map(|flushed| flushed.expect("the link is whole"));
            if received < count
                && let Poll::Ready(item) = link.poll_recv(cx)
            {
                assert!(matches!(item, Ok(Inbound::Packet { .. })), "{item:?}");
                received += 1;
            } else if flushed.is_pending() || (sent == count && received < count) {
                return Poll::Pending;
            } else if sent == count {
                return Poll::Ready(());
            }
        }
    })
    .await;
}

async fn both_directions_flow_at_once(mut client: AnyLink, mut server: AnyLink) {
    pass(&mut client, &mut server, &encrypted(2)).await;
    let payload = encrypted(4000);
    tokio::join!(exchange(&mut client, &payload, 50), exchange(&mut server, &payload, 50));
}

async fn what_was_taken_leaves_with_one_flush(mut client: AnyLink, mut server: AnyLink) {
    for blocks in 1..=20 {
        client.start_send(Outbound::packet(encrypted(blocks))).expect("there is room");
    }
    assert!(client.unsent() > 20 * 24);
    client.flush().await.expect("the link is whole");
    assert_eq!(client.unsent(), 0);
    for blocks in 1..=20 {
        expect(&mut server, &encrypted(blocks)).await;
    }
}

async fn a_dropped_wait_loses_nothing(mut client: AnyLink, mut server: AnyLink) {
    let mut cx = Context::from_waker(Waker::noop());
    for blocks in 1..50 {
        assert!(pin!(server.recv()).poll(&mut cx).is_pending());
        drop(client.send(Outbound::packet(encrypted(blocks))));
        client.flush().await.expect("the link is whole");
        // Whatever comes in the meantime may be taken by a wait that is then dropped.
        let early = timeout(Duration::from_micros(50), server.recv()).await;
        match early {
            Ok(item) => assert!(matches!(item, Ok(Inbound::Packet { .. })), "{item:?}"),
            Err(_) => expect(&mut server, &encrypted(blocks)).await,
        }
    }
}

async fn quick_acks_are_asked_for_and_given(mut client: AnyLink, mut server: AnyLink) {
    const TOKEN: u32 = 0x8765_4321;
    let Some(Recognised::Stream(kind)) = client.peer().recognised else { return };
    let asking = Outbound::Packet { payload: encrypted(3).into(), quick_ack: true };
    client.send(asking).await.expect("a packet can be sent");
    let received = server.recv().await.expect("the packet arrives");
    let asked = matches!(received, Inbound::Packet { quick_ack: true, .. });
    assert_eq!(asked, kind.framing.has_quick_acks());
    if asked {
        server.send(Outbound::QuickAck(TOKEN)).await.expect("a quick ack can be sent");
        assert_eq!(client.recv().await.expect("it arrives"), Inbound::QuickAck(TOKEN));
    }
    pass(&mut server, &mut client, &encrypted(2)).await;
}

async fn errors_arrive_in_place_of_packets(mut client: AnyLink, mut server: AnyLink) {
    pass(&mut client, &mut server, &encrypted(2)).await;
    for error in [TransportError::NotFound, TransportError::Flood, TransportError::Other(-1000)] {
        server.send(Outbound::Error(error)).await.expect("an error can be sent");
        assert_eq!(client.recv().await.expect("it arrives"), Inbound::Error(error));
    }
    pass(&mut server, &mut client, &encrypted(2)).await;
}

async fn a_full_link_refuses_and_loses_nothing(mut client: AnyLink, mut server: AnyLink) {
    let mut cx = Context::from_waker(Waker::noop());
    let payload = encrypted(1000);
    let mut taken = 0;
    loop {
        match client.start_send(Outbound::packet(payload.clone())) {
            Ok(()) => taken += 1,
            Err(LinkError::Full { unsent, max }) => {
                assert!(unsent >= max && unsent == client.unsent());
                break;
            }
            Err(error) => panic!("a full link says so: {error}"),
        }
        let flushed = client.poll_flush(&mut cx);
        assert!(!matches!(flushed, Poll::Ready(Err(_))), "{flushed:?}");
    }
    let take_all = async {
        for _ in 0..taken {
            expect(&mut server, &payload).await;
        }
    };
    let (flushed, ()) = tokio::join!(client.flush(), take_all);
    flushed.expect("the link is whole");
    assert_eq!(client.unsent(), 0);
    pass(&mut client, &mut server, &encrypted(2)).await;
}

async fn misuse_changes_nothing(mut client: AnyLink, mut server: AnyLink) {
    let refused = server.start_send(Outbound::QuickAck(1));
    assert!(matches!(refused, Err(LinkError::Misuse(_))), "a server does not know the client yet");
    for payload in [Bytes::new(), Bytes::from_static(b"odd")] {
        let refused = client.start_send(Outbound::packet(payload));
        assert!(matches!(refused, Err(LinkError::Misuse(_))));
    }
    assert_eq!(client.unsent(), 0);
    pass(&mut client, &mut server, &encrypted(2)).await;
    pass(&mut server, &mut client, &encrypted(2)).await;
}

async fn an_end_between_packets_is_a_close(mut client: AnyLink, mut server: AnyLink) {
    pass(&mut client, &mut server, &encrypted(2)).await;
    client.start_send(Outbound::packet(encrypted(3))).expect("there is room");
    client.close().await.expect("a link can be closed");
    expect(&mut server, &encrypted(3)).await;
    for _ in 0..2 {
        let end = server.recv().await;
        assert!(matches!(end, Err(LinkError::Closed)), "{end:?}");
    }
    server.close().await.expect("a link can be closed");
    let end = client.recv().await;
    assert!(matches!(end, Err(LinkError::Closed)), "{end:?}");
}

async fn a_server_learns_what_the_client_speaks(mut client: AnyLink, mut server: AnyLink) {
    assert_eq!(server.peer().recognised, None);
    pass(&mut client, &mut server, &encrypted(2)).await;
    assert!(server.peer().recognised.is_some());
    assert_eq!(server.peer().recognised, client.peer().recognised);
    assert!(server.peer().to_string().starts_with(&server.peer().origin.to_string()));
}
