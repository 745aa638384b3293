//! The records that a stream travels in once both sides have said hello.

use super::{
    APPLICATION_DATA, CHANGE_CIPHER, CHANGE_CIPHER_RECORD, Fault, RECORD_HEADER_LEN, VERSION,
};

/// The most bytes that are sent in one record, as other clients do. What is received may have any
/// length that its header can say.
pub const RECORD_SENT_LEN_MAX: usize = 2878;

/// Takes a stream out of its records, wherever they are cut.
#[derive(Debug, Default)]
pub struct RecordReader {
    header: [u8; RECORD_HEADER_LEN],
    /// How much of the header has come.
    header_len: usize,
    /// How much of the record behind the header has not come, in bytes.
    left: usize,
    /// Whether the record is not part of the stream.
    is_skipped: bool,
    /// Whether encryption was announced, which happens once.
    is_announced: bool,
    fault: Option<Fault>,
}

impl RecordReader {
    /// A reader of a stream whose hellos are over.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves what is in the records to the front of `bytes`, the next ones that arrived, and gives
    /// how much that is.
    ///
    /// # Errors
    /// A record that does not belong here; the same at every later call.
    pub fn unwrap(&mut self, bytes: &mut [u8]) -> Result<usize, Fault> {
        match self.fault {
            Some(fault) => Err(fault),
            None => self.advance(bytes).inspect_err(|fault| self.fault = Some(*fault)),
        }
    }

    /// Whether the last record has come whole, so that the stream may end here.
    #[must_use]
    pub fn is_between_records(&self) -> bool {
        self.header_len == 0
    }

    fn advance(&mut self, bytes: &mut [u8]) -> Result<usize, Fault> {
        let (mut from, mut to) = (0, 0);
        while let Some(byte) = bytes.get(from).copied() {
            if self.header_len < RECORD_HEADER_LEN {
                self.take_header_byte(byte)?;
                from += 1;
            } else {
                let len = self.left.min(bytes.len() - from);
                if !self.is_skipped {
                    bytes.copy_within(from..from + len, to);
                    to += len;
                }
                from += len;
                self.left -= len;
            }
            if self.header_len == RECORD_HEADER_LEN && self.left == 0 {
                self.header_len = 0;
            }
        }
        Ok(to)
    }

    fn take_header_byte(&mut self, byte: u8) -> Result<(), Fault> {
        if let Some(slot) = self.header.get_mut(self.header_len) {
            *slot = byte;
        }
        self.header_len += 1;
        if self.header_len < RECORD_HEADER_LEN {
            return Ok(());
        }
        let [kind, major, minor, len @ ..] = self.header;
        let len = u16::from_be_bytes(len);
        if [major, minor] != VERSION {
            return Err(Fault::RecordVersion { version: u16::from_be_bytes([major, minor]) });
        }
        self.is_skipped = match kind {
            APPLICATION_DATA => false,
            // Clients send it before their first data, and some servers in the middle of theirs.
            // req: L32
            CHANGE_CIPHER if len == 1 && !self.is_announced => {
                self.is_announced = true;
                true
            }
            _ => return Err(Fault::RecordKind { kind }),
        };
        self.left = len.into();
        Ok(())
    }
}

/// Puts a stream into records.
#[derive(Debug)]
pub struct RecordWriter {
    /// Whether encryption is still to be announced.
    announces: bool,
}

impl RecordWriter {
    /// A client's, which announces encryption before its first record.
    #[must_use]
    pub fn client() -> Self {
        Self { announces: true }
    }

    /// A server's, whose answer to the hello has announced encryption.
    #[must_use]
    pub fn server() -> Self {
        Self { announces: false }
    }

    /// Appends `bytes` to `out` in as few records as they need. The first bytes of a client must
    /// begin with the whole header of its obfuscated stream: servers want it in the first record.
    pub fn wrap(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for piece in bytes.chunks(RECORD_SENT_LEN_MAX) {
            if std::mem::take(&mut self.announces) {
                out.extend(CHANGE_CIPHER_RECORD);
            }
            let [high, low] = u16::try_from(piece.len()).unwrap_or(u16::MAX).to_be_bytes();
            let [major, minor] = VERSION;
            out.extend([APPLICATION_DATA, major, minor, high, low]);
            out.extend_from_slice(piece);
        }
    }
}
