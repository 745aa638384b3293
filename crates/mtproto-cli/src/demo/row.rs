//! One row: a client that makes a key and uses it.

use std::sync::Arc;
use std::time::Duration;

use mtproto_kit::client::{Client, Event};
use mtproto_kit::crypto::rsa::RsaPublicKey;
use mtproto_kit::tl::Decode;
use tokio::time::{Instant, timeout};

use super::counted::{Counted, Reading, Traffic};
use super::ways::Way;
use crate::generated::demo::functions::demo as functions;
use crate::generated::demo::types::demo as types;

/// How long any one step may take.
const STEP_MAX: Duration = Duration::from_secs(10);
/// Requests under way while the rate is measured.
const DEPTH: usize = 32;
/// Pushes that are asked for.
const TICKS: i32 = 5;
/// Bytes of the answer, and of the request, that must come out smaller on the wire.
const LARGE: usize = 64 << 10;
/// Requests made at once, which must take fewer packets than they are.
const BURST: usize = 50;

/// What a row found; an `Err` says what went wrong.
pub(super) struct Row {
    pub(super) transport: &'static str,
    pub(super) stream: String,
    pub(super) outcome: Result<Cells, String>,
}

/// The cells of a row in which everything could be tried.
pub(super) struct Cells {
    pub(super) key_exchange: Duration,
    pub(super) rpc_per_second: Result<f64, String>,
    /// How many pushes came.
    pub(super) pushes: Result<i32, String>,
    /// Bytes on the wire, both ways, for [`LARGE`] bytes of content in each.
    pub(super) gzip: Result<(u64, u64), String>,
    /// Packets, both ways, for [`BURST`] requests.
    pub(super) container: Result<(u64, u64), String>,
}

impl Row {
    pub(super) fn is_green(&self) -> bool {
        self.outcome.as_ref().is_ok_and(|cells| cells.problems().next().is_none())
    }
}

impl Cells {
    pub(super) fn problems(&self) -> impl Iterator<Item = &String> {
        let rpc = self.rpc_per_second.as_ref().err();
        let pushes = self.pushes.as_ref().err();
        let gzip = self.gzip.as_ref().err();
        let container = self.container.as_ref().err();
        [rpc, pushes, gzip, container].into_iter().flatten()
    }
}

pub(super) async fn run(way: Way, key: RsaPublicKey, measure: Duration) -> Row {
    let Way { transport, stream, dial } = way;
    let traffic = Arc::new(Traffic::default());
    let dial = Counted { dial, traffic: Arc::clone(&traffic) };
    let connecting = Client::builder().dial(dial).server_key(key).connect_timeout(STEP_MAX);
    let outcome = match connecting.connect().await {
        Ok(client) => {
            let cells = fill(&client, &traffic, measure).await;
            client.shutdown().await;
            Ok(cells)
        }
        Err(error) => Err(error.to_string()),
    };
    Row { transport, stream, outcome }
}

async fn fill(client: &Client, traffic: &Traffic, measure: Duration) -> Cells {
    Cells {
        key_exchange: client.connect_info().exchange.unwrap_or_default(),
        rpc_per_second: bounded(rate(client, measure), measure + STEP_MAX).await,
        pushes: bounded(pushes(client), STEP_MAX).await,
        gzip: bounded(gzip(client, traffic), STEP_MAX).await,
        container: bounded(container(client, traffic), STEP_MAX).await,
    }
}

async fn bounded<T>(
    step: impl Future<Output = Result<T, String>>,
    limit: Duration,
) -> Result<T, String> {
    timeout(limit, step).await.unwrap_or_else(|_| Err(format!("not done within {limit:?}")))
}

async fn echo(client: &Client, text: String) -> Result<(), String> {
    let answer = client.invoke(&functions::Echo { text: text.clone() }).await;
    match answer {
        Ok(answer) if answer.text == text => Ok(()),
        Ok(_) => Err("another text came back".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Calls for `measure`, [`DEPTH`] at a time.
async fn rate(client: &Client, measure: Duration) -> Result<f64, String> {
    let start = Instant::now();
    let callers: Vec<_> = (0..DEPTH)
        .map(|caller| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut calls = 0_u32;
                while start.elapsed() < measure {
                    echo(&client, format!("caller {caller}, call {calls}")).await?;
                    calls += 1;
                }
                Ok::<_, String>(calls)
            })
        })
        .collect();
    let mut calls = 0;
    for caller in callers {
        calls += caller.await.map_err(|error| error.to_string())??;
    }
    Ok(f64::from(calls) / start.elapsed().as_secs_f64())
}

async fn pushes(client: &Client) -> Result<i32, String> {
    let mut events = client.events().ok_or("the events are taken")?;
    let subscribe = functions::Subscribe { count: TICKS, interval_ms: 5 };
    client.invoke(&subscribe).await.map_err(|error| error.to_string())?;
    for number in 1..=TICKS {
        let tick = loop {
            match events.next().await {
                Some(Event::Push(object)) => break types::Tick::from_bytes(&object),
                Some(_) => {}
                None => return Err("the client stopped".to_owned()),
            }
        };
        match tick {
            Ok(tick) if tick.number == number => {}
            Ok(tick) => return Err(format!("tick {} where {number} was due", tick.number)),
            Err(error) => return Err(format!("a push is not a tick: {error}")),
        }
    }
    Ok(TICKS)
}

/// A large answer and a large request, both of which must be smaller on the wire than they are.
async fn gzip(client: &Client, traffic: &Traffic) -> Result<(u64, u64), String> {
    let before = traffic.read();
    let size = i32::try_from(LARGE).unwrap_or(i32::MAX);
    let blob = client.invoke(&functions::Blob { size }).await.map_err(|error| error.to_string())?;
    if blob.data.len() != LARGE {
        return Err(format!("a blob of {} bytes", blob.data.len()));
    }
    echo(client, "all work and no play ".repeat(LARGE / 21)).await?;
    let Reading { bytes_in, bytes_out, .. } = traffic.read().since(before);
    // The text comes back too: two large answers, one large request.
    if bytes_in < (LARGE / 2) as u64 && bytes_out < (LARGE / 2) as u64 {
        Ok((bytes_out, bytes_in))
    } else {
        Err(format!("{bytes_out} bytes out and {bytes_in} in: nothing was packed"))
    }
}

/// Many requests at once, which must share packets.
async fn container(client: &Client, traffic: &Traffic) -> Result<(u64, u64), String> {
    let before = traffic.read();
    let calls: Vec<_> = (0..BURST)
        .map(|number| {
            let client = client.clone();
            tokio::spawn(async move { echo(&client, number.to_string()).await })
        })
        .collect();
    for call in calls {
        call.await.map_err(|error| error.to_string())??;
    }
    let Reading { packets_in, packets_out, .. } = traffic.read().since(before);
    if packets_in < BURST as u64 && packets_out < BURST as u64 {
        Ok((packets_out, packets_in))
    } else {
        Err(format!("{packets_out} packets out and {packets_in} in for {BURST} requests"))
    }
}
