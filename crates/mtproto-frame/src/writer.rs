//! From packets to bytes not yet enciphered: one framing, one direction.

use std::num::NonZeroU32;

use bytes::BufMut;

use crate::item::{QUICK_ACK_BIT, Role};
use crate::padding::{PaddingSeed, PaddingSource};
use crate::reader::{ABRIDGED_LONG, ABRIDGED_QUICK_ACK, FRAMED_QUICK_ACK, FULL_OVERHEAD, length};
use crate::wire::OutputBuffer;
use crate::{FRAME_LEN_MAX_CLIENT, Framing, Misuse};

/// Writes frames around payloads that the caller appends to the same buffer.
#[derive(Debug)]
pub(crate) struct FrameWriter {
    framing: Framing,
    /// Of the next frame; the full framing only.
    seqno: u32,
    /// The padded framing only.
    padding: Option<Box<PaddingSource>>,
    open: Option<OpenFrame>,
}

/// A frame whose payload the caller is appending.
#[derive(Debug)]
struct OpenFrame {
    payload_at: usize,
    payload_len: FrameLen,
}

impl FrameWriter {
    pub(crate) fn new(framing: Framing, role: Role, seed: &PaddingSeed) -> Self {
        let padding =
            (framing == Framing::Padded).then(|| Box::new(PaddingSource::new(seed, role)));
        Self { framing, seqno: 0, padding, open: None }
    }

    /// Writes the prefix of a frame of `len` bytes; [`end`](Self::end) follows the payload.
    pub(crate) fn begin(&mut self, len: FrameLen, quick_ack: bool, out: &mut impl OutputBuffer) {
        debug_assert!(self.open.is_none(), "the frame before has to be ended");
        let padding_len = self.padding.as_mut().map_or(0, |source| source.next().len());
        match self.framing {
            Framing::Abridged => put_abridged_len(len.wire(), quick_ack, out),
            Framing::Intermediate | Framing::Padded => {
                let flag = if quick_ack { QUICK_ACK_BIT } else { 0 };
                out.put_u32_le((len.wire() + padding_len) | flag);
            }
            Framing::Full => {
                out.put_u32_le(len.wire() + FULL_OVERHEAD);
                out.put_u32_le(self.seqno);
                self.seqno = self.seqno.wrapping_add(1);
            }
        }
        self.open = Some(OpenFrame { payload_at: out.len(), payload_len: len });
    }

    /// The payload of the open frame moved from before its prefix to behind it.
    pub(crate) fn rotated(&mut self, payload_len: usize) {
        if let Some(frame) = &mut self.open {
            frame.payload_at -= payload_len;
        }
    }

    /// Writes what follows the payload of the open frame, if one is open. A checksum is filled in
    /// by
    /// [`sum`](Self::sum), since the payload may still change.
    pub(crate) fn end(&mut self, out: &mut impl OutputBuffer) -> Result<(), Misuse> {
        let Some(frame) = &self.open else { return Ok(()) };
        let declared = frame.payload_len.bytes();
        let appended = out.len().saturating_sub(frame.payload_at);
        if appended != declared {
            return Err(Misuse::PayloadLen { declared, appended });
        }
        match self.framing {
            Framing::Abridged | Framing::Intermediate => {}
            Framing::Padded => {
                let padding = self.padding.as_ref().map(|source| source.drawn().as_bytes());
                out.put_slice(padding.unwrap_or_default());
            }
            Framing::Full => out.put_u32_le(0),
        }
        self.open = None;
        Ok(())
    }

    /// Fills in the checksums of `frames`, all of them whole.
    pub(crate) fn sum(&self, frames: &mut [u8]) {
        if self.framing != Framing::Full {
            return;
        }
        let mut rest = frames;
        while let Some(len) = rest.first_chunk().map(|len| u32::from_le_bytes(*len)) {
            let Some((frame, following)) = rest.split_at_mut_checked(length(len)) else {
                debug_assert!(false, "our own frames are whole");
                return;
            };
            if let Some((summed, crc)) = frame.split_last_chunk_mut() {
                *crc = crc32fast::hash(summed).to_le_bytes();
            }
            rest = following;
        }
    }

    /// Writes a quick ack whose request the peer made.
    // req: S115
    pub(crate) fn quick_ack(
        &mut self,
        token: u32,
        out: &mut impl OutputBuffer,
    ) -> Result<(), Misuse> {
        // Without bit 31 it would be taken for a length.
        let token = token | QUICK_ACK_BIT;
        match self.framing {
            Framing::Abridged => out.put_u32(token),
            Framing::Intermediate => out.put_u32_le(token),
            Framing::Padded => {
                self.begin(FrameLen::FRAMED_QUICK_ACK, false, out);
                out.put_i32_le(FRAMED_QUICK_ACK);
                out.put_u32_le(token);
                self.end(out)?;
            }
            Framing::Full => return Err(Misuse::NoQuickAcks),
        }
        Ok(())
    }
}

/// Length of a payload that every framing can carry, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameLen(NonZeroU32);

impl FrameLen {
    const FRAMED_QUICK_ACK: Self = Self(NonZeroU32::MIN.saturating_add(7));

    /// # Errors
    /// `PayloadRefused` if it is zero, above [`FRAME_LEN_MAX_CLIENT`] or no multiple of four.
    pub(crate) fn new(len: usize) -> Result<Self, Misuse> {
        let wire = u32::try_from(len).ok().and_then(NonZeroU32::new);
        wire.filter(|wire| len <= FRAME_LEN_MAX_CLIENT && wire.get().is_multiple_of(4))
            .map(Self)
            .ok_or(Misuse::PayloadRefused { len })
    }

    fn wire(self) -> u32 {
        self.0.get()
    }

    fn bytes(self) -> usize {
        length(self.wire())
    }
}

fn put_abridged_len(len: u32, quick_ack: bool, out: &mut impl BufMut) {
    let flag = if quick_ack { ABRIDGED_QUICK_ACK } else { 0 };
    match u8::try_from(len / 4) {
        Ok(words) if words < ABRIDGED_LONG => out.put_u8(words | flag),
        _ => {
            out.put_u8(ABRIDGED_LONG | flag);
            out.put_uint_le(u64::from(len / 4), 3);
        }
    }
}
