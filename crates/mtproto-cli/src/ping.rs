//! `mtproto ping`.

use std::time::Duration;

use mtproto_kit::client::ConnectInfo;
use serde_json::json;

use crate::args::PingArgs;
use crate::connect::{connect, explain_call};
use crate::exit::Failure;

pub(crate) async fn run(args: PingArgs) -> Result<(), Failure> {
    let client = connect(&args.connect).await?;
    let info = client.connect_info();
    if !args.connect.json {
        println!("connected to {}: {}", args.connect.address, describe(&info));
    }
    let mut times = Vec::new();
    for number in 1..=args.n {
        let time = tokio::time::timeout(args.connect.timeout(), client.ping())
            .await
            .map_err(|_| Failure::network(format!("ping {number}: no pong in time")))?
            .map_err(explain_call)?;
        if !args.connect.json {
            println!("ping {number:>4}  {:>9.3} ms", milliseconds(time));
        }
        times.push(time);
    }
    client.shutdown().await;
    let summary = Summary::of(&mut times);
    if args.connect.json {
        let line = json!({
            "address": args.connect.address.to_string(),
            "key": info.key.map(|key| key.to_string()),
            "key_reused": info.key_reused,
            "key_exchange_ms": info.exchange.map(milliseconds),
            "ready_ms": info.ready_after.map(milliseconds),
            "pings": args.n,
            "min_ms": summary.as_ref().map(|summary| milliseconds(summary.min)),
            "median_ms": summary.as_ref().map(|summary| milliseconds(summary.median)),
            "max_ms": summary.as_ref().map(|summary| milliseconds(summary.max)),
        });
        println!("{line}");
    } else if let Some(Summary { min, median, max }) = summary {
        let [min, median, max] = [min, median, max].map(milliseconds);
        println!("{} pongs: min {min:.3} ms, median {median:.3} ms, max {max:.3} ms", args.n);
    }
    Ok(())
}

fn describe(info: &ConnectInfo) -> String {
    let key = info.key.map(|key| format!(" {key}")).unwrap_or_default();
    match info.exchange {
        Some(time) => format!("made key{key} in {:.1} ms", milliseconds(time)),
        None => format!("used stored key{key}"),
    }
}

struct Summary {
    min: Duration,
    median: Duration,
    max: Duration,
}

impl Summary {
    fn of(times: &mut [Duration]) -> Option<Self> {
        times.sort_unstable();
        let (min, max) = (*times.first()?, *times.last()?);
        Some(Self { min, median: *times.get(times.len() / 2)?, max })
    }
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
