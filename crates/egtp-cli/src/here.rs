//! Where this machine can be reached: from a listening address to addresses that others can use.
//!
//! Asks the system, sends nothing. Invariant: what it returns are hints; whoever follows them finds
//! out by the key whether the right node answers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use egtp::Strategy;

/// What to tell others: an address as it is; for a wildcard those that lead to this machine.
pub(crate) fn advertised(listening: &[Strategy]) -> Vec<Strategy> {
    let mut found: Vec<Strategy> = Vec::new();
    for strategy in listening {
        let address = strategy.host_port().and_then(egtp::HostPort::socket_addr);
        let hints = match address {
            Some(address) if address.ip().is_unspecified() => instead_of(address),
            _ => vec![strategy.clone()],
        };
        for hint in hints {
            if !found.contains(&hint) {
                found.push(hint);
            }
        }
    }
    found
}

fn instead_of(wildcard: SocketAddr) -> Vec<Strategy> {
    let loopback = wildcard.is_ipv4().then_some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let addresses = outward(wildcard.ip()).into_iter().chain(loopback);
    let at = |ip| Strategy::Tcp(SocketAddr::new(ip, wildcard.port()).into());
    addresses.map(at).collect()
}

/// The address that the system would use towards the outside, if there is an outside. Connecting a
/// UDP socket chooses a route and sends nothing; nobody has the addresses of documentation.
fn outward(wildcard: IpAddr) -> Option<IpAddr> {
    let outside = if wildcard.is_ipv4() { OUTSIDE_V4 } else { OUTSIDE_V6 };
    let socket = UdpSocket::bind(SocketAddr::new(wildcard, 0)).ok()?;
    socket.connect(outside).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_unspecified() && !address.is_loopback()).then_some(address)
}

const OUTSIDE_V4: &str = "192.0.2.1:9";
const OUTSIDE_V6: &str = "[2001:db8::1]:9";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_advertised_as_it_is_and_a_wildcard_never() {
        let listening = ["tcp/127.0.0.1:7700", "tcp/0.0.0.0:7701", "tcp/[::]:7701"];
        let listening: Vec<Strategy> = listening.iter().map(|text| text.parse().unwrap()).collect();
        let texts: Vec<String> = advertised(&listening).iter().map(ToString::to_string).collect();
        assert_eq!(texts.first().map(String::as_str), Some("tcp/127.0.0.1:7700"));
        assert!(texts.contains(&"tcp/127.0.0.1:7701".to_owned()));
        assert!(texts.iter().all(|text| !text.contains("0.0.0.0") && !text.contains("[::]")));
    }
}
