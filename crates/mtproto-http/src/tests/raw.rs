//! A peer that writes HTTP by hand.

use std::collections::VecDeque;
use std::sync::Arc;

use mtproto_frame::{Inbound, Outbound};
use mtproto_transport::{Link, LinkError, LinkExt, Origin};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;

use super::IN_FLIGHT;
use crate::{HttpConfig, HttpServerLink};

/// One connection to a server, to write requests on.
pub(super) struct Client {
    pub(super) stream: DuplexStream,
}

/// A client, and the link of its server.
pub(super) fn connect(config: HttpConfig) -> (Client, HttpServerLink<DuplexStream>) {
    let (near, far) = duplex(IN_FLIGHT);
    (Client { stream: near }, HttpServerLink::new(far, Origin::MEMORY, Arc::new(config)))
}

/// A client of a server that gives every packet back.
pub(super) fn echo(config: HttpConfig) -> (Client, JoinHandle<LinkError>) {
    let (client, mut link) = connect(config);
    let serve = async move {
        loop {
            match link.recv().await {
                Ok(Inbound::Packet { payload, .. }) => {
                    let answered = link.start_send(Outbound::packet(payload));
                    assert!(answered.is_ok() && link.flush().await.is_ok());
                }
                Ok(other) => panic!("{other:?}"),
                Err(error) => return error,
            }
        }
    };
    (client, tokio::spawn(serve))
}

impl Client {
    pub(super) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    pub(super) async fn read(&mut self) -> Response {
        Response::read(&mut self.stream).await
    }

    /// Writes a request and reads its answer.
    pub(super) async fn ask(&mut self, request: impl AsRef<[u8]>) -> Response {
        self.write(request).await;
        self.read().await
    }

    /// All that comes till the end.
    pub(super) async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).await.unwrap();
        String::from_utf8(rest).unwrap()
    }
}

/// A request for `path` with a body.
pub(super) fn post(path: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// An answer, or a request: both have a head and a body.
#[derive(Debug)]
pub(super) struct Response {
    /// The first line and the headers, without the empty line.
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Response {
    /// Reads exactly as far as it goes.
    pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Self {
        let mut head = VecDeque::new();
        while !head.make_contiguous().ends_with(b"\r\n\r\n") {
            head.push_back(stream.read_u8().await.expect("the head goes on"));
        }
        let head = String::from_utf8(head.into()).unwrap().trim_end().to_owned();
        let mut response = Self { head, body: Vec::new() };
        let len = response.header("content-length").map_or(0, |len| len.parse().unwrap());
        response.body = vec![0; len];
        stream.read_exact(&mut response.body).await.expect("the body goes on");
        response
    }

    pub(super) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let headers = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        headers.filter(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    pub(super) fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }
}
