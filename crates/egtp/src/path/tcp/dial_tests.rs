//! What happens to an attempt when addresses do not answer. Kept apart because a full backlog and
//! stepped time make it possible to wait for eight seconds in no time.

use std::net::{Ipv4Addr, TcpListener as StdListener};

use socket2::{Domain, Socket, Type};

use super::super::doors::Doors;
use super::super::shared::Common;
use super::*;
use crate::clock::TokioClock;
use crate::path::tcp::TcpLimits;

/// A port that never answers: its backlog is full, so the system drops every further attempt.
struct BlackHole {
    address: SocketAddr,
    _listener: Socket,
    _fill: Vec<Socket>,
}

impl BlackHole {
    fn open() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let fill = (0..4).map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            drop(socket.connect(&address));
            socket
        });
        let fill = fill.collect();
        Self { address: address.as_socket().unwrap(), _listener: listener, _fill: fill }
    }
}

fn shared() -> Shared {
    let clock = Arc::new(TokioClock::new(Duration::from_secs(1_700_000_000)));
    let (doors, ..) = Doors::new(1);
    let common = Common::new(Vec::new(), clock, TcpLimits::default(), doors);
    Shared::new(Arc::new(common), 0)
}

fn key() -> PublicKey {
    egtp_proto::SecretKey::from_seed([1; 32]).public()
}

/// Proves B-27: an attempt to a black hole ends in under 10 s.
#[tokio::test(start_paused = true)]
async fn b_27_an_address_that_never_answers_fails_in_under_ten_seconds() {
    let hole = BlackHole::open();
    let start = Instant::now();
    let strategy = Strategy::Tcp(hole.address.into());
    let failed = open(&shared(), key(), &strategy).await.map(|_| ());
    assert_eq!(failed, Err(DialError::TimedOut));
    assert!(start.elapsed() < Duration::from_secs(10));
}

/// Proves B-27 from the other side: a good second address is not held up by a bad first one.
#[tokio::test(start_paused = true)]
async fn b_27_a_black_hole_does_not_hold_up_the_next_address() {
    let hole = BlackHole::open();
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    let good = listener.local_addr().unwrap();
    let start = Instant::now();
    let stream = race(vec![hole.address, good]).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), good);
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_refused_address_gives_way_to_the_next_at_once() {
    let refused = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    let good = listener.local_addr().unwrap();
    let stream = race(vec![refused, good]).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), good);
    assert_eq!(race(vec![refused]).await.unwrap_err(), DialError::Refused);
    assert_eq!(race(Vec::new()).await.unwrap_err(), DialError::NameNotFound);
}

#[test]
fn families_take_turns_beginning_with_the_preferred_one() {
    let addresses = |texts: &[&str]| -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    };
    let found = addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]);
    let expected = addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]);
    assert_eq!(alternate(found), expected);
}
