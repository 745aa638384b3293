//! One side of a whole byte stream: recognition, obfuscation and framing.

use std::ops::DerefMut;
use std::sync::Arc;

use bytes::{Buf, BufMut, BytesMut};
use mtproto_crypto::SecureRandom;

use crate::item::Role;
use crate::obfuscation::{
    Ciphers, Header, OBFUSCATED_HEADER_LEN, Opened, open_as_client, open_as_server,
};
use crate::padding::PaddingSeed;
use crate::reader::FrameReader;
use crate::writer::{FrameLen, FrameWriter};
use crate::{
    Foreign, Framing, Inbound, Misuse, Obfuscation, ObfuscationKind, Outbound, Recognised, Secret,
    ServerWireConfig, Sniff, StreamKind, WireConfig, WireFault,
};

/// A growing buffer that frames are written to: `Vec<u8>` or `BytesMut`.
pub trait OutputBuffer: BufMut + DerefMut<Target = [u8]> {}

impl<B: BufMut + DerefMut<Target = [u8]>> OutputBuffer for B {}

/// One side of a byte stream.
///
/// The two directions are independent. Bytes are deciphered once, in the buffer they arrived in,
/// and packets are split off it without a copy.
#[derive(Debug)]
pub struct Wire {
    side: Side,
    /// Why nothing more is received. Few streams ever have a reason.
    fault: Option<Box<WireFault>>,
}

#[derive(Debug)]
enum Side {
    /// A server that has not seen enough.
    Unrecognised {
        config: Arc<ServerWireConfig>,
        within: Within,
        seed: Box<PaddingSeed>,
    },
    Stream(Stream),
}

/// What a server's stream comes in.
#[derive(Clone, Copy, Debug)]
enum Within {
    /// Records of fake TLS, opened with the secret of this number.
    FakeTls { secret: usize },
    /// Nothing, or what anybody may open.
    Nothing,
}

impl Within {
    /// Whether a stream may be obfuscated with the secret of this number.
    fn allows(self, index: usize, secret: &Secret) -> bool {
        match self {
            Self::FakeTls { secret: opened } => index == opened,
            Self::Nothing => !secret.is_fake_tls(),
        }
    }
}

#[derive(Debug)]
struct Stream {
    kind: StreamKind,
    role: Role,
    reader: FrameReader,
    writer: FrameWriter,
    ciphers: Option<Box<Ciphers>>,
    /// How much of the front of the input is deciphered.
    deciphered: usize,
    /// What a client has to write before its first frame.
    opening: Option<Box<Opening>>,
    /// Where in the output frames begin that are not summed and enciphered.
    unfinished_from: Option<usize>,
}

/// How a client's stream begins.
#[derive(Debug)]
enum Opening {
    /// As its framing does.
    Plain,
    Obfuscated(Header),
}

impl Wire {
    /// A client's side. `random` gives the obfuscation's keys and the seed of paddings.
    ///
    /// # Errors
    /// `FullObfuscated` and `SecretNeedsPadded` for layers that do not go together.
    pub fn client(config: &WireConfig, random: &mut dyn SecureRandom) -> Result<Self, Misuse> {
        let framing = config.framing;
        let seed = PaddingSeed::draw(random);
        let (kind, opening, ciphers) = match &config.obfuscation {
            None => (StreamKind { framing, obfuscation: None }, Opening::Plain, None),
            Some(Obfuscation { secret, dc }) => {
                let tag = framing.tag().ok_or(Misuse::FullObfuscated)?;
                if secret.as_ref().is_some_and(Secret::needs_padded) && framing != Framing::Padded {
                    return Err(Misuse::SecretNeedsPadded);
                }
                let key = secret.as_ref().map(Secret::key);
                let (header, ciphers) = open_as_client(tag, *dc, key, random);
                let obfuscation = ObfuscationKind { secret: key.map(|_| 0), dc: *dc };
                let kind = StreamKind { framing, obfuscation: Some(obfuscation) };
                (kind, Opening::Obfuscated(header), Some(Box::new(ciphers)))
            }
        };
        let mut stream = Stream::new(kind, Role::Client, config.frame_len_max, ciphers, &seed);
        stream.opening = Some(Box::new(opening));
        Ok(Self { side: Side::Stream(stream), fault: None })
    }

    /// A server's side, which learns from the first bytes what the client speaks. `random` gives
    /// the seed of paddings.
    #[must_use]
    pub fn server(config: Arc<ServerWireConfig>, random: &mut dyn SecureRandom) -> Self {
        Self::serve(config, Within::Nothing, random)
    }

    /// A server's side of a stream in records of fake TLS: obfuscated with the secret that opened
    /// them and nothing else. `secret` is its number in `config`, as
    /// [`Accepted`](crate::fake_tls::Accepted) has it.
    // req: S116
    #[must_use]
    pub fn inside_fake_tls(
        config: Arc<ServerWireConfig>,
        secret: usize,
        random: &mut dyn SecureRandom,
    ) -> Self {
        Self::serve(config, Within::FakeTls { secret }, random)
    }

    fn serve(config: Arc<ServerWireConfig>, within: Within, random: &mut dyn SecureRandom) -> Self {
        let seed = Box::new(PaddingSeed::draw(random));
        Self { side: Side::Unrecognised { config, within, seed }, fault: None }
    }

    /// Takes the next packet, quick ack or error off the front of `input`, in which the bytes of
    /// the stream stand as they arrived, and where the caller only ever appends. Called until it
    /// gives `None`: more bytes are needed.
    ///
    /// # Errors
    /// Why the stream cannot be read any further; the same at every later call.
    pub fn receive(&mut self, input: &mut BytesMut) -> Result<Option<Inbound>, WireFault> {
        if let Some(fault) = &self.fault {
            return Err(**fault);
        }
        self.advance(input).inspect_err(|fault| self.fault = Some(Box::new(*fault)))
    }

    /// Frames one item at the end of `out`. What is there already is left alone; the caller may
    /// take bytes off the front between calls.
    ///
    /// # Errors
    /// What the caller did wrong; nothing was written.
    pub fn send<B: OutputBuffer>(&mut self, item: &Outbound, out: &mut B) -> Result<(), Misuse> {
        match item {
            Outbound::Error(error) => {
                self.server_stream()?.begin(FrameLen::new(4)?, false, out)?;
                out.put_slice(&error.to_payload());
            }
            Outbound::Packet { payload, quick_ack } => {
                self.begin(payload.len(), *quick_ack, out)?;
                out.put_slice(payload);
            }
            Outbound::QuickAck(token) => self.server_stream()?.quick_ack(*token, out)?,
        }
        self.finish(out)
    }

    /// Frames a packet in the memory that it has. Every frame before it is finished; what is
    /// returned stands behind all of them.
    ///
    /// # Errors
    /// What the caller did wrong.
    pub fn enclose(&mut self, payload: Vec<u8>, quick_ack: bool) -> Result<Vec<u8>, Misuse> {
        let (len, mut frame) = (payload.len(), payload);
        // What belongs before the payload is written behind it, where there is room, and moves.
        self.begin(len, quick_ack, &mut frame)?;
        frame.rotate_left(len);
        self.stream()?.rotated(len);
        self.finish(&mut frame)?;
        Ok(frame)
    }

    /// Starts a frame around `len` bytes that the caller appends to `out` next, so that a packet
    /// can be laid out and sealed where it will be sent from. Several frames may be begun before
    /// [`finish`](Self::finish); until then the caller does nothing but append payloads, and change
    /// them.
    ///
    /// # Errors
    /// What the caller did wrong; nothing was written.
    pub fn begin<B: OutputBuffer>(
        &mut self,
        len: usize,
        quick_ack: bool,
        out: &mut B,
    ) -> Result<(), Misuse> {
        let stream = self.stream()?;
        if quick_ack && stream.role == Role::Server {
            return Err(Misuse::ClientOnly);
        }
        stream.begin(FrameLen::new(len)?, quick_ack, out)
    }

    /// Sums and enciphers every frame begun since the last call; they may be sent now.
    ///
    /// # Errors
    /// `PayloadLen` if the payload of the last one has not the length it was begun with.
    pub fn finish<B: OutputBuffer>(&mut self, out: &mut B) -> Result<(), Misuse> {
        self.stream()?.finish(out)
    }

    /// What the stream is; `None` as long as a server cannot tell.
    #[must_use]
    pub fn recognised(&self) -> Option<Recognised> {
        match (&self.side, self.fault.as_deref()) {
            (Side::Stream(stream), _) => Some(Recognised::Stream(stream.kind)),
            (Side::Unrecognised { .. }, Some(WireFault::Foreign(protocol))) => {
                Some(Recognised::Foreign(*protocol))
            }
            (Side::Unrecognised { .. }, _) => None,
        }
    }

    fn advance(&mut self, input: &mut BytesMut) -> Result<Option<Inbound>, WireFault> {
        if let Side::Unrecognised { config, within, seed } = &self.side {
            match recognise(config, *within, seed, input)? {
                None => return Ok(None),
                Some(stream) => self.side = Side::Stream(stream),
            }
        }
        match &mut self.side {
            Side::Stream(stream) => stream.receive(input),
            Side::Unrecognised { .. } => Ok(None),
        }
    }

    fn stream(&mut self) -> Result<&mut Stream, Misuse> {
        match &mut self.side {
            Side::Stream(stream) => Ok(stream),
            Side::Unrecognised { .. } => Err(Misuse::NotRecognised),
        }
    }

    fn server_stream(&mut self) -> Result<&mut Stream, Misuse> {
        let stream = self.stream()?;
        match stream.role {
            Role::Client => Err(Misuse::ServerOnly),
            Role::Server => Ok(stream),
        }
    }
}

impl Stream {
    fn new(
        kind: StreamKind,
        role: Role,
        frame_len_max: usize,
        ciphers: Option<Box<Ciphers>>,
        seed: &PaddingSeed,
    ) -> Self {
        Self {
            kind,
            role,
            reader: FrameReader::new(kind.framing, role, frame_len_max),
            writer: FrameWriter::new(kind.framing, role, seed),
            ciphers,
            deciphered: 0,
            opening: None,
            unfinished_from: None,
        }
    }

    fn receive(&mut self, input: &mut BytesMut) -> Result<Option<Inbound>, WireFault> {
        if let Some(ciphers) = &mut self.ciphers {
            let fresh = input.get_mut(self.deciphered..);
            debug_assert!(fresh.is_some(), "the caller took bytes off the input");
            ciphers.inbound.apply(fresh.unwrap_or_default());
        }
        let item = self.reader.read(input)?;
        self.deciphered = input.len();
        Ok(item)
    }

    fn begin<B: OutputBuffer>(
        &mut self,
        len: FrameLen,
        quick_ack: bool,
        out: &mut B,
    ) -> Result<(), Misuse> {
        self.start(out)?;
        let quick_ack = quick_ack && self.kind.framing.has_quick_acks();
        self.writer.begin(len, quick_ack, out);
        Ok(())
    }

    /// The payload of the frame that was begun moved from before its prefix to behind it.
    fn rotated(&mut self, payload_len: usize) {
        self.writer.rotated(payload_len);
        self.unfinished_from = self.unfinished_from.and_then(|from| from.checked_sub(payload_len));
    }

    fn quick_ack<B: OutputBuffer>(&mut self, token: u32, out: &mut B) -> Result<(), Misuse> {
        self.start(out)?;
        self.writer.quick_ack(token, out)
    }

    /// Makes the end of `out` the place where a frame may begin.
    fn start<B: OutputBuffer>(&mut self, out: &mut B) -> Result<(), Misuse> {
        self.writer.end(out)?;
        if let Some(opening) = self.opening.take() {
            match *opening {
                Opening::Plain => out.put_slice(self.kind.framing.opening()),
                Opening::Obfuscated(header) => out.put_slice(&header),
            }
        }
        self.unfinished_from.get_or_insert(out.len());
        Ok(())
    }

    fn finish<B: OutputBuffer>(&mut self, out: &mut B) -> Result<(), Misuse> {
        self.writer.end(out)?;
        let Some(from) = self.unfinished_from.take() else { return Ok(()) };
        let frames = out.get_mut(from..);
        debug_assert!(frames.is_some(), "the caller took unfinished bytes off the output");
        let frames = frames.unwrap_or_default();
        self.writer.sum(frames);
        if let Some(ciphers) = &mut self.ciphers {
            ciphers.outbound.apply(frames);
        }
        Ok(())
    }
}

/// Looks at a stream's first bytes and, once they tell, takes those off that are no frame.
// req: S117
fn recognise(
    config: &ServerWireConfig,
    within: Within,
    seed: &PaddingSeed,
    input: &mut BytesMut,
) -> Result<Option<Stream>, WireFault> {
    let sniff = match within {
        // What other streams begin with is avoided by no client here.
        Within::FakeTls { .. } => Sniff::Obfuscated,
        Within::Nothing => Sniff::of(input),
    };
    let (kind, ciphers) = match sniff {
        Sniff::NeedMore => return Ok(None),
        Sniff::Http => return Err(WireFault::Foreign(Foreign::Http)),
        Sniff::Tls => return Err(WireFault::Foreign(Foreign::Tls)),
        Sniff::Plain(_) if !config.allow_plain => return Err(WireFault::Unrecognised),
        Sniff::Plain(framing) => {
            input.advance(framing.opening().len());
            (StreamKind { framing, obfuscation: None }, None)
        }
        Sniff::Obfuscated => {
            let Some(header) = input.first_chunk() else { return Ok(None) };
            let (opened, secret) = open(config, within, header).ok_or(WireFault::Unrecognised)?;
            input.advance(OBFUSCATED_HEADER_LEN);
            let obfuscation = Some(ObfuscationKind { secret, dc: opened.dc });
            (StreamKind { framing: opened.framing, obfuscation }, Some(Box::new(opened.ciphers)))
        }
    };
    Ok(Some(Stream::new(kind, Role::Server, config.frame_len_max, ciphers, seed)))
}

/// Tries every key that is allowed on a header. All are tried whatever the earlier ones gave, so
/// that the time taken does not tell which one it was.
// req: S116
fn open(
    config: &ServerWireConfig,
    within: Within,
    header: &Header,
) -> Option<(Opened, Option<u32>)> {
    let mut found = None;
    if config.allow_secretless && matches!(within, Within::Nothing) {
        found = open_as_server(header, None).map(|opened| (opened, None));
    }
    for (index, secret) in config.secrets.iter().enumerate() {
        if !within.allows(index, secret) {
            continue;
        }
        let opened = open_as_server(header, Some(secret.key()))
            .filter(|opened| !secret.needs_padded() || opened.framing == Framing::Padded)
            .map(|opened| (opened, u32::try_from(index).ok()));
        found = found.or(opened);
    }
    found
}
