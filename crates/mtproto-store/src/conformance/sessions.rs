//! The promises of a [`SessionStore`].

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mtproto_tl::{AuthKeyId, Author, MsgId, ServerTime, SessionId};
use tokio::task::JoinSet;

use super::{seconds, start};
use crate::{
    Accept, Attach, Fenced, Lease, NodeId, NodeRef, Producer, Pushed, QUEUE_LIFE_MAX, QueueLimits,
    REQUEST_LIFE_MAX, REQUESTS_MAX, SESSION_IDLE_MAX, SNAPSHOT_LEN_MAX, SessionRef, SessionStore,
    StoreError, Token,
};

const SESSION: SessionRef = SessionRef { key: AuthKeyId(1), session: SessionId(2) };
const ME: NodeRef = node(1);
const OTHER: NodeRef = node(2);

const fn node(n: u64) -> NodeRef {
    NodeRef { id: NodeId(n), incarnation: n }
}

async fn attach(store: &impl SessionStore, node: NodeRef, steal_from: Option<Token>) -> Attach {
    store.attach(SESSION, node, steal_from, start()).await.unwrap()
}

async fn owned(store: &impl SessionStore, node: NodeRef, steal_from: Option<Token>) -> Token {
    match attach(store, node, steal_from).await {
        Attach::Mine { token, .. } => token,
        owner @ Attach::Owner { .. } => panic!("{node:?} should own the session, not {owner:?}"),
    }
}

async fn release(store: &impl SessionStore, token: Token, snapshot: &'static str) {
    let fenced = store.checkpoint(SESSION, token, snapshot.into(), Lease::Release, start()).await;
    assert_eq!(fenced, Ok(Fenced::Passed));
}

async fn push(
    store: &impl SessionStore,
    by: Producer,
    body: &'static str,
    limits: QueueLimits,
    now: ServerTime,
) -> Pushed {
    store.push(SESSION, by, body.into(), limits, now).await.unwrap()
}

/// Queues one message of the owner for each id.
async fn queue(store: &impl SessionStore, token: Token, ids: &[u64], limits: QueueLimits) {
    for id in ids.iter().copied().map(MsgId) {
        let by = Producer::Owner { token, msg_id: id };
        let pushed = push(store, by, "body", limits, start()).await;
        assert!(matches!(pushed, Pushed::Stored { msg_id, .. } if msg_id == id));
    }
}

async fn queued(store: &impl SessionStore, now: ServerTime) -> Vec<u64> {
    let queued = store.drain(SESSION, MsgId(0), usize::MAX, now).await.unwrap();
    queued.into_iter().map(|message| message.msg_id.0).collect()
}

/// A second node is told who owns the session; the owner itself gets a new token.
pub async fn a_session_has_one_owner(store: Arc<impl SessionStore>) {
    let attached = attach(&*store, ME, None).await;
    let Attach::Mine { token, snapshot: None, queued: 0 } = attached else {
        panic!("a new session is empty and mine, not {attached:?}")
    };
    assert_eq!(attach(&*store, OTHER, None).await, Attach::Owner { node: ME, token });
    let again = owned(&*store, ME, None).await;
    assert_ne!(again, token);
    assert_eq!(store.ack(SESSION, token, &[]).await, Ok(Fenced::Stale));
}

/// Whoever comes next finds what the last owner left.
pub async fn a_released_session_is_free_and_keeps_its_snapshot(store: Arc<impl SessionStore>) {
    let token = owned(&*store, ME, None).await;
    queue(&*store, token, &[5], QueueLimits::default()).await;
    release(&*store, token, "snapshot").await;
    let attached = attach(&*store, OTHER, None).await;
    let snapshot = Some(Bytes::from_static(b"snapshot"));
    assert!(
        matches!(attached, Attach::Mine { snapshot: found, queued: 1, .. } if found == snapshot)
    );
}

/// Taking over needs the token under which the session is owned now.
pub async fn a_session_is_taken_over_only_with_its_token(store: Arc<impl SessionStore>) {
    let token = owned(&*store, ME, None).await;
    let wrong = Token(!token.0);
    assert_eq!(attach(&*store, OTHER, Some(wrong)).await, Attach::Owner { node: ME, token });
    let stolen = owned(&*store, OTHER, Some(token)).await;
    let late = attach(&*store, node(3), Some(token)).await;
    assert_eq!(late, Attach::Owner { node: OTHER, token: stolen });
}

/// The fencing experiment: a paused owner comes back and tries every write.
pub async fn a_stale_token_changes_nothing(store: Arc<impl SessionStore>) {
    let stale = owned(&*store, ME, None).await;
    let token = owned(&*store, OTHER, Some(stale)).await;
    queue(&*store, token, &[5], QueueLimits::default()).await;

    let snapshot = || Bytes::from_static(b"stale");
    let limits = QueueLimits::default();
    for lease in [Lease::Keep, Lease::Release] {
        let fenced = store.checkpoint(SESSION, stale, snapshot(), lease, start()).await;
        assert_eq!(fenced, Ok(Fenced::Stale));
    }
    let by = Producer::Owner { token: stale, msg_id: MsgId(9) };
    assert_eq!(push(&*store, by, "stale", limits, start()).await, Pushed::Fenced);
    assert_eq!(store.ack(SESSION, stale, &[MsgId(5)]).await, Ok(Fenced::Stale));
    assert_eq!(store.accept(SESSION, stale, MsgId(4), start()).await, Ok(Accept::Fenced));
    let completed = store.complete(SESSION, stale, MsgId(4), snapshot(), limits, start()).await;
    assert_eq!(completed, Ok(Pushed::Fenced));

    assert_eq!(queued(&*store, start()).await, [5]);
    assert_eq!(store.accept(SESSION, token, MsgId(4), start()).await, Ok(Accept::New));
    let attached = attach(&*store, OTHER, None).await;
    assert!(matches!(attached, Attach::Mine { snapshot: None, queued: 1, .. }));
}

/// Many nodes see the owner dead at once; one takes over.
pub async fn of_many_thieves_one_wins(store: Arc<impl SessionStore + 'static>) {
    let token = owned(&*store, ME, None).await;
    let mut thieves = JoinSet::new();
    for n in 0..100 {
        let store = Arc::clone(&store);
        thieves.spawn(async move {
            matches!(attach(&*store, node(10 + n), Some(token)).await, Attach::Mine { .. })
        });
    }
    let winners = thieves.join_all().await.into_iter().filter(|won| *won).count();
    assert_eq!(winners, 1);
}

/// A session is kept for its idle time after the last checkpoint, and no longer.
pub async fn an_idle_session_is_forgotten(store: Arc<impl SessionStore>) {
    let token = owned(&*store, ME, None).await;
    let hour = seconds(3600);
    let later = start().after(hour);
    let fenced = store.checkpoint(SESSION, token, "here".into(), Lease::Keep, later).await;
    assert_eq!(fenced, Ok(Fenced::Passed));
    let last_moment = start().after(SESSION_IDLE_MAX);
    let attached = store.attach(SESSION, OTHER, None, last_moment).await;
    assert_eq!(attached, Ok(Attach::Owner { node: ME, token }));
    let attached = store.attach(SESSION, OTHER, None, last_moment.after(hour)).await;
    assert!(matches!(attached, Ok(Attach::Mine { snapshot: None, .. })));
}

/// The longest snapshot is taken, one byte more is not.
pub async fn a_long_snapshot_is_refused(store: Arc<impl SessionStore>) {
    let token = owned(&*store, ME, None).await;
    let checkpoint = |len| {
        let store = Arc::clone(&store);
        let snapshot = Bytes::from(vec![0; len]);
        async move { store.checkpoint(SESSION, token, snapshot, Lease::Keep, start()).await }
    };
    assert_eq!(checkpoint(SNAPSHOT_LEN_MAX).await, Ok(Fenced::Passed));
    let refused = checkpoint(SNAPSHOT_LEN_MAX + 1).await;
    assert!(matches!(refused, Err(StoreError::TooLarge { max: SNAPSHOT_LEN_MAX, .. })));
}

/// The order is that of the ids, whatever the order of arrival.
pub async fn the_queue_is_in_order_and_read_in_parts(store: Arc<impl SessionStore>) {
    let token = owned(&*store, ME, None).await;
    queue(&*store, token, &[9, 5, 13, 1], QueueLimits::default()).await;
    assert_eq!(queued(&*store, start()).await, [1, 5, 9, 13]);
    let part = store.drain(SESSION, MsgId(1), 2, start()).await.unwrap();
    assert_eq!(part.iter().map(|message| message.msg_id.0).collect::<Vec<_>>(), [5, 9]);
    assert_eq!(part[0].body, "body");
}

/// Reading takes nothing out; acknowledging does, in any order, with unknown ids among them.
pub async fn a_message_stays_until_it_is_acknowledged(store: Arc<impl SessionStore>) {
    let token = owned(&*store, ME, None).await;
    queue(&*store, token, &[1, 5, 9], QueueLimits::default()).await;
    assert_eq!(queued(&*store, start()).await, [1, 5, 9]);
    let acked = store.ack(SESSION, token, &[9, 77, 1].map(MsgId)).await;
    assert_eq!(acked, Ok(Fenced::Passed));
    assert_eq!(queued(&*store, start()).await, [5]);
}

/// A push repeated because its answer was lost is one message.
pub async fn the_same_message_is_queued_once(store: Arc<impl SessionStore>) {
    let token = owned(&*store, ME, None).await;
    queue(&*store, token, &[5, 5], QueueLimits::default()).await;
    assert_eq!(queued(&*store, start()).await, [5]);
}

/// A node that owns nothing may queue; the store gives the id, and says whom to wake.
pub async fn other_producers_get_ids_above_all_others(store: Arc<impl SessionStore>) {
    let limits = QueueLimits::default();
    let nowhere = push(&*store, Producer::Other, "early", limits, start()).await;
    assert_eq!(nowhere, Pushed::NoSession);

    let token = owned(&*store, ME, None).await;
    let far = MsgId::at(start().after(seconds(100)), Author::ServerNotice);
    queue(&*store, token, &[far.0], limits).await;
    let mut last = far;
    for _ in 0..3 {
        let pushed = push(&*store, Producer::Other, "push", limits, start()).await;
        let Pushed::Stored { msg_id, owner: Some(ME), forgotten: 0 } = pushed else {
            panic!("the message should wait for {ME:?}, not {pushed:?}")
        };
        assert_eq!(msg_id, last.next(Author::ServerNotice));
        last = msg_id;
    }
    release(&*store, token, "").await;
    let pushed = push(&*store, Producer::Other, "push", limits, start()).await;
    assert!(matches!(pushed, Pushed::Stored { owner: None, .. }));
}

/// The newest messages stay.
pub async fn the_queue_forgets_the_oldest_message_over_its_count(store: Arc<impl SessionStore>) {
    let token = owned(&*store, ME, None).await;
    let limits = QueueLimits { messages_max: 3, ..QueueLimits::default() };
    queue(&*store, token, &[1, 5, 9], limits).await;
    let by = Producer::Owner { token, msg_id: MsgId(13) };
    let pushed = push(&*store, by, "body", limits, start()).await;
    assert!(matches!(pushed, Pushed::Stored { forgotten: 1, .. }));
    assert_eq!(queued(&*store, start()).await, [5, 9, 13]);
}

/// As many old messages go as the new one needs; one that can never fit changes nothing.
pub async fn the_queue_forgets_the_oldest_message_over_its_bytes(store: Arc<impl SessionStore>) {
    let token = owned(&*store, ME, None).await;
    let limits = QueueLimits { bytes_max: 12, ..QueueLimits::default() };
    queue(&*store, token, &[1, 5, 9], limits).await;
    let by = Producer::Owner { token, msg_id: MsgId(13) };
    let refused = store.push(SESSION, by, Bytes::from_static(&[0; 13]), limits, start()).await;
    assert!(matches!(refused, Err(StoreError::TooLarge { len: 13, max: 12, .. })));
    let pushed = push(&*store, by, "five!", limits, start()).await;
    assert!(matches!(pushed, Pushed::Stored { forgotten: 2, .. }));
    assert_eq!(queued(&*store, start()).await, [9, 13]);
}

/// Ten minutes, then a message is gone whether or not somebody looks.
pub async fn the_queue_forgets_what_waited_too_long(store: Arc<impl SessionStore>) {
    let token = owned(&*store, ME, None).await;
    queue(&*store, token, &[5], QueueLimits::default()).await;
    let end = start().after(QUEUE_LIFE_MAX);
    assert_eq!(queued(&*store, end.before(Duration::from_secs(1))).await, [5]);
    assert!(queued(&*store, end).await.is_empty());
    let by = Producer::Owner { token, msg_id: MsgId(9) };
    let pushed = push(&*store, by, "body", QueueLimits::default(), end).await;
    assert!(matches!(pushed, Pushed::Stored { forgotten: 1, .. }));
}

/// A request is new once, then under way, then done, until it is forgotten.
pub async fn a_request_runs_once(store: Arc<impl SessionStore>) {
    let token = owned(&*store, ME, None).await;
    let accept = |now| {
        let store = Arc::clone(&store);
        async move { store.accept(SESSION, token, MsgId(4), now).await }
    };
    assert_eq!(accept(start()).await, Ok(Accept::New));
    assert_eq!(accept(start()).await, Ok(Accept::InProgress));
    let limits = QueueLimits::default();
    let pushed = store.complete(SESSION, token, MsgId(4), "result".into(), limits, start()).await;
    let Ok(Pushed::Stored { msg_id, owner: Some(ME), .. }) = pushed else {
        panic!("the result should be queued, not {pushed:?}")
    };
    assert_eq!(msg_id, MsgId::at(start(), Author::ServerReply));
    assert_eq!(accept(start()).await, Ok(Accept::Done("result".into())));
    assert_eq!(queued(&*store, start()).await, [msg_id.0]);
    assert_eq!(accept(start().after(REQUEST_LIFE_MAX)).await, Ok(Accept::New));
}

/// Whether it ran cannot be known, so it must not run again.
pub async fn a_request_of_a_lost_owner_is_unknown(store: Arc<impl SessionStore>) {
    let lost = owned(&*store, ME, None).await;
    assert_eq!(store.accept(SESSION, lost, MsgId(4), start()).await, Ok(Accept::New));
    let token = owned(&*store, OTHER, Some(lost)).await;
    assert_eq!(store.accept(SESSION, token, MsgId(4), start()).await, Ok(Accept::Unknown));
}

/// The last place is given; one more is refused until time is over.
pub async fn a_request_too_many_is_refused(store: Arc<impl SessionStore>) {
    let token = owned(&*store, ME, None).await;
    let accept = |n: usize, now| {
        let store = Arc::clone(&store);
        async move { store.accept(SESSION, token, MsgId(4 * n as u64), now).await }
    };
    for n in 1..=REQUESTS_MAX {
        assert_eq!(accept(n, start()).await, Ok(Accept::New));
    }
    let full = StoreError::Full { what: "requests of a session", max: REQUESTS_MAX };
    assert_eq!(accept(REQUESTS_MAX + 1, start()).await, Err(full));
    assert_eq!(accept(1, start()).await, Ok(Accept::InProgress));
    let later = start().after(REQUEST_LIFE_MAX);
    assert_eq!(accept(REQUESTS_MAX + 1, later).await, Ok(Accept::New));
}

/// Nothing is left, and the owner finds itself fenced.
pub async fn a_forgotten_session_is_gone(store: Arc<impl SessionStore>) {
    let token = owned(&*store, ME, None).await;
    queue(&*store, token, &[5], QueueLimits::default()).await;
    store.forget(SESSION).await.unwrap();
    store.forget(SESSION).await.unwrap();
    assert_eq!(store.ack(SESSION, token, &[MsgId(5)]).await, Ok(Fenced::Stale));
    assert!(queued(&*store, start()).await.is_empty());
    let attached = attach(&*store, OTHER, None).await;
    assert!(matches!(attached, Attach::Mine { snapshot: None, queued: 0, .. }));
}
