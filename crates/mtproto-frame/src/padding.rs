//! Random lengths and bytes behind the frames of the padded framing.

use mtproto_crypto::{CtrStream, SecureRandom, SecureRandomExt};

use crate::item::Role;

/// The most padding a client puts behind a frame, in bytes. With 16 a receiver could not tell where
/// an encrypted packet ends.
pub const CLIENT_PADDING_MAX: u8 = 15;

/// The most padding a server puts behind a frame, in bytes: clients are alive that cut off no more
/// than the remainder of four.
// req: L27
pub const SERVER_PADDING_MAX: u8 = 3;

/// What a [`PaddingSource`] grows from, drawn when the stream is made.
#[derive(Debug)]
pub(crate) struct PaddingSeed {
    key: [u8; 32],
    iv: [u8; 16],
}

impl PaddingSeed {
    pub(crate) fn draw(random: &mut dyn SecureRandom) -> Self {
        Self { key: random.array(), iv: random.array() }
    }
}

/// The paddings of one direction: the key stream of a cipher, so that a stream needs no generator
/// of its own and draws on the shared one only once.
#[derive(Debug)]
pub(crate) struct PaddingSource {
    stream: CtrStream,
    len_max: u8,
    drawn: Padding,
}

impl PaddingSource {
    pub(crate) fn new(seed: &PaddingSeed, role: Role) -> Self {
        let len_max = match role {
            Role::Client => CLIENT_PADDING_MAX,
            Role::Server => SERVER_PADDING_MAX,
        };
        Self { stream: CtrStream::new(&seed.key, &seed.iv), len_max, drawn: Padding::default() }
    }

    /// Draws the padding of the next frame.
    pub(crate) fn next(&mut self) -> &Padding {
        let mut block = [0; 16];
        self.stream.apply(&mut block);
        let [len, bytes @ ..] = block;
        // Both limits are one less than a power of two, so this is uniform.
        self.drawn = Padding { bytes, len: len & self.len_max };
        &self.drawn
    }

    /// What was drawn last.
    pub(crate) fn drawn(&self) -> &Padding {
        &self.drawn
    }
}

/// The padding of one frame.
#[derive(Debug, Default)]
pub(crate) struct Padding {
    bytes: [u8; CLIENT_PADDING_MAX as usize],
    len: u8,
}

impl Padding {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    pub(crate) fn len(&self) -> u32 {
        u32::from(self.len)
    }
}
