//! quinn as its users write it: a bidirectional stream for each request, a task for each at the server.

use bytes::Bytes;
use quinn::{Connection, RecvStream, SendStream};

use super::{LONGEST, Side, quinn_ends};
use crate::bodies;
use crate::outcome::Outcome;
use crate::server::announce;

pub struct Quinn;

impl Side for Quinn {
    type Local = quinn_ends::Local;
    type Link = Connection;

    async fn serve(raise_limits: bool) -> Outcome<()> {
        let (endpoint, address) = quinn_ends::server(raise_limits)?;
        announce(address);
        while let Some(incoming) = endpoint.accept().await {
            tokio::spawn(async move {
                let connection = incoming.await?;
                loop {
                    let (send, receive) = connection.accept_bi().await?;
                    tokio::spawn(answer(send, receive));
                }
                #[expect(unreachable_code, reason = "names the type of the errors")]
                Outcome::Ok(())
            });
        }
        Err("the endpoint has closed".into())
    }

    async fn local(raise_limits: bool) -> Outcome<quinn_ends::Local> {
        quinn_ends::local(raise_limits)
    }

    async fn connect(local: &quinn_ends::Local, address: &str) -> Outcome<Connection> {
        quinn_ends::connect(local, address).await
    }

    async fn ask(link: &Connection, body: Bytes) -> Outcome<Bytes> {
        let (mut send, mut receive) = link.open_bi().await?;
        send.write_chunk(body).await?;
        send.finish()?;
        Ok(receive.read_to_end(LONGEST).await?.into())
    }

    async fn close(_: &quinn_ends::Local, link: Connection) {
        quinn_ends::close(&link);
    }
}

async fn answer(mut send: SendStream, mut receive: RecvStream) -> Outcome<()> {
    let body = receive.read_to_end(LONGEST).await?;
    send.write_chunk(bodies::answer(body.into())).await?;
    Ok(send.finish()?)
}
