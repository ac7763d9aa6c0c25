//! What both quinn sides need: endpoints, certificates, connections.
//!
//! The client checks the server's self-signed certificate and has none itself, so quinn's handshake
//! does less than those of EGTP, iroh and libp2p, which prove both keys. Resumption is off: a new
//! connection is to be a new one. The socket buffers are large, since quinn drops packets of 64
//! handshakes at once with the usual ones.

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Endpoint, EndpointConfig, ServerConfig, TokioRuntime, TransportConfig};
use rustls::RootCertStore;
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::TLS13;

use crate::outcome::Outcome;

const NAME: &str = "localhost";
const STREAMS: u32 = 2_048;
const SOCKET_BUFFER: usize = 4 << 20;
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A server's endpoint, and the address that [`connect`] wants: socket address and certificate.
pub fn server(raise_limits: bool) -> Outcome<(Endpoint, String)> {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
    let certificate = CertificateDer::from(made.cert);
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())?;
    let tls = rustls::ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)?;
    let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    config.transport_config(transport(raise_limits));
    let endpoint = bind(Some(config))?;
    let hex: String = certificate.iter().map(|byte| format!("{byte:02x}")).collect();
    let address = format!("{} {hex}", endpoint.local_addr()?);
    Ok((endpoint, address))
}

/// A client's endpoint, and whether it raises limits.
pub struct Local(Endpoint, bool);

pub fn local(raise_limits: bool) -> Outcome<Local> {
    Ok(Local(bind(None)?, raise_limits))
}

pub async fn connect(
    Local(endpoint, raise_limits): &Local,
    address: &str,
) -> Outcome<quinn::Connection> {
    let (address, hex) = address.split_once(' ').ok_or("an address without a certificate")?;
    let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16));
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(bytes.collect::<Result<Vec<u8>, _>>()?))?;
    let mut tls = rustls::ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.resumption = Resumption::disabled();
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    config.transport_config(transport(*raise_limits));
    Ok(endpoint.connect_with(config, address.parse()?, NAME)?.await?)
}

pub fn close(connection: &quinn::Connection) {
    connection.close(0_u32.into(), b"");
}

fn transport(raise_limits: bool) -> Arc<TransportConfig> {
    let mut transport = TransportConfig::default();
    transport.keep_alive_interval(Some(KEEP_ALIVE));
    if raise_limits {
        transport.max_concurrent_bidi_streams(STREAMS.into());
    }
    Arc::new(transport)
}

fn bind(server: Option<ServerConfig>) -> Outcome<Endpoint> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    setsockopt(&socket, sockopt::RcvBuf, &SOCKET_BUFFER)?;
    setsockopt(&socket, sockopt::SndBuf, &SOCKET_BUFFER)?;
    Ok(Endpoint::new(EndpointConfig::default(), server, socket, Arc::new(TokioRuntime))?)
}
