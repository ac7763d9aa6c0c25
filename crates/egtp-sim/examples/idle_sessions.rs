//! A server that holds very many sessions at rest: what they take, and whether each still opens what its peer seals.
//!
//! `idle_sessions SESSIONS HANDSHAKES THAWED`: of so many sessions, each with a peer of its own, the first
//! HANDSHAKES begin with a real handshake and the others with a root that is made up; from there on all go the same
//! way, through a session, its rest and the freezer of an endpoint. Then THAWED of them, chosen at random, are taken
//! out, and each must open a fresh record that its peer has sealed meanwhile, and none of another peer. Bytes are
//! counted by the allocator. Ends with 1 if anything is not as it should be.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::{Duration, Instant as Watch};

use bytes::BytesMut;
use egtp_proto::crypto::{DhKey, Random, Role, Suite};
use egtp_proto::limits::EPOCH_RESTS;
use egtp_proto::session::frozen::{Freezer, Owner};
use egtp_proto::session::handshake::LocalKeys;
use egtp_proto::session::live::Session;
use egtp_proto::time::Instant;
use egtp_proto::wire::shroud::{PREFIX_BYTES, Shroud};
use egtp_proto::wire::{Header, Lane};
use egtp_proto::{IdentityId, PublicKey, SecretKey};
use egtp_sim::shake::shake;

/// What a session at rest may take.
const BYTES_MAX: u64 = 128;
/// Two relayed epochs after the handshake: nobody uses its keys any more.
const LATER: Duration = EPOCH_RESTS.saturating_mul(3);
const SUITE: Suite = Suite::Aes256Gcm;

/// Root and hash of a session.
type Secret = ([u8; 32], [u8; 32]);

fn main() -> ExitCode {
    let numbers = std::env::args().skip(1).map(|word| word.parse().ok());
    let numbers: Option<Vec<u32>> = numbers.collect();
    let Some([sessions, handshakes, thawed]) = numbers.as_deref() else {
        eprintln!(
            "usage: idle_sessions SESSIONS HANDSHAKES THAWED, as in idle_sessions 1000000 10000 100000"
        );
        return ExitCode::from(2);
    };
    if *sessions == 0 || handshakes > sessions || thawed > sessions {
        eprintln!("there are no more handshakes, and none thawed, than sessions");
        return ExitCode::from(2);
    }
    match run(*sessions, *handshakes, *thawed) {
        Some(true) => ExitCode::SUCCESS,
        Some(false) => ExitCode::FAILURE,
        None => {
            eprintln!("a key, a handshake or a session was refused");
            ExitCode::FAILURE
        }
    }
}

fn run(sessions: u32, handshakes: u32, thawed: u32) -> Option<bool> {
    let mut random = Random::from_seed([7; 32]);
    let server = Server::new(&mut random)?;
    let begun = Watch::now();
    let real: Option<Vec<Secret>> =
        (0..handshakes).map(|number| server.shake(number, &mut random)).collect();
    let real = real?;
    println!("{handshakes} handshakes in {:.1} s", begun.elapsed().as_secs_f64());

    let mut freezer = None;
    let begun = Watch::now();
    let memory = allocation_counter::measure(|| {
        let mut filling = Freezer::new(usize::MAX, &[1; 32]);
        let all = (0..sessions).all(|number| freeze(&mut filling, number, &real).is_some());
        freezer = all.then_some(filling);
    });
    let mut freezer = freezer?;
    let held = u32::try_from(freezer.len()).ok()?;
    let bytes = u64::try_from(memory.bytes_current).ok()?;
    // In tenths, without a number that is not exact.
    let tenths = bytes * 10 / u64::from(held);
    println!("{held} sessions put to rest in {:.1} s", begun.elapsed().as_secs_f64());
    println!("{bytes} bytes, {}.{} each", tenths / 10, tenths % 10);

    let mut chosen = BTreeSet::new();
    while chosen.len() < usize::try_from(thawed).ok()? {
        chosen.insert(u32::try_from(random.below(u64::from(sessions))).ok()?);
    }
    let begun = Watch::now();
    let (mut opened, mut foreign) = (0, 0);
    for number in chosen {
        let before = number.checked_sub(1).unwrap_or(sessions - 1);
        foreign += u32::from(opens(&mut freezer, number, before, &server, &real)?);
        opened += u32::from(opens(&mut freezer, number, number, &server, &real)?);
        freezer.take_of(IdentityId(0), &peer(number))?;
    }
    println!(
        "{opened} of {thawed} opened a fresh record of their peer, {foreign} one of another peer, in {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    let left = u32::try_from(freezer.len()).ok()?;
    println!("{left} are still at rest");
    let is_held = held == sessions && left == held - thawed;
    let is_foreign = foreign > 0 && sessions > 1;
    Some(is_held && opened == thawed && !is_foreign && tenths <= 10 * BYTES_MAX)
}

/// The key of a peer.
fn secret(number: u32) -> SecretKey {
    let mut seed = [3; 32];
    seed.iter_mut().zip(number.to_le_bytes()).for_each(|(to, from)| *to = from);
    SecretKey::from_seed(seed)
}

fn peer(number: u32) -> PublicKey {
    secret(number).public()
}

/// What both sides of a session have after their handshake.
fn shared(number: u32, real: &[Secret]) -> Secret {
    let index = usize::try_from(number).unwrap_or(usize::MAX);
    real.get(index).copied().unwrap_or_else(|| {
        let hash =
            |what: &str| *blake3::hash(format!("{what} of session {number}").as_bytes()).as_bytes();
        (hash("root"), hash("hash"))
    })
}

fn session(number: u32, role: Role, real: &[Secret]) -> Option<Session> {
    let (root, hash) = shared(number, real);
    let mut session = Session::new(1, role, SUITE, number + 1, (&root, hash), Instant::default())?;
    session.confirmed = Some(Instant::default());
    Some(session)
}

/// The server's session with a peer, put to rest and into the freezer.
fn freeze(freezer: &mut Freezer, number: u32, real: &[Secret]) -> Option<()> {
    let mut session = session(number, Role::Responder, real)?;
    let is_at_rest = session.rest(Instant::default().after(LATER));
    let owner = Owner { identity: IdentityId(0), peer: peer(number), client: true, suspect: false };
    let frozen = session.freeze(number + 1, owner).filter(|_| is_at_rest)?;
    freezer.put(frozen);
    Some(())
}

/// Whether the frozen session of `number` opens a record that the peer `from` seals now.
fn opens(
    freezer: &mut Freezer,
    number: u32,
    from: u32,
    server: &Server,
    real: &[Secret],
) -> Option<bool> {
    let now = Instant::default().after(LATER);
    let text = format!("a fresh record of peer {from}");
    let mut packet = vec![0; PREFIX_BYTES];
    packet.extend_from_slice(text.as_bytes());
    let mut theirs = session(from, Role::Initiator, real)?;
    theirs.seal(now, Lane::Direct, &mut packet, &server.shroud)?;
    let header = server.shroud.uncovered_prefix(&packet)?;
    let Ok(Header::Record { lane, epoch, counter, .. }) = Header::decode(&header) else {
        return None;
    };
    let mut ours = Session::thaw(freezer.get(number + 1)?, 1)?;
    let mut packet = BytesMut::from(&packet[..]);
    let opened = ours.open(now, &header, (lane, epoch, counter), &mut packet);
    Some(opened.is_ok() && packet[..] == *text.as_bytes())
}

/// The side that everybody shakes hands with.
struct Server {
    keys: LocalKeys,
    prekey: DhKey,
    shroud: Shroud,
}

impl Server {
    fn new(random: &mut Random) -> Option<Self> {
        let keys = LocalKeys::new(&SecretKey::from_seed([2; 32]))?;
        let prekey = DhKey::from_secret(&random.bytes()).ok()?;
        Some(Self { shroud: Shroud::new(&keys.public), keys, prekey })
    }

    /// A handshake with a peer.
    fn shake(&self, number: u32, random: &mut Random) -> Option<Secret> {
        let client = LocalKeys::new(&secret(number))?;
        let (root, hash) = shake(SUITE, (&client, &self.keys, &self.prekey), random)?;
        Some((*root, hash))
    }
}
