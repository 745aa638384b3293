//! `mtproto call`.

use bytes::Bytes;
use mtproto_kit::client::{Client, Event};
use mtproto_kit::tl::{Decode, DecodeError, Encode, Function};
use serde_json::{Value, json};

use crate::args::{CallArgs, ConnectArgs};
use crate::connect::{connect, explain_call};
use crate::exit::Failure;
use crate::generated::demo::functions::demo as functions;
use crate::generated::demo::types::demo as types;

pub(crate) async fn run(args: CallArgs) -> Result<(), Failure> {
    let query = match (&args.hex, &args.demo) {
        (Some(hex), _) => Query::Raw(parse_hex(hex)?),
        (None, Some(text)) => parse_demo(text)?,
        (None, None) => return Err(Failure::usage("nothing to call: give --hex or --demo")),
    };
    let client = connect(&args.connect).await?;
    let answer = client.call_within(query.to_bytes(), args.connect.timeout()).await;
    let answer = answer.map_err(explain_call)?;
    let (text, value) = query.describe(&answer).map_err(|error| {
        Failure::check(format!("the answer is not what schema/demo.tl says: {error}"))
    })?;
    if args.connect.json {
        println!("{}", json!({ "answer": value, "hex": to_hex(&answer) }));
    } else {
        println!("{text}");
    }
    if let Query::Subscribe(subscribe) = &query {
        print_ticks(&client, subscribe.count, &args.connect).await?;
    }
    client.shutdown().await;
    Ok(())
}

enum Query {
    Raw(Bytes),
    Blob(functions::Blob),
    Echo(functions::Echo),
    Fail(functions::Fail),
    Sleep(functions::Sleep),
    Subscribe(functions::Subscribe),
    Take(functions::Take),
}

impl Query {
    fn to_bytes(&self) -> Bytes {
        match self {
            Self::Raw(object) => object.clone(),
            Self::Blob(query) => query.to_bytes(),
            Self::Echo(query) => query.to_bytes(),
            Self::Fail(query) => query.to_bytes(),
            Self::Sleep(query) => query.to_bytes(),
            Self::Subscribe(query) => query.to_bytes(),
            Self::Take(query) => query.to_bytes(),
        }
    }

    /// The answer for a person, and for a program.
    fn describe(&self, answer: &Bytes) -> Result<(String, Value), DecodeError> {
        Ok(match self {
            Self::Raw(_) => (to_hex(answer), Value::Null),
            Self::Blob(query) => {
                let len = read(query, answer)?.data.len();
                (format!("{len} bytes"), json!({ "bytes": len }))
            }
            Self::Echo(query) => {
                let text = read(query, answer)?.text;
                (text.clone(), json!({ "text": text }))
            }
            Self::Fail(query) => done(read(query, answer)?),
            Self::Sleep(query) => done(read(query, answer)?),
            Self::Subscribe(query) => done(read(query, answer)?),
            Self::Take(query) => {
                let number = read(query, answer)?.number;
                (format!("ticket {number}"), json!({ "ticket": number }))
            }
        })
    }
}

fn read<F: Function>(_: &F, answer: &Bytes) -> Result<F::Response, DecodeError> {
    F::Response::from_bytes(answer)
}

fn done(_: types::Done) -> (String, Value) {
    ("done".to_owned(), json!({ "done": true }))
}

/// Prints what the server pushes until the last tick is there.
async fn print_ticks(client: &Client, count: i32, args: &ConnectArgs) -> Result<(), Failure> {
    let Some(mut events) = client.events() else { return Ok(()) };
    let mut last = 0;
    while last < count {
        let event = tokio::time::timeout(args.timeout(), events.next())
            .await
            .map_err(|_| Failure::network(format!("no tick after number {last} in time")))?;
        let Some(event) = event else { break };
        let Event::Push(object) = event else { continue };
        let Ok(tick) = types::Tick::from_bytes(&object) else { continue };
        last = tick.number;
        if args.json {
            println!("{}", json!({ "tick": tick.number, "of": tick.count }));
        } else {
            println!("tick {} of {}", tick.number, tick.count);
        }
    }
    Ok(())
}

fn parse_demo(text: &str) -> Result<Query, Failure> {
    let (name, rest) = text.split_once(':').unwrap_or((text, ""));
    let unreadable = |text: &str| {
        Failure::usage(format!("--demo {name}:{rest}: {text:?} is no whole number; give one"))
    };
    let number = |text: &str| text.parse().map_err(|_| unreadable(text));
    Ok(match name {
        "blob" => Query::Blob(functions::Blob { size: number(rest)? }),
        "echo" => Query::Echo(functions::Echo { text: rest.to_owned() }),
        "fail" => {
            let (code, text) = rest.split_once(':').unwrap_or((rest, "DEMO_FAILED"));
            Query::Fail(functions::Fail { code: number(code)?, text: text.to_owned() })
        }
        "sleep" => Query::Sleep(functions::Sleep { delay_ms: number(rest)? }),
        "subscribe" => {
            let subscribe = functions::Subscribe { count: number(rest)?, interval_ms: 100 };
            Query::Subscribe(subscribe)
        }
        "take" => {
            Query::Take(functions::Take { holder: rest.parse().map_err(|_| unreadable(rest))? })
        }
        _ => {
            return Err(Failure::usage(format!(
                "--demo {text}: no such request; use echo:TEXT, sleep:MS, fail:CODE:TEXT, \
                 blob:BYTES, subscribe:COUNT or take:HOLDER"
            )));
        }
    })
}

/// Reads `--hex`.
pub(crate) fn parse_hex(text: &str) -> Result<Bytes, Failure> {
    let bad = |reason: &str| {
        Failure::usage(format!("--hex {text}: {reason}; give whole 4-byte words as hex digits"))
    };
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(bad("an odd number of digits"));
    }
    let bytes: Option<Vec<u8>> = pairs
        .iter()
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    let bytes = bytes.ok_or_else(|| bad("not hexadecimal"))?;
    if bytes.is_empty() || !bytes.len().is_multiple_of(4) {
        return Err(bad(&format!("{} bytes", bytes.len())));
    }
    Ok(bytes.into())
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
