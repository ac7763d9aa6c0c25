//! iroh on one machine: no relay, no lookup, the address given; a bidirectional stream for each request.
//!
//! Stream limits are raised where many requests are in flight. TLS tickets are off: a new connection
//! is to be a new one, as for the others.

use bytes::Bytes;
use iroh::endpoint::{
    Connection, Endpoint, QuicTransportConfig, RecvStream, RelayMode, SendStream, presets,
};
use iroh::{EndpointAddr, EndpointId};

use super::{LONGEST, Side};
use crate::bodies;
use crate::outcome::Outcome;
use crate::server::announce;

pub struct Iroh;

const ALPN: &[u8] = b"egtp-bench/1";
const STREAMS: u32 = 2_048;

impl Side for Iroh {
    type Local = Endpoint;
    type Link = Connection;

    async fn serve(raise_limits: bool) -> Outcome<()> {
        let endpoint = bind(raise_limits).await?;
        let socket = endpoint.bound_sockets().first().copied().ok_or("no socket")?;
        announce(format_args!("{} {socket}", endpoint.id()));
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

    async fn local(raise_limits: bool) -> Outcome<Endpoint> {
        bind(raise_limits).await
    }

    async fn connect(local: &Endpoint, address: &str) -> Outcome<Connection> {
        let (id, socket) = address.split_once(' ').ok_or("an address without an id")?;
        let id: EndpointId = id.parse()?;
        Ok(local.connect(EndpointAddr::new(id).with_ip_addr(socket.parse()?), ALPN).await?)
    }

    async fn ask(link: &Connection, body: Bytes) -> Outcome<Bytes> {
        let (mut send, mut receive) = link.open_bi().await?;
        send.write_chunk(body).await?;
        send.finish()?;
        Ok(receive.read_to_end(LONGEST).await?.into())
    }

    async fn close(_: &Endpoint, link: Connection) {
        link.close(0_u32.into(), b"");
    }
}

async fn bind(raise_limits: bool) -> Outcome<Endpoint> {
    let mut builder = Endpoint::builder(presets::Minimal)
        .relay_mode(RelayMode::Disabled)
        .clear_address_lookup()
        .clear_ip_transports()
        .bind_addr("127.0.0.1:0")?
        .max_tls_tickets(0)
        .alpns(vec![ALPN.to_vec()]);
    if raise_limits {
        let transport = QuicTransportConfig::builder();
        let transport = transport.max_concurrent_bidi_streams(STREAMS.into());
        builder = builder.transport_config(transport.build());
    }
    Ok(builder.bind().await?)
}

async fn answer(mut send: SendStream, mut receive: RecvStream) -> Outcome<()> {
    let body = receive.read_to_end(LONGEST).await?;
    send.write_chunk(bodies::answer(body.into())).await?;
    Ok(send.finish()?)
}
