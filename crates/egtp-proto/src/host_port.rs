//! Where a machine listens: an address or a name, and a port.
//!
//! Resolves no names and opens nothing. Invariant: a [`HostName`] is never mistaken for an address,
//! and every host has one text and one wire form.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use crate::wire::{Reader, WireError, Writer};

/// A host and a port, written `192.0.2.1:7700`, `[2001:db8::1]:7700` or `example.org:7700`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct HostPort {
    /// The machine.
    pub host: Host,
    /// The port; 0 only where the system is to choose one, never in a contact.
    pub port: u16,
}

impl HostPort {
    /// The address to open a socket to, if no name has to be looked up first.
    pub const fn socket_addr(&self) -> Option<SocketAddr> {
        match self.host {
            Host::V4(address) => Some(SocketAddr::new(IpAddr::V4(address), self.port)),
            Host::V6(address) => Some(SocketAddr::new(IpAddr::V6(address), self.port)),
            Host::Name(_) => None,
        }
    }

    /// Appends the wire form: port, kind of host, host. A name has no length: it fills the rest.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.put_u16(self.port);
        match &self.host {
            Host::V4(address) => {
                out.put_u8(HOST_V4);
                out.put(&address.octets());
            }
            Host::V6(address) => {
                out.put_u8(HOST_V6);
                out.put(&address.octets());
            }
            Host::Name(name) => {
                out.put_u8(HOST_NAME);
                out.put(name.as_str().as_bytes());
            }
        }
    }

    /// Reads the wire form up to the end of `reader`.
    pub(crate) fn decode(mut reader: Reader<'_>) -> Result<Self, WireError> {
        let port = reader.u16()?;
        let host = match reader.u8()? {
            HOST_V4 => Host::V4(Ipv4Addr::from(reader.array::<4>()?)),
            HOST_V6 => Host::V6(Ipv6Addr::from(reader.array::<16>()?)),
            HOST_NAME => {
                let text = str::from_utf8(reader.take_rest()).map_err(|_| WireError::Forbidden)?;
                Host::Name(text.parse().map_err(|_| WireError::Forbidden)?)
            }
            kind => return Err(WireError::UnknownType(kind)),
        };
        reader.finish()?;
        Ok(Self { host, port })
    }
}

impl From<SocketAddr> for HostPort {
    /// An IPv4 address that the system shows as an IPv6 address becomes IPv4 again.
    fn from(address: SocketAddr) -> Self {
        let host = match address.ip().to_canonical() {
            IpAddr::V4(address) => Host::V4(address),
            IpAddr::V6(address) => Host::V6(address),
        };
        Self { host, port: address.port() }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::V6(address) => write!(f, "[{address}]:{}", self.port),
            host => write!(f, "{host}:{}", self.port),
        }
    }
}

impl FromStr for HostPort {
    type Err = HostPortError;

    /// Reads the one text of a host and port.
    ///
    /// # Errors
    /// Every [`HostPortError`]: it says what to write instead.
    fn from_str(text: &str) -> Result<Self, HostPortError> {
        let (host, port) = text.rsplit_once(':').ok_or(HostPortError::Port)?;
        let port: u16 = port.parse().map_err(|_| HostPortError::Port)?;
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(address) => Host::V6(address.parse().map_err(|_| HostPortError::Host)?),
            None => match host.parse() {
                Ok(address) => Host::V4(address),
                Err(_) => Host::Name(host.parse()?),
            },
        };
        let parsed = Self { host, port };
        if parsed.to_string() == text { Ok(parsed) } else { Err(HostPortError::NotCanonical) }
    }
}

/// A machine, by address or by name.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Host {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address, without a zone.
    V6(Ipv6Addr),
    /// A name that the system looks up each time.
    Name(HostName),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(address) => address.fmt(f),
            Self::V6(address) => address.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// A host name of small letters, digits, hyphens and dots, at most 253 characters.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct HostName(Box<str>);

impl HostName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for HostName {
    type Err = HostPortError;

    /// Checks a name.
    ///
    /// # Errors
    /// [`HostPortError::Host`] when it is none, or when a resolver would read it as a number.
    fn from_str(text: &str) -> Result<Self, HostPortError> {
        let fits = text.len() <= NAME_BYTES_MAX && text.split('.').all(is_label);
        // Resolvers take `1`, `127.1` and `0x7f.1` for addresses: such a name has two readings.
        let number = text.rsplit('.').next().is_some_and(looks_like_a_number);
        if fits && !number { Ok(Self(text.into())) } else { Err(HostPortError::Host) }
    }
}

/// Why a text is no host and port. Each message says what to write.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HostPortError {
    /// The host is neither an address nor a name.
    #[error(
        "the host is neither an address nor a name; write 192.0.2.1, [2001:db8::1] or example.org \
         (small letters, digits, hyphens, dots)"
    )]
    Host,
    /// The port is missing or no number up to 65535.
    #[error("a port from 0 to 65535 must follow the host after a colon, as in example.org:7700")]
    Port,
    /// The text means something but has a shorter or plainer spelling.
    #[error("write addresses and ports in their shortest form, as in [2001:db8::1]:7700")]
    NotCanonical,
}

fn is_label(label: &str) -> bool {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    (1..=LABEL_BYTES_MAX).contains(&label.len())
        && label.bytes().all(allowed)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn looks_like_a_number(label: &str) -> bool {
    let hexadecimal = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    label.bytes().all(|byte| byte.is_ascii_digit())
        || label.strip_prefix("0x").is_some_and(hexadecimal)
}

const HOST_V4: u8 = 1;
const HOST_V6: u8 = 2;
const HOST_NAME: u8 = 3;
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;
