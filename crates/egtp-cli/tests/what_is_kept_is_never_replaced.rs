//! Data directories: made once, owned by one process, refused when damaged, left as they are.

mod common;

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use common::{LOCAL, Place, files_below, kill};

#[test]
fn a_missing_directory_is_made_with_an_identity_and_a_port_that_stay() {
    let place = Place::new();
    let data = place.at("data");
    let mut node = place.start(&["--data", &data, "up"]);
    let (key, ticket) = (node.key().to_owned(), node.ticket().to_owned());
    assert!(ticket.contains("at=tcp/127.0.0.1:"), "{ticket}");
    place.run(&["ping", &ticket, "--count", "1"]).ok();
    node.stop("TERM");
    assert!(node.talk().contains("A new identity was made"));

    let mut node = place.start(&["--data", &data, "up"]);
    assert_eq!((node.key(), node.ticket()), (key.as_str(), ticket.as_str()));
    node.stop("INT");
    assert!(!node.talk().contains("new identity"));
    assert_eq!(place.run(&["--data", &data, "id", "--json"]).ok().object()["public_key"], key);
    place.run(&["--data", &data, "init"]).fails(2).says("already");
}

/// Proves ID-2 and ID-4: directories never share an identity.
#[test]
fn id_4_each_directory_is_somebody_else() {
    let place = Place::new();
    let id = |name: &str| {
        let ran = place.run(&["--data", &place.at(name), "init", "--json"]).ok().object();
        ran["node_id"].as_str().expect("an id").to_owned()
    };
    let (alice, bob) = (id("alice"), id("bob"));
    assert_ne!(alice, bob);
    let again = place.run(&["--data", &place.at("alice"), "id", "--json"]).ok().object();
    assert_eq!(again["node_id"], alice);
    assert_eq!(alice.len(), 40);
}

#[test]
fn an_owned_directory_is_refused_and_the_owner_named() {
    let place = Place::new();
    let data = place.at("data");
    let mut node = place.start(&[&["--data", &data, "up"], &LOCAL[..]].concat());
    let owner = format!("process {} (egtp up)", node.id());
    place.run(&["--data", &data, "up"]).fails(1).says(&owner).says("stop that process");
    place.run(&["--data", &data, "request", node.ticket(), "a/1"]).fails(2).says("oneself");
    let status = place.run(&["--data", &data, "status", "--json", "--check"]).ok().object();
    assert_eq!(status["owner"], owner);
    kill(node.id(), "KILL");
    node.talk();
    // What a killed owner leaves behind is no lock.
    let mut node = place.start(&[&["--data", &data, "up"], &LOCAL[..]].concat());
    node.stop("TERM");
}

/// Proves B-19.
#[test]
fn damaged_files_are_refused_and_stay_as_they_are() {
    for (file, contents, words) in [
        ("key", &b""[..], "restore it from a backup"),
        ("key", b"egtp-secret-1qqqqqq", "restore it from a backup"),
        ("key", &[0xff; 100], "not a text file"),
        ("port", b"seventy", "from 1 to 65535"),
        ("port", b"0\n", "from 1 to 65535"),
        ("port", b"1\n2\n", "from 1 to 65535"),
        ("store.db", &[7; 5000], "cannot be used as a store"),
    ] {
        let place = Place::new();
        let data = place.at("data");
        place.run(&["--data", &data, "init"]).ok();
        place.write(&format!("data/{file}"), contents);
        let before = place.read_bytes(&format!("data/{file}"));
        let ran = place.run(&["--data", &data, "up", "--json"]).fails(1).says(words);
        assert_eq!(ran.object()["error"]["code"], "damaged");
        if file != "store.db" {
            // Nothing of the store is in a status.
            place.run(&["--data", &data, "status"]).fails(1).says(words);
        }
        assert_eq!(place.read_bytes(&format!("data/{file}")), before, "{file}");
    }
}

/// Proves B-19: nor does a directory whose key is gone become somebody else.
#[test]
fn a_directory_that_has_lost_its_key_or_is_not_ours_gets_no_new_identity() {
    let place = Place::new();
    let data = place.at("data");
    let mut node = place.start(&["--data", &data, "up"]);
    node.stop("TERM");
    std::fs::remove_file(place.path().join("data/key")).expect("it can be removed");
    for command in ["up", "init", "id"] {
        place.run(&["--data", &data, command]).fails(1).says("no key file").says("restore");
    }
    assert!(!place.path().join("data/key").exists());

    // A mistyped name makes no directory, and somebody else's gets no file.
    for command in [vec!["id"], vec!["request", "@bob", "a/1"], vec!["peers", "ls"]] {
        place.run(&[&["--data", &place.at("nowhere")], &command[..]].concat()).fails(2);
    }
    assert!(!place.path().join("nowhere").exists());
    place.write("letter", "not ours");
    let before = files_below(place.path());
    place.run(&["--data", &place.at(""), "up"]).fails(1).says("name an empty or new directory");
    assert_eq!(files_below(place.path()), before);

    place.run(&["--data", &place.at("other"), "init"]).ok();
    let key = place.path().join("other/key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).expect("its mode");
    place.run(&["--data", &place.at("other"), "up"]).fails(1).says("chmod go-rwx");
}

#[test]
fn damaged_names_and_contacts_are_named_by_their_line() {
    let place = Place::new();
    place.run(&["init"]).ok();
    let share = ".local/share/egtp";
    place.write(&format!("{share}/peers"), "# names\n@bob egtp1nonsense\n");
    let before = files_below(place.path());
    place.run(&["peers", "ls"]).fails(1).says("line 2").says("repair");
    place.run(&["ping", "@bob"]).fails(1).says("line 2");
    assert_eq!(files_below(place.path()), before);

    place.write(&format!("{share}/peers"), "");
    place.write(&format!("{share}/contacts"), "EGTP2-CONTACT:AAAA;\n");
    let status = place.run(&["status", "--json"]).ok().says("line 1 is skipped").object();
    assert_eq!((&status["contacts"], &status["contacts_damaged"]), (&0.into(), &1.into()));
}

#[test]
fn a_contact_gets_a_new_number_only_when_it_says_something_new() {
    let place = Place::new();
    let data = place.at("data");
    let export = || place.run(&["--data", &data, "contact", "export", "--json"]).ok().object();
    place.run(&["--data", &data, "init"]).ok();
    let first = export();
    assert_eq!((&first["sequence"], &first["strategies"]), (&1.into(), &serde_json::json!([])));
    assert_eq!(export(), first);

    let mut node = place.start(&[&["--data", &data, "up"], &LOCAL[..]].concat());
    node.stop("TERM");
    let second = export();
    assert_eq!((&second["sequence"], &second["strategies"]), (&2.into(), &node.ready["listen"]));
    assert_eq!(export(), second);

    // Somebody takes in the newer one, and never goes back.
    let text =
        |contact: &serde_json::Value| contact["contact"].as_str().expect("a text").to_owned();
    place.run(&["init"]).ok();
    let import = |text: &str| place.run(&["contact", "import", text, "--json"]);
    assert_eq!(import(&text(&second)).ok().object()["stored"], true);
    assert_eq!(import(&text(&first)).ok().object()["stored"], false);
    assert!(place.read(".local/share/egtp/contacts").contains(&text(&second)));

    // The file that holds the number is never passed over.
    place.write("data/contact", "EGTP2-CONTACT:AAAA;");
    place.run(&["--data", &data, "contact", "export"]).fails(1).says("repair");
    assert_eq!(place.read("data/contact"), "EGTP2-CONTACT:AAAA;");
}

#[test]
fn a_forged_or_changed_contact_is_refused() {
    let place = Place::new();
    place.run(&["init"]).ok();
    let text = place.run(&["contact", "export"]).ok().out;
    let text = text.trim();
    for position in (14..text.len() - 1).step_by(7) {
        let (head, tail) = text.split_at(position);
        let mut rest = tail.chars();
        let other = if rest.next() == Some('A') { 'Q' } else { 'A' };
        let changed = format!("{head}{other}{}", rest.as_str());
        place.run(&["contact", "import", &changed]).fails(2);
    }
    assert!(!place.path().join(".local/share/egtp/contacts").exists());
}

#[test]
fn a_node_ends_within_five_seconds_of_a_signal_and_at_once_at_the_second() {
    let place = Place::new();
    for signal in ["TERM", "INT"] {
        let mut node = place.start(&[&["--ephemeral", "up"], &LOCAL[..]].concat());
        place.run(&["ping", node.ticket(), "--count", "1"]).ok();
        let (status, took) = node.stop(signal);
        assert!(status.success() && took < Duration::from_secs(5), "{status} after {took:?}");
        assert_eq!(node.next_event().expect("an event")["event"], "closing");
    }
}

/// Proves EVT-9.
#[test]
fn an_idle_node_uses_next_to_no_time() {
    let place = Place::new();
    let node = place.start(&[&["--ephemeral", "up"], &LOCAL[..]].concat());
    place.run(&["ping", node.ticket(), "--count", "1"]).ok();
    // Exact times of all threads: what the clock's ticks happen to hit depends on who else runs.
    let tasks = format!("/proc/{}/task", node.id());
    let nanoseconds = || {
        let threads = std::fs::read_dir(&tasks).expect("it runs").map_while(Result::ok);
        let texts =
            threads.filter_map(|one| std::fs::read_to_string(one.path().join("schedstat")).ok());
        let times = texts.filter_map(|text| text.split(' ').next()?.parse::<u64>().ok());
        times.sum::<u64>()
    };
    assert!(nanoseconds() > 0, "it has done something");
    // Nothing tells when nothing has happened: a span of time is what is measured here. What still
    // comes to an end after the ping shows in the first span only, a node that spins in each.
    let (_sender, nothing) = std::sync::mpsc::channel::<()>();
    let spans = std::iter::repeat_with(|| {
        let before = nanoseconds();
        assert!(nothing.recv_timeout(Duration::from_secs(2)).is_err());
        Duration::from_nanos(nanoseconds().saturating_sub(before))
    });
    let mut used = spans.take(3);
    assert!(
        used.any(|used| used < Duration::from_millis(10)),
        "10 ms and more in each two seconds"
    );
}
