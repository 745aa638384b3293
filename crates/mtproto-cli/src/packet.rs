//! `mtproto packet`: seals and opens single packets, for tools that only carry bytes, such as curl.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use clap::{ArgGroup, Args, Subcommand};
use mtproto_kit::crypto::envelope::{self, Filler, Header, OpenJob, Padding, SealJob};
use mtproto_kit::crypto::{AuthKey, Direction, OsRandom};
use mtproto_kit::pack::{Limits, Message, flatten, write_container};
use mtproto_kit::session::transcript::Transcript;
use mtproto_kit::session::{MsgIds, Seqnos};
use mtproto_kit::store::{ClientKey, ClientStore, DcRecord, SessionFile};
use mtproto_kit::tl::functions::Ping;
use mtproto_kit::tl::types::{HttpWait, MsgsAck};
use mtproto_kit::tl::{AuthKeyId, Author, Encode, MsgId, Salt, Seqno, ServerTime};

use crate::call::parse_hex;
use crate::exit::Failure;

/// Seal a packet of a stored key, or open one
///
/// For tools that carry bytes and know no MTProto: what `seal` prints is the body of a POST, and
/// what `open` reads is the answer's. All packets of one session file belong to one session.
#[derive(Args, Debug)]
pub(crate) struct PacketArgs {
    #[command(subcommand)]
    command: PacketCommand,
}

#[derive(Debug, Subcommand)]
enum PacketCommand {
    Open(OpenArgs),
    Seal(SealArgs),
}

/// Print what is in a packet of the server, which is read from standard input
#[derive(Args, Debug)]
struct OpenArgs {
    #[command(flatten)]
    key: KeyArgs,
}

/// Write a packet for the server to standard output
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("content").required(true).multiple(true))]
struct SealArgs {
    #[command(flatten)]
    key: KeyArgs,
    /// Wait for messages: the first may wait so long for others, each so long for the next, and
    /// there may be none for so long, in milliseconds
    #[arg(long, group = "content", value_parser = wait)]
    #[arg(value_name = "MAX_DELAY,WAIT_AFTER,MAX_WAIT")]
    http_wait: Option<HttpWait>,
    /// Ask for a pong
    #[arg(long, group = "content")]
    ping: bool,
    /// A request as it goes over the wire: one boxed TL object in hex
    #[arg(long, group = "content", value_name = "BYTES")]
    hex: Option<String>,
    /// Acknowledge what is in the packet in this file
    #[arg(long, group = "content", value_name = "FILE")]
    ack: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct KeyArgs {
    /// The file with the auth key, as `mtproto ping --session FILE` makes it
    #[arg(long, value_name = "FILE")]
    session: PathBuf,
    /// The data centre whose key it is
    #[arg(long, default_value_t = 2, value_name = "ID", allow_negative_numbers = true)]
    dc: i32,
}

pub(crate) fn run(args: &PacketArgs) -> Result<(), Failure> {
    match &args.command {
        PacketCommand::Open(args) => open(args),
        PacketCommand::Seal(args) => seal(args),
    }
}

fn open(args: &OpenArgs) -> Result<(), Failure> {
    let record = read_record(&args.key)?;
    let mut packet = Vec::new();
    std::io::stdin()
        .read_to_end(&mut packet)
        .map_err(|error| Failure::usage(format!("standard input: {error}")))?;
    let message = unseal(&record.permanent.key, &mut packet, "standard input")?;
    let lines = Transcript::default().packet(&message);
    println!("{}", lines.join("\n"));
    Ok(())
}

fn seal(args: &SealArgs) -> Result<(), Failure> {
    let record = read_record(&args.key)?;
    let ClientKey { key, salts, .. } = &record.permanent;
    let time = server_time(&record);
    let mut composer = Composer { time, ids: MsgIds::default(), seqnos: Seqnos::default() };
    let mut messages = Vec::new();
    if let Some(path) = &args.ack {
        let mut answer = std::fs::read(path)
            .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
        let answer = unseal(key, &mut answer, &path.display().to_string())?;
        messages.push(composer.service(&MsgsAck { msg_ids: to_acknowledge(answer)? }));
    }
    if let Some(hex) = &args.hex {
        messages.push(composer.query(parse_hex(hex)?));
    }
    if args.ping {
        messages.push(composer.service(&Ping { ping_id: 1 }));
    }
    if let Some(wait) = &args.http_wait {
        messages.push(composer.service(wait));
    }
    let message = composer.wrap(messages);

    let seconds = time.since_epoch().as_secs();
    let is_good = |from: u32, until: u32| (u64::from(from)..u64::from(until)).contains(&seconds);
    let current = salts.iter().find(|salt| is_good(salt.valid_since, salt.valid_until));
    let salt = current.or(salts.last()).map_or(Salt(0), |period| period.salt);
    let header = Header {
        salt: salt.0,
        // Any number but 0 names a session of the key; this one is the same every time.
        session_id: key.id(),
        msg_id: message.id.0,
        seqno: message.seqno.0,
    };
    let mut packet = Vec::new();
    envelope::lay_out(&mut packet, &header, &message.body, Padding::Least, &mut OsRandom::new());
    envelope::seal(&mut [SealJob::new(key, Direction::ClientToServer, &mut packet)]);
    std::io::stdout()
        .write_all(&packet)
        .map_err(|error| Failure::usage(format!("standard output: {error}")))
}

/// Makes messages of one packet.
struct Composer {
    time: ServerTime,
    ids: MsgIds,
    seqnos: Seqnos,
}

impl Composer {
    fn service(&mut self, object: &impl Encode) -> Message {
        let seqno = self.seqnos.service();
        self.message(seqno, object.to_bytes())
    }

    fn query(&mut self, body: Bytes) -> Message {
        let seqno = self.seqnos.content_related();
        self.message(seqno, body)
    }

    fn message(&mut self, seqno: Seqno, body: Bytes) -> Message {
        Message { id: self.ids.issue(self.time, Author::Client), seqno, body }
    }

    /// One message as it is, several in a container.
    fn wrap(&mut self, messages: Vec<Message>) -> Message {
        if let [message] = messages.as_slice() {
            return message.clone();
        }
        let mut container = Vec::new();
        write_container(&messages, &mut container);
        let seqno = self.seqnos.service();
        self.message(seqno, container.into())
    }
}

/// The message in a packet of the server. `source` is where the packet came from.
fn unseal(key: &AuthKey, packet: &mut [u8], source: &str) -> Result<Message, Failure> {
    let refuse = |reason: String| Failure::check(format!("{source}: {reason}"));
    match envelope::key_id(packet) {
        Some(id) if id == key.id() => {}
        Some(id) => {
            let reason = format!("a packet of key {}, not of this session's", AuthKeyId(id));
            return Err(refuse(reason));
        }
        None => return Err(refuse(format!("{} bytes are no packet", packet.len()))),
    }
    let mut job = OpenJob::new(key, Direction::ServerToClient, Filler::Never, packet);
    envelope::open(std::slice::from_mut(&mut job));
    let opened = job.opened.map_err(|error| refuse(error.to_string()))?;
    let body = packet.get(opened.body).unwrap_or_default();
    let Header { msg_id, seqno, .. } = opened.header;
    Ok(Message { id: MsgId(msg_id), seqno: Seqno(seqno), body: Bytes::copy_from_slice(body) })
}

/// Those in a packet that want to be acknowledged.
fn to_acknowledge(packet: Message) -> Result<Vec<MsgId>, Failure> {
    let flat = flatten(packet, Limits::default()).map_err(Failure::check)?;
    let messages = flat.items.into_iter().map(|item| item.message);
    Ok(messages.filter(|message| message.seqno.0 & 1 == 1).map(|message| message.id).collect())
}

fn read_record(args: &KeyArgs) -> Result<DcRecord, Failure> {
    let file = SessionFile::open(&args.session).map_err(Failure::usage)?;
    let record = file.load().map_err(Failure::usage)?.unwrap_or_default();
    record.dcs.get(&args.dc).cloned().ok_or_else(|| {
        let (path, dc) = (args.session.display(), args.dc);
        Failure::usage(format!(
            "{path}: no key of data centre {dc}; make one with mtproto ping --session {path}"
        ))
    })
}

fn server_time(record: &DcRecord) -> ServerTime {
    let since_epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let offset = Duration::from_millis(record.time_offset_ms.unsigned_abs());
    ServerTime::from_unix(if record.time_offset_ms < 0 {
        since_epoch.saturating_sub(offset)
    } else {
        since_epoch + offset
    })
}

fn wait(text: &str) -> Result<HttpWait, String> {
    let parts: Vec<i32> = text.split(',').filter_map(|part| part.trim().parse().ok()).collect();
    match (parts.as_slice(), text.split(',').count()) {
        (&[max_delay, wait_after, max_wait], 3) => Ok(HttpWait { max_delay, wait_after, max_wait }),
        _ => Err("give three numbers of milliseconds, e.g. 0,0,25000".to_owned()),
    }
}
