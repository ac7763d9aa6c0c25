//! libp2p's request-response behaviour over either of its transports, with a codec that adds nothing:
//! the end of a half of a stream is the end of a message.
//!
//! A swarm is one task; whoever asks sends it an order with a one-shot channel for the outcome, as
//! libp2p's own examples do.

use std::collections::HashMap;
use std::io;
use std::marker::PhantomData;
use std::num::NonZero;
use std::time::Duration;

use bytes::Bytes;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use libp2p::request_response::{
    Behaviour, Codec, Config, Event, Message, OutboundRequestId, ProtocolSupport,
};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, noise, tcp, yamux};
use tokio::sync::{mpsc, oneshot};

use super::Side;
use crate::bodies;
use crate::outcome::Outcome;
use crate::requests::TIMEOUT;
use crate::server::announce;

const STREAMS_TCP: usize = 4_096;
const STREAMS_QUIC: u32 = 8_192;
/// Idle connections are to stay: their number is what is weighed.
const IDLE: Duration = Duration::from_hours(1);

/// The two transports.
pub trait Transport: Send + Sync + 'static {
    fn swarm(raise_limits: bool) -> Outcome<Swarm<Behaviour<Raw>>>;
    fn listen() -> &'static str;
}

pub struct TcpNoiseYamux;

impl Transport for TcpNoiseYamux {
    fn swarm(raise_limits: bool) -> Outcome<Swarm<Behaviour<Raw>>> {
        let multiplex = move || {
            let mut config = yamux::Config::default();
            if raise_limits {
                config.set_max_num_streams(STREAMS_TCP);
            }
            config
        };
        let tcp = tcp::Config::default().nodelay(true);
        let swarm = SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_tcp(tcp, noise::Config::new, multiplex)?
            .with_behaviour(|_| behaviour())?
            .with_swarm_config(swarm_config)
            .build();
        Ok(swarm)
    }

    fn listen() -> &'static str {
        "/ip4/127.0.0.1/tcp/0"
    }
}

pub struct Quic;

impl Transport for Quic {
    fn swarm(raise_limits: bool) -> Outcome<Swarm<Behaviour<Raw>>> {
        let limits = move |mut config: libp2p::quic::Config| {
            if raise_limits {
                config.max_concurrent_stream_limit = STREAMS_QUIC;
            }
            config
        };
        let swarm = SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_quic_config(limits)
            .with_behaviour(|_| behaviour())?
            .with_swarm_config(swarm_config)
            .build();
        Ok(swarm)
    }

    fn listen() -> &'static str {
        "/ip4/127.0.0.1/udp/0/quic-v1"
    }
}

fn swarm_config(config: libp2p::swarm::Config) -> libp2p::swarm::Config {
    config.with_idle_connection_timeout(IDLE).with_max_negotiating_inbound_streams(STREAMS_TCP)
}

fn behaviour() -> Behaviour<Raw> {
    let config =
        Config::default().with_request_timeout(TIMEOUT).with_max_concurrent_streams(STREAMS_TCP);
    let protocol = (StreamProtocol::new("/egtp-bench/1"), ProtocolSupport::Full);
    Behaviour::with_codec(Raw, [protocol], config)
}

/// Whole messages, as they are.
#[derive(Clone, Debug)]
pub struct Raw;

async fn read(io: &mut (impl AsyncRead + Unpin + Send)) -> io::Result<Bytes> {
    let mut bytes = Vec::new();
    io.read_to_end(&mut bytes).await?;
    Ok(bytes.into())
}

impl Codec for Raw {
    type Protocol = StreamProtocol;
    type Request = Bytes;
    type Response = Bytes;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Bytes>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Bytes>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io).await
    }

    // The behaviour closes the stream's half after what is written here.
    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        body: Bytes,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&body).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        body: Bytes,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&body).await
    }
}

/// What a swarm's task is told to do.
enum Order {
    Connect(PeerId, Multiaddr, oneshot::Sender<Outcome<ConnectionId>>),
    Ask(PeerId, Bytes, oneshot::Sender<Outcome<Bytes>>),
    Close(ConnectionId),
}

pub struct Libp2p<T>(PhantomData<T>);

#[derive(Clone)]
pub struct Local(mpsc::UnboundedSender<Order>);

#[derive(Clone)]
pub struct Link {
    local: Local,
    peer: PeerId,
    connection: ConnectionId,
}

impl<T: Transport> Side for Libp2p<T> {
    const TIMES_OUT: bool = true;
    type Local = Local;
    type Link = Link;

    async fn serve(raise_limits: bool) -> Outcome<()> {
        let mut swarm = T::swarm(raise_limits)?;
        let _: ListenerId = swarm.listen_on(T::listen().parse()?)?;
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::NewListenAddr { address, .. } => {
                    announce(address.with(Protocol::P2p(*swarm.local_peer_id())));
                }
                SwarmEvent::Behaviour(Event::Message {
                    message: Message::Request { request, channel, .. },
                    ..
                }) => {
                    // Fails when the asker has gone.
                    let _ = swarm.behaviour_mut().send_response(channel, bodies::answer(request));
                }
                _ => {}
            }
        }
    }

    async fn local(raise_limits: bool) -> Outcome<Local> {
        let (orders, queue) = mpsc::unbounded_channel();
        tokio::spawn(drive(T::swarm(raise_limits)?, queue));
        Ok(Local(orders))
    }

    async fn connect(local: &Local, address: &str) -> Outcome<Link> {
        let mut address: Multiaddr = address.parse()?;
        let Some(Protocol::P2p(peer)) = address.pop() else { return Err("no peer's id".into()) };
        let connection = order(local, |answer| Order::Connect(peer, address, answer)).await?;
        Ok(Link { local: local.clone(), peer, connection })
    }

    async fn ask(link: &Link, body: Bytes) -> Outcome<Bytes> {
        order(&link.local, |answer| Order::Ask(link.peer, body, answer)).await
    }

    async fn close(local: &Local, link: Link) {
        let _ = local.0.send(Order::Close(link.connection));
    }
}

async fn order<T>(
    Local(orders): &Local,
    make: impl FnOnce(oneshot::Sender<Outcome<T>>) -> Order,
) -> Outcome<T> {
    let (answer, outcome) = oneshot::channel();
    orders.send(make(answer)).map_err(|_| "the swarm has ended")?;
    outcome.await?
}

/// Runs a client's swarm until nobody can give orders.
async fn drive(mut swarm: Swarm<Behaviour<Raw>>, mut orders: mpsc::UnboundedReceiver<Order>) {
    let mut dialing: HashMap<ConnectionId, oneshot::Sender<Outcome<ConnectionId>>> = HashMap::new();
    let mut asked: HashMap<OutboundRequestId, oneshot::Sender<Outcome<Bytes>>> = HashMap::new();
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Connect(peer, address, answer)) => {
                    let options = DialOpts::peer_id(peer)
                        .condition(PeerCondition::Always)
                        .addresses(vec![address])
                        .override_dial_concurrency_factor(NonZero::<u8>::MIN)
                        .build();
                    let id = options.connection_id();
                    match swarm.dial(options) {
                        Ok(()) => drop(dialing.insert(id, answer)),
                        Err(why) => drop(answer.send(Err(why.into()))),
                    }
                }
                Some(Order::Ask(peer, body, answer)) => {
                    let id = swarm.behaviour_mut().send_request(&peer, body);
                    asked.insert(id, answer);
                }
                Some(Order::Close(id)) => drop(swarm.close_connection(id)),
                None => return,
            },
            event = swarm.select_next_some() => match event {
                SwarmEvent::ConnectionEstablished { connection_id, .. } => {
                    if let Some(answer) = dialing.remove(&connection_id) {
                        let _ = answer.send(Ok(connection_id));
                    }
                }
                SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                    if let Some(answer) = dialing.remove(&connection_id) {
                        let _ = answer.send(Err(error.into()));
                    }
                }
                SwarmEvent::Behaviour(Event::Message {
                    message: Message::Response { request_id, response },
                    ..
                }) => {
                    if let Some(answer) = asked.remove(&request_id) {
                        let _ = answer.send(Ok(response));
                    }
                }
                SwarmEvent::Behaviour(Event::OutboundFailure { request_id, error, .. }) => {
                    if let Some(answer) = asked.remove(&request_id) {
                        let _ = answer.send(Err(error.into()));
                    }
                }
                _ => {}
            },
        }
    }
}
