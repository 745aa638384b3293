//! The least that a relay can do: bytes from one TCP connection to another, as they are.
//!
//! A yardstick for `examples/relay`.
//!
//! ```text
//! pipe IP:PORT
//! ```
//!
//! prints one line of JSON: where it listens. What connects there reaches `IP:PORT`.

use std::net::SocketAddr;

use clap::Parser;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// The least that a relay can do.
#[derive(Parser)]
struct Arguments {
    /// Where connections lead.
    #[arg(value_name = "IP:PORT")]
    target: SocketAddr,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let Arguments { target } = Arguments::parse();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", serde_json::json!({ "addresses": [listener.local_addr()?] }));
    loop {
        let (near, _) = listener.accept().await?;
        tokio::spawn(pipe(near, target));
    }
}

async fn pipe(mut near: TcpStream, target: SocketAddr) -> std::io::Result<()> {
    let mut far = TcpStream::connect(target).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    copy_bidirectional(&mut near, &mut far).await?;
    Ok(())
}
