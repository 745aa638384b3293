//! Several addresses of one server: the first to answer wins (RFC 8305).

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::debug;

/// How long one address may keep the next from being tried.
pub const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Gives the connection to whichever address answers first. The next is tried when one fails, or
/// is silent for [`ATTEMPT_DELAY`]; those that lose are dropped. `failed` is told of those that
/// fail, and of those that began earlier than the winner and had not answered by then.
pub(crate) async fn race<C, F>(
    mut addresses: VecDeque<SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
    failed: impl Fn(SocketAddr),
) -> io::Result<C>
where
    C: Send + 'static,
    F: Future<Output = io::Result<C>> + Send + 'static,
{
    let mut attempts = JoinSet::new();
    // In the order begun.
    let mut silent = Vec::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no address to try");
    loop {
        if let Some(address) = addresses.pop_front() {
            silent.push(address);
            let attempt = connect(address);
            attempts.spawn(async move { (address, attempt.await) });
        }
        let attempt = tokio::select! {
            attempt = attempts.join_next() => attempt,
            () = sleep(ATTEMPT_DELAY), if !addresses.is_empty() => continue,
        };
        match attempt {
            None => return Err(last),
            Some(Ok((winner, Ok(stream)))) => {
                silent.into_iter().take_while(|address| *address != winner).for_each(failed);
                return Ok(stream);
            }
            Some(Ok((address, Err(error)))) => {
                debug!(%address, %error, "an address does not answer");
                silent.retain(|known| *known != address);
                failed(address);
                last = error;
            }
            Some(Err(error)) => last = io::Error::other(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tokio::time::Instant;

    use super::*;

    fn parse(list: &str) -> VecDeque<SocketAddr> {
        list.split(' ').filter_map(|address| address.parse().ok()).collect()
    }

    /// An address whose port is even answers after so many milliseconds, others refuse.
    async fn connect(address: SocketAddr) -> io::Result<SocketAddr> {
        sleep(Duration::from_millis(address.port().into())).await;
        let refused = io::ErrorKind::ConnectionRefused.into();
        if address.port().is_multiple_of(2) { Ok(address) } else { Err(refused) }
    }

    #[tokio::test(start_paused = true)]
    #[allow(clippy::disallowed_methods, reason = "time is virtual here")]
    async fn the_first_to_answer_wins() {
        let check = async |list: &str, winner: usize, after: u64, doubtful: &str| {
            let (addresses, begin) = (parse(list), Instant::now());
            let failed = RefCell::new(VecDeque::new());
            let note = |address| failed.borrow_mut().push_back(address);
            let address = race(addresses.clone(), connect, note).await.unwrap();
            assert_eq!(address, addresses[winner], "{list}");
            assert_eq!(begin.elapsed(), Duration::from_millis(after), "{list}");
            assert_eq!(*failed.borrow(), parse(doubtful), "{list}");
        };
        check("1.1.1.1:10", 0, 10, "").await;
        check("1.1.1.1:240 1.1.1.2:2", 0, 240, "").await;
        // The first is silent, so the second starts after the delay.
        check("1.1.1.1:60000 1.1.1.2:10", 1, 260, "1.1.1.1:60000").await;
        check("1.1.1.1:60000 1.1.1.2:60000 1.1.1.3:10", 2, 510, "1.1.1.1:60000 1.1.1.2:60000")
            .await;
        check("1.1.1.1:300 1.1.1.2:100", 0, 300, "").await;
        // The first refuses, so the second starts at once.
        check("1.1.1.1:1 1.1.1.2:10", 1, 11, "1.1.1.1:1").await;
        check("1.1.1.1:1 1.1.1.2:1 1.1.1.3:10", 2, 12, "1.1.1.1:1 1.1.1.2:1").await;
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_answers() {
        let error = race(parse("1.1.1.1:1 1.1.1.2:301"), connect, |_| ()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(race(VecDeque::new(), connect, |_| ()).await.is_err());
    }
}
