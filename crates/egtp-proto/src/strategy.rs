//! A way to reach somebody: a generalized address.
//!
//! Knows how ways are written, not how they are travelled, and nothing of encryption, which lies
//! above all of them. Invariant: every strategy has one text and one wire form.

use std::fmt;
use std::str::FromStr;

use crate::host_port::{HostPort, HostPortError};
use crate::key::{KeyError, PublicKey};
use crate::wire::{Reader, WireError, Writer};

/// One way to reach an identity, written `tcp/192.0.2.1:7700`, `relay/egtp1…` or `relay/egtp1…@192.0.2.1:7700`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Strategy {
    /// A TCP connection.
    Tcp(HostPort),
    /// UDP datagrams.
    Udp(HostPort),
    /// A QUIC connection.
    Quic(HostPort),
    /// Through another node.
    Relay {
        /// Who relays.
        relay: PublicKey,
        /// Where it may take TCP connections, for those who do not know its own contact. A hint: the key decides.
        at: Option<HostPort>,
    },
}

impl Strategy {
    /// Appends the wire form: type, length, body. The length lets older readers skip new types.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut body = Vec::with_capacity(BODY_BYTES_MAX);
        match self {
            Self::Tcp(at) | Self::Udp(at) | Self::Quic(at) => at.encode(&mut body),
            Self::Relay { relay, at } => {
                body.put(relay.as_bytes());
                if let Some(at) = at {
                    at.encode(&mut body);
                }
            }
        }
        out.put_u8(self.kind());
        out.put_prefixed(&body);
    }

    /// Reads one strategy.
    ///
    /// # Errors
    /// [`WireError::UnknownType`] for a type or host of a later version, other [`WireError`]s for
    /// bytes that [`Strategy::encode`] never writes. The reader stays where it was.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let mut ahead = reader.clone();
        let (kind, body) = split(&mut ahead)?;
        let strategy = Self::from_body(kind, body)?.ok_or(WireError::UnknownType(kind))?;
        *reader = ahead;
        Ok(strategy)
    }

    /// Reads one strategy, or steps over one whose type only a later version knows (`None`).
    ///
    /// # Errors
    /// As [`Strategy::decode`], except for unknown types.
    pub fn decode_if_known(reader: &mut Reader<'_>) -> Result<Option<Self>, WireError> {
        let mut ahead = reader.clone();
        let (kind, body) = split(&mut ahead)?;
        let strategy = Self::from_body(kind, body)?;
        *reader = ahead;
        Ok(strategy)
    }

    /// Where the machine listens; that of a relay is another one.
    pub const fn host_port(&self) -> Option<&HostPort> {
        match self {
            Self::Tcp(at) | Self::Udp(at) | Self::Quic(at) => Some(at),
            Self::Relay { .. } => None,
        }
    }

    /// Whether it leads through another node.
    pub const fn is_relayed(&self) -> bool {
        matches!(self, Self::Relay { .. })
    }

    const fn kind(&self) -> u8 {
        match self {
            Self::Tcp(_) => TCP,
            Self::Udp(_) => UDP,
            Self::Quic(_) => QUIC,
            Self::Relay { .. } => RELAY,
        }
    }

    fn from_body(kind: u8, body: Reader<'_>) -> Result<Option<Self>, WireError> {
        Ok(Some(match kind {
            TCP => Self::Tcp(HostPort::decode(body)?),
            UDP => Self::Udp(HostPort::decode(body)?),
            QUIC => Self::Quic(HostPort::decode(body)?),
            RELAY => decode_relay(body)?,
            _ => return Ok(None),
        }))
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(at) => write!(f, "tcp/{at}"),
            Self::Udp(at) => write!(f, "udp/{at}"),
            Self::Quic(at) => write!(f, "quic/{at}"),
            Self::Relay { relay, at: None } => write!(f, "relay/{relay}"),
            Self::Relay { relay, at: Some(at) } => write!(f, "relay/{relay}@{at}"),
        }
    }
}

impl FromStr for Strategy {
    type Err = StrategyError;

    /// Reads the one text of a strategy.
    ///
    /// # Errors
    /// Every [`StrategyError`]: it says which part is wrong and what to write.
    fn from_str(text: &str) -> Result<Self, StrategyError> {
        let (kind, place) = text.split_once('/').ok_or(StrategyError::Kind)?;
        match kind {
            "tcp" => Ok(Self::Tcp(place.parse()?)),
            "udp" => Ok(Self::Udp(place.parse()?)),
            "quic" => Ok(Self::Quic(place.parse()?)),
            "relay" => {
                let (key, at) = match place.split_once('@') {
                    Some((key, at)) => (key, Some(at.parse()?)),
                    None => (place, None),
                };
                let relay: PublicKey = key.parse()?;
                // A key alone may come in capitals; a strategy has one spelling.
                let canonical = relay.to_string() == key;
                canonical.then_some(Self::Relay { relay, at }).ok_or(StrategyError::Capitals)
            }
            _ => Err(StrategyError::Kind),
        }
    }
}

/// Why a text is no strategy. Each message says what to write.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StrategyError {
    /// The part before the slash.
    #[error("a strategy begins with tcp/, udp/, quic/ or relay/, as in tcp/192.0.2.1:7700")]
    Kind,
    /// The host or port of tcp, udp or quic, or those behind a relay's key.
    #[error("{0}")]
    HostPort(#[from] HostPortError),
    /// The key of a relay.
    #[error("the relay's key cannot be read: {0}")]
    Relay(#[from] KeyError),
    /// The key of a relay in capitals.
    #[error("write the relay's key in small letters, as in relay/egtp1...")]
    Capitals,
}

fn split<'a>(reader: &mut Reader<'a>) -> Result<(u8, Reader<'a>), WireError> {
    let kind = reader.u8()?;
    let body = reader.prefixed(BODY_BYTES_MAX)?;
    Ok((kind, Reader::new(body)))
}

fn decode_relay(mut body: Reader<'_>) -> Result<Strategy, WireError> {
    let relay = PublicKey::from_bytes(body.array()?).map_err(|_| WireError::Forbidden)?;
    let at = if body.is_empty() { None } else { Some(HostPort::decode(body)?) };
    Ok(Strategy::Relay { relay, at })
}

const TCP: u8 = 1;
const UDP: u8 = 2;
const QUIC: u8 = 3;
const RELAY: u8 = 4;

/// A key, port, kind of host and the longest name; later types must fit as well.
const BODY_BYTES_MAX: usize = 288;

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, prop_assert_eq, proptest};

    use super::*;
    use crate::key::SecretKey;

    /// Proves STR-1, STR-3: all kinds are values of one type.
    /// Proves I-5.
    #[test]
    fn every_strategy_has_one_text_and_one_wire_form() {
        let name = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(61));
        for text in [
            "tcp/127.0.0.1:7700",
            "tcp/[::1]:7700",
            "udp/[2001:db8::1]:1",
            "quic/example.org:65535",
            "tcp/0x.localhost:0",
            &format!("udp/{name}:7700"),
            &relay_text(),
            &format!("{}@192.0.2.1:7700", relay_text()),
            &format!("{}@{name}:7700", relay_text()),
        ] {
            let strategy: Strategy = text.parse().unwrap();
            assert_eq!(strategy.to_string(), text);
            let mut bytes = Vec::new();
            strategy.encode(&mut bytes);
            let mut reader = Reader::new(&bytes);
            assert_eq!(Strategy::decode(&mut reader), Ok(strategy), "{text}");
            assert!(reader.is_empty());
        }
    }

    /// Proves I-5.
    #[test]
    fn a_second_spelling_is_refused_and_the_error_says_what_to_write() {
        for (text, hint) in [
            ("127.0.0.1:7700", "begins with tcp/"),
            ("TCP/127.0.0.1:7700", "begins with tcp/"),
            ("http/127.0.0.1:7700", "begins with tcp/"),
            ("tcp/127.0.0.1", "after a colon"),
            ("tcp/127.0.0.1:", "after a colon"),
            ("tcp/127.0.0.1:65536", "after a colon"),
            ("tcp/127.0.0.1:07700", "shortest form"),
            ("tcp/127.0.0.1:+7700", "shortest form"),
            ("tcp/[0::1]:7700", "shortest form"),
            ("tcp/::1:7700", "neither an address"),
            ("tcp/127.1:7700", "neither an address"),
            ("tcp/1.2.3.0x7f:7700", "neither an address"),
            ("tcp/Example.org:7700", "neither an address"),
            ("tcp/-a.org:7700", "neither an address"),
            ("tcp/a..org:7700", "neither an address"),
            ("tcp/a.org.:7700", "neither an address"),
            ("relay/egtp1qqqq", "copy the whole key"),
            (&format!("{}@", relay_text()), "after a colon"),
            (&format!("{}@tcp/192.0.2.1:7700", relay_text()), "neither an address"),
            (&relay_text().replace("egtp1", "egtp-secret-1"), "show it to nobody"),
            (&relay_text().to_uppercase().replace("RELAY/", "relay/"), "small letters"),
        ] {
            let error = text.parse::<Strategy>().unwrap_err();
            assert!(error.to_string().contains(hint), "{text}: {error}");
        }
    }

    /// Proves STR-5.
    #[test]
    fn a_type_of_a_later_version_is_stepped_over() {
        let bytes = [9, 2, 1, 2, 0xff];
        let mut reader = Reader::new(&bytes);
        assert_eq!(Strategy::decode(&mut reader), Err(WireError::UnknownType(9)));
        assert_eq!(Strategy::decode_if_known(&mut reader), Ok(None));
        assert_eq!(reader.remaining(), 1);
    }

    proptest! {
        #[test]
        fn accepted_bytes_are_those_we_write(bytes in prop::collection::vec(0_u8..40, 0..24)) {
            let mut reader = Reader::new(&bytes);
            if let Ok(strategy) = Strategy::decode(&mut reader) {
                let mut again = Vec::new();
                strategy.encode(&mut again);
                prop_assert_eq!(&again[..], &bytes[..bytes.len() - reader.remaining()]);
            }
        }

        #[test]
        fn accepted_texts_are_those_we_write(text in "(tcp|udp|relay)/\\PC{0,20}(:[0-9]{1,5})?") {
            if let Ok(strategy) = text.parse::<Strategy>() {
                prop_assert_eq!(strategy.to_string(), text);
            }
        }
    }

    fn relay_text() -> String {
        format!("relay/{}", SecretKey::from_seed([7; 32]).public())
    }
}
