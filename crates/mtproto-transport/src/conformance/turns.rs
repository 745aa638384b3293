//! What every transport that takes turns promises, as over HTTP.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mtproto_frame::{FRAME_LEN_MAX_SERVER, Inbound, Outbound, TransportError};
use tokio::time::timeout;

use super::{AnyLink, PATIENCE, encrypted, plain};
use crate::{Dial, Link, LinkError, LinkExt, Listen};

/// Goes through every promise over new links from `dial` to `listen`. One link of a client may
/// reach the server as several.
///
/// # Panics
/// If a promise is broken; the message names it.
pub async fn run(dial: &dyn Dial, listen: &mut dyn Listen) {
    macro_rules! promises {
        ($($promise:ident),* $(,)?) => {$(
            let client = dial.dial().await.expect("a link can be dialled");
            assert!(client.takes_turns());
            let table = Table { client, server: Server { listen, links: Vec::new() } };
            let kept = timeout(PATIENCE, $promise(table)).await;
            assert!(kept.is_ok(), "{} does not end", stringify!($promise));
        )*};
    }
    promises!(
        packets_of_every_length_are_answered,
        the_longest_packets_are_answered,
        turns_are_open_at_once_and_end_in_any_order,
        an_answer_comes_when_it_is_given,
        errors_end_turns,
        nothing_but_one_answer_can_be_sent,
        misuse_changes_nothing,
        a_full_link_refuses_and_loses_nothing,
        a_server_that_closes_ends_the_turn,
        a_client_that_closes_is_noticed,
    );
}

/// Both sides.
struct Table<'a> {
    client: AnyLink,
    server: Server<'a>,
}

/// A server with all links that have come so far.
struct Server<'a> {
    listen: &'a mut dyn Listen,
    links: Vec<AnyLink>,
}

/// A packet that waits for an answer, and where.
struct Turn {
    link: AnyLink,
    payload: BytesMut,
}

impl Server<'_> {
    /// Waits for a packet on any link.
    async fn turn(&mut self) -> Turn {
        loop {
            let Self { listen, links } = self;
            let received = poll_fn(|cx| {
                let ready = |(at, link): (usize, &mut AnyLink)| match link.poll_recv(cx) {
                    Poll::Ready(item) => Some((at, item)),
                    Poll::Pending => None,
                };
                links.iter_mut().enumerate().find_map(ready).map_or(Poll::Pending, Poll::Ready)
            });
            let (at, item) = tokio::select! {
                link = listen.accept() => {
                    let link = link.expect("a link can be accepted");
                    assert!(link.takes_turns());
                    links.push(link);
                    continue;
                }
                received = received => received,
            };
            let link = self.links.swap_remove(at);
            match item {
                Ok(Inbound::Packet { payload, quick_ack: false }) => {
                    return Turn { link, payload };
                }
                Err(LinkError::Closed) => {}
                other => panic!("neither a packet nor the end: {other:?}"),
            }
        }
    }

    /// Ends a turn.
    async fn answer(&mut self, mut turn: Turn, answer: Outbound) {
        turn.link.send(answer).await.expect("a turn can be answered");
        self.links.push(turn.link);
    }
}

impl Table<'_> {
    /// Sends `question` and has it answered by `answer`; gives what the client receives.
    async fn round(&mut self, question: &Bytes, answer: Outbound) -> Inbound {
        let Self { client, server } = self;
        client.start_send(Outbound::packet(question.clone())).expect("there is room");
        let serve = async {
            let turn = server.turn().await;
            assert!(turn.payload == question, "a packet of {} bytes changed", question.len());
            server.answer(turn, answer).await;
        };
        // Who sends also receives: both directions go on in one wait.
        let (received, ()) = tokio::join!(converse(client), serve);
        received
    }

    async fn pass(&mut self, question: &Bytes, answer: &Bytes) {
        let received = self.round(question, Outbound::packet(answer.clone())).await;
        assert_packet(&received, answer);
    }

    /// Sends `question` and holds the turn.
    async fn ask(&mut self, question: &Bytes) -> Turn {
        let Self { client, server } = self;
        client.start_send(Outbound::packet(question.clone())).expect("there is room");
        tokio::select! {
            item = converse(client) => panic!("nothing was answered: {item:?}"),
            turn = server.turn() => turn,
        }
    }

    /// Ends a turn; gives what the client receives.
    async fn answer(&mut self, turn: Turn, answer: Outbound) -> Inbound {
        let Self { client, server } = self;
        let (received, ()) = tokio::join!(converse(client), server.answer(turn, answer));
        received
    }
}

/// Flushes and receives at once.
async fn converse(client: &mut AnyLink) -> Inbound {
    poll_fn(|cx| {
        if let Poll::Ready(Err(error)) = client.poll_flush(cx) {
            panic!("the link is whole: {error}");
        }
        client.poll_recv(cx)
    })
    .await
    .expect("the link is whole")
}

fn assert_packet(item: &Inbound, expected: &Bytes) {
    match item {
        Inbound::Packet { payload, quick_ack: false } => {
            assert!(payload == expected, "a packet of {} bytes changed", expected.len());
        }
        other => panic!("not the packet of {} bytes: {other:?}", expected.len()),
    }
}

async fn packets_of_every_length_are_answered(mut table: Table<'_>) {
    let plains = [20, 40, 1000].map(plain);
    let encrypted = (1..40).chain([500, 4095, 4096, 9000]).map(encrypted);
    for payload in plains.into_iter().chain(encrypted) {
        table.pass(&payload, &plain(40)).await;
        table.pass(&plain(40), &payload).await;
    }
}

async fn the_longest_packets_are_answered(mut table: Table<'_>) {
    let longest = encrypted((FRAME_LEN_MAX_SERVER - 24) / 16);
    table.pass(&longest, &encrypted(4 << 16)).await;
}

async fn turns_are_open_at_once_and_end_in_any_order(mut table: Table<'_>) {
    for round in 1..4 {
        let mut turns = Vec::new();
        for blocks in 1..=3 {
            turns.push(table.ask(&encrypted(round * blocks)).await);
        }
        // The last first.
        for blocks in (1..=3).rev() {
            let turn = turns.pop().expect("three were asked");
            assert!(turn.payload == encrypted(round * blocks));
            let answer = encrypted(100 * blocks);
            let received = table.answer(turn, Outbound::packet(answer.clone())).await;
            assert_packet(&received, &answer);
        }
    }
}

async fn an_answer_comes_when_it_is_given(mut table: Table<'_>) {
    let turn = table.ask(&encrypted(2)).await;
    // A wait that is dropped loses nothing either.
    for _ in 0..10 {
        let early = timeout(Duration::from_micros(50), converse(&mut table.client)).await;
        assert!(early.is_err(), "{early:?}");
    }
    let received = table.answer(turn, Outbound::packet(encrypted(3))).await;
    assert_packet(&received, &encrypted(3));
}

async fn errors_end_turns(mut table: Table<'_>) {
    use TransportError::{Flood, Forbidden, NotFound, Other, WrongDc};
    for error in [Forbidden, NotFound, Flood, WrongDc, Other(-500)] {
        let received = table.round(&encrypted(2), Outbound::Error(error)).await;
        assert_eq!(received, Inbound::Error(error));
    }
    table.pass(&encrypted(2), &encrypted(3)).await;
}

async fn nothing_but_one_answer_can_be_sent(mut table: Table<'_>) {
    let refuses = |link: &mut AnyLink, item: Outbound| {
        assert!(matches!(link.start_send(item), Err(LinkError::Misuse(_))));
    };
    let turn = table.ask(&encrypted(2)).await;
    let mut link = turn.link;
    refuses(&mut link, Outbound::QuickAck(1 << 31));
    refuses(&mut link, Outbound::packet(Bytes::new()));
    refuses(&mut link, Outbound::packet(Bytes::from_static(b"odd")));
    let turn = Turn { link, payload: turn.payload };
    let received = table.answer(turn, Outbound::packet(encrypted(3))).await;
    assert_packet(&received, &encrypted(3));
    for link in &mut table.server.links {
        refuses(link, Outbound::packet(encrypted(4)));
        refuses(link, Outbound::Error(TransportError::NotFound));
    }
    table.pass(&encrypted(2), &encrypted(3)).await;
}

async fn misuse_changes_nothing(mut table: Table<'_>) {
    let misuses = [
        Outbound::packet(Bytes::new()),
        Outbound::packet(Bytes::from_static(b"odd")),
        Outbound::Error(TransportError::NotFound),
        Outbound::QuickAck(1 << 31),
    ];
    for item in misuses {
        assert!(matches!(table.client.start_send(item), Err(LinkError::Misuse(_))));
    }
    assert_eq!(table.client.unsent(), 0);
    table.pass(&encrypted(2), &encrypted(3)).await;
}

async fn a_full_link_refuses_and_loses_nothing(mut table: Table<'_>) {
    let payload = encrypted(4000);
    let mut taken = 0;
    loop {
        match table.client.start_send(Outbound::packet(payload.clone())) {
            Ok(()) => taken += 1,
            Err(LinkError::Full { unsent, max }) => {
                assert!(unsent >= max && unsent == table.client.unsent());
                break;
            }
            Err(error) => panic!("a full link says so: {error}"),
        }
    }
    let Table { client, server } = &mut table;
    let ask = async {
        for _ in 0..taken {
            assert_packet(&converse(client).await, &payload);
        }
    };
    let serve = async {
        for _ in 0..taken {
            let turn = server.turn().await;
            server.answer(turn, Outbound::packet(payload.clone())).await;
        }
    };
    tokio::join!(ask, serve);
    assert_eq!(table.client.unsent(), 0);
    table.pass(&encrypted(2), &encrypted(3)).await;
}

async fn a_server_that_closes_ends_the_turn(mut table: Table<'_>) {
    let mut turn = table.ask(&encrypted(2)).await;
    let (received, closed) = tokio::join!(converse(&mut table.client), turn.link.close());
    closed.expect("a link can be closed");
    assert!(matches!(received, Inbound::Error(_)), "{received:?}");
    // The client goes on elsewhere.
    table.pass(&encrypted(2), &encrypted(3)).await;
}

async fn a_client_that_closes_is_noticed(mut table: Table<'_>) {
    table.pass(&encrypted(2), &encrypted(3)).await;
    let mut turn = table.ask(&encrypted(2)).await;
    table.client.close().await.expect("a link can be closed");
    for _ in 0..2 {
        let end = turn.link.recv().await;
        assert!(matches!(end, Err(LinkError::Closed)), "{end:?}");
        let end = table.client.recv().await;
        assert!(matches!(end, Err(LinkError::Closed)), "{end:?}");
    }
}
