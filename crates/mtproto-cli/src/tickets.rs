//! The tickets of `demo.take`: an effect that happens once, however often it is asked for.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::path::Path;

use mtproto_kit::server::{Request, RpcError};
use tracing::error;

use crate::exit::Failure;

/// The most queries that one directory takes; a line of the log each.
const QUERIES_MAX: usize = 100_000;

/// Who holds which ticket, and where that is written down.
///
/// The log has a line for every query that reached the handler, in this order: the holder, the
/// number, and the key, session and message that the query came in. A line is written before its
/// query is answered, so it outlives the process, though not the machine. It shows a query
/// that was handled twice, which the answers cannot.
pub(crate) struct Tickets {
    numbers: HashMap<i64, i32>,
    queries: usize,
    log: Box<dyn Write + Send>,
}

impl Tickets {
    /// Tickets that end with the process.
    pub(crate) fn in_memory() -> Self {
        Self { numbers: HashMap::new(), queries: 0, log: Box::new(io::sink()) }
    }

    /// Goes on where the log at `path` ends; makes it if there is none.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let unusable = |reason: &dyn std::fmt::Display| {
            let fix = "remove it to number tickets from 1 again";
            Failure::usage(format!("{}: {reason}; {fix}", path.display()))
        };
        let mut options = OpenOptions::new();
        let mut log =
            options.read(true).append(true).create(true).open(path).map_err(|e| unusable(&e))?;
        let mut text = String::new();
        log.read_to_string(&mut text).map_err(|e| unusable(&e))?;
        // What follows the last newline was being written when the process was killed: nobody has
        // been told of it.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut tickets = Self::in_memory();
        for line in text[..whole].lines() {
            let ticket = parse(line).ok_or_else(|| unusable(&format!("{line:?} is no ticket")))?;
            tickets.numbers.extend([ticket]);
            tickets.queries += 1;
        }
        log.set_len(whole as u64).map_err(|e| unusable(&e))?;
        tickets.log = Box::new(log);
        Ok(tickets)
    }

    /// The number of the ticket that `holder` has from now on.
    ///
    /// # Errors
    /// 400 `TICKETS_EXHAUSTED` after [`QUERIES_MAX`] queries, 500 `TICKET_UNWRITTEN` if the log
    /// cannot be written.
    pub(crate) fn take(&mut self, holder: i64, request: &Request) -> Result<i32, RpcError> {
        if self.queries >= QUERIES_MAX {
            return Err(RpcError::new(400, "TICKETS_EXHAUSTED"));
        }
        let next = i32::try_from(self.numbers.len() + 1).unwrap_or(i32::MAX);
        let number = self.numbers.get(&holder).copied().unwrap_or(next);
        let (session, msg_id) = (&request.session, request.msg_id);
        let line = format!("{holder} {number} {} {} {msg_id}\n", session.key(), session.id());
        // One write, so that no kill leaves a line's end without its beginning.
        self.log.write_all(line.as_bytes()).map_err(|error| {
            error!(%error, "a ticket cannot be written");
            RpcError::new(500, "TICKET_UNWRITTEN")
        })?;
        self.numbers.insert(holder, number);
        self.queries += 1;
        Ok(number)
    }
}

fn parse(line: &str) -> Option<(i64, i32)> {
    let mut words = line.split(' ');
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}
