//! Configuration files: what they set, what goes before them, and what is said of one that cannot be used.

mod common;

use common::{LOCAL, Place, Ran, closed_port};

/// Runs the program with something in its environment.
fn run_with(place: &Place, variables: &[(&str, &str)], words: &[&str]) -> Ran {
    let mut command = place.command(words);
    for (name, value) in variables {
        command.env(name, value);
    }
    let child = command.spawn().expect("the program starts");
    Ran::new(&common::output_of(child), std::time::Duration::ZERO)
}

fn has_key(place: &Place, directory: &str) -> bool {
    place.path().join(directory).join("key").exists()
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file_which_beats_what_is_built_in() {
    let place = Place::new();
    place.write("egtp.toml", "data = 'by-file'\n");
    let environment = [("EGTP_DATA", "by-environment")];
    let usual = ".local/share/egtp";
    place.run(&["init"]).ok();
    assert!(has_key(&place, usual) && !has_key(&place, "by-file"));
    place.run(&["init", "--config", "egtp.toml"]).ok();
    assert!(has_key(&place, "by-file") && !has_key(&place, "by-environment"));
    run_with(&place, &environment, &["init", "--config", "egtp.toml"]).ok();
    assert!(has_key(&place, "by-environment") && !has_key(&place, "by-flag"));
    let words = ["init", "--config", "egtp.toml", "--data", "by-flag"];
    run_with(&place, &environment, &words).ok();
    assert!(has_key(&place, "by-flag"));
}

/// Proves STA-2.
#[test]
fn the_file_is_named_by_a_flag_or_the_environment_and_otherwise_none_is_looked_for() {
    let place = Place::new();
    place.write("one.toml", "data = 'one'\n");
    place.write("two.toml", "data = 'two'\n");
    let environment = [("EGTP_CONFIG", "one.toml")];
    run_with(&place, &environment, &["init"]).ok();
    assert!(has_key(&place, "one"));
    run_with(&place, &environment, &["--config", "two.toml", "init"]).ok();
    assert!(has_key(&place, "two"));

    std::fs::create_dir_all(place.path().join(".config/egtp")).expect("a directory");
    for usual in ["egtp.toml", "config.toml", ".config/egtp/config.toml", ".config/egtp/egtp.toml"]
    {
        place.write(usual, "this is no configuration");
    }
    run_with(&place, &[("EGTP_CONFIG", "")], &["init"]).ok();
    assert!(has_key(&place, ".local/share/egtp"));
}

#[test]
fn a_list_of_the_command_line_takes_the_place_of_the_one_in_the_file() {
    let place = Place::new();
    let two = "[up]\nlisten = ['tcp/127.0.0.1:0', 'tcp/127.0.0.1:0']\n";
    place.write("egtp.toml", two);
    let up = ["--config", "egtp.toml", "--ephemeral", "up"];
    let addresses =
        |words: &[&str]| place.start(words).ready["listen"].as_array().expect("addresses").len();
    assert_eq!(addresses(&up), 2);
    assert_eq!(addresses(&[&up, &LOCAL[..]].concat()), 1);
}

#[test]
fn what_contradicts_the_command_line_is_left_out_of_the_file() {
    let place = Place::new();
    // Nobody is called so: to use it would fail.
    place.write("egtp.toml", "data = 'kept'\n[serve]\nallow = ['@nobody']\necho = true\n");
    let serve = ["--config", "egtp.toml", "--ephemeral", "serve", "a/1"];
    place.run(&serve).fails(2).says("nobody is called @nobody");
    let exec = ["--exec", "echo by a command", "--allow-any"];
    let node = place.start(&[&serve[..], &exec, &LOCAL[..]].concat());
    let reply = place.run(&["request", node.ticket(), "a/1", "an echo"]).ok();
    assert_eq!(reply.out, "by a command\n");
    drop(node);
    assert!(!place.path().join("kept").exists(), "--ephemeral uses no directory");

    place.write("other.toml", "ephemeral = true\nquiet = true\n");
    let words = ["--config", "other.toml", "init"];
    place.run(&words).fails(2).says("--ephemeral").says("other.toml, line 1");
    run_with(&place, &[("EGTP_DATA", "by-environment")], &words).ok();
    place.run(&[&words[..], &["-v", "--data", "by-flag"]].concat()).ok().says("A new identity");
    assert!(has_key(&place, "by-environment") && has_key(&place, "by-flag"));
}

#[test]
fn a_relay_runs_by_its_file_alone() {
    let place = Place::new();
    let (port, alice) = (closed_port(), place.at("alice"));
    let key = place.run(&["--data", &alice, "init", "--json"]).ok().object();
    let key = key["public_key"].as_str().expect("a key");
    place.write(
        "relay.toml",
        format!(
            "data = 'relay'\nquiet = true\n\n[relay]\nlisten = ['tcp/127.0.0.1:{port}']\n\
             allow = ['{key}']\nmax-letters = 0\nmax-registered = 10\n"
        ),
    );
    let relay = place.start(&["--config", "relay.toml", "relay"]);
    assert_eq!(relay.address(), format!("127.0.0.1:{port}"));
    assert!(has_key(&place, "relay"));
    let kinds = relay.ready["kinds"].as_array().expect("kinds");
    assert!(!kinds.contains(&"egtp.mailbox.put/1".into()), "{kinds:?}");

    // Alice may register; her own file says where.
    let at = relay.ticket();
    place.write("alice.toml", format!("data = 'alice'\n[up]\nlisten = ['none']\nrelay = ['{at}']"));
    let alice = place.start(&["--config", "alice.toml", "up"]);
    assert_eq!(place.run(&["request", alice.ticket(), "echo/1", "hello"]).ok().out, "hello");
}

/// Line and column, key, and what is said of it.
const FAULTS: &str = "\
dat = './x'                         # 1:1 dat: did you mean data?
up = 3                              # 2:6 up: a table is expected, not a whole number
verbose = 300                       # 3:11 verbose: from 0 to 255
config = 'x'                        # 4:1 config: a file cannot name another one
[relay]
lisen = ['tcp/127.0.0.1:0']         # 6:1 relay.lisen: did you mean listen?
listen = ['tcp/127.0.0.1:0', 'x']   # 7:30 relay.listen: \"x\" will not do
operator = ['@bob', 3]              # 8:21 relay.operator: a list of texts is expected
max-letters = '7'                   # 9:15 relay.max-letters: as in max-letters = 1048576, not a text
max_registered = 1                  # 10:1 relay.max_registered: did you mean max-registered?
data = 'x'                          # 11:1 relay.data: above the first table
allow = []                          # 12:9 relay.allow: an empty list says nothing
[id]                                # 13:2 id: no options that a file could set
[serve]
hard = '1s'                         # 15:1 serve.hard: it stands below [request] or [ping]
zzz = 1                             # 16:1 serve.zzz: there are echo, exec, allow
timeout = 5                         # 17:11 serve.timeout: a text in quotes is expected, as in timeout = \"30s\"
exec = 'cat'
echo = true                         # 19:1 serve.echo: contradicts `exec` in line 18
concurrency = 1.5                   # 20:15 serve.concurrency: not a number with a point
[request]
hard = '5'                          # 22:8 request.hard: write 5s for seconds
soft = '48h'                        # 23:8 request.soft: the longest duration is 24h
count = 0                           # 24:9 request.count: the smallest is 1
durable = 'yes'                     # 25:11 request.durable: true or false is expected
[send]
wait = 'recieved'                   # 27:8 send.wait: one of: queued, stored, received
[events.wait]
count = -1                          # 29:9 events.wait.count: the smallest is 1
";

#[test]
fn every_fault_is_told_with_its_place_its_key_and_what_would_be_right() {
    let place = Place::new();
    place.write("bad.toml", FAULTS);
    let ran = place.run(&["config", "check", "bad.toml", "--json"]).fails(2);
    let object = ran.object();
    assert_eq!((&object["ok"], &object["error"]["code"]), (&false.into(), &"usage".into()));
    let told = object["faults"].as_array().expect("a list");
    let expected: Vec<_> = FAULTS.lines().filter_map(|line| line.split_once("# ")).collect();
    assert_eq!(told.len(), expected.len(), "{ran:?}");
    for (fault, (_, expected)) in told.iter().zip(expected) {
        let text = |name: &str| fault[name].as_str().expect("a text");
        let (line, column) = (&fault["line"], &fault["column"]);
        let told = format!("{line}:{column} {}: {}", text("key"), text("message"));
        let (place, words) = expected.split_once(": ").expect("both");
        assert!(told.starts_with(&format!("{place}: ")) && told.contains(words), "{told}: {words}");
        let line = format!("line {line}, column {column}: {}: {}", text("key"), text("message"));
        assert!(ran.talk.contains(&line), "{line} is not in {ran:?}");
    }
}

#[test]
fn a_fault_stops_every_command_also_in_the_table_of_another_one() {
    let place = Place::new();
    place.write("egtp.toml", "[relay]\nlisten = ['tcp/127.0.0.1:0']\n\nmax-leters = 3\n");
    let ran = place.run(&["--config", "egtp.toml", "init", "--json"]).fails(2);
    assert_eq!(ran.object()["error"]["code"], "usage");
    let ran = ran.says("egtp.toml, line 4, column 1: relay.max-leters");
    ran.says("did you mean max-letters?").says("egtp config check egtp.toml");
    assert!(!has_key(&place, ".local/share/egtp"));
    // The command that looks at files is not stopped by the one that it looks at, and finds it.
    let environment = [("EGTP_CONFIG", "egtp.toml")];
    run_with(&place, &environment, &["config", "check"]).fails(2).says("line 4, column 1");
    run_with(&place, &environment, &["config", "example"]).ok();
    place.run(&["config", "check"]).fails(2).says("EGTP_CONFIG");
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_whoever_named_it() {
    let place = Place::new();
    place.write("bytes", [0xff, 0xfe]);
    place.write("words", "listen = tcp/127.0.0.1:0\n[up\n");
    place.write("twice", "[up]\n[up]\n");
    place.write("deep", format!("x = {}", "[".repeat(10_000)));
    for (file, words) in [
        ("nowhere", "nowhere, named by --config: there is no such file"),
        (".", "Is a directory"),
        ("bytes", "bytes is damaged: it is not a text file"),
        ("words", "words, line 1, column"),
        ("twice", "twice, line 2, column 2: duplicate key"),
        ("deep", "deep, line 1, column"),
    ] {
        place.run(&["--config", file, "id"]).fails(2).says(words);
        place.run(&["config", "check", file]).fails(2).says(file);
    }
    let ran = run_with(&place, &[("EGTP_CONFIG", "nowhere")], &["id"]).fails(2);
    ran.says("nowhere, named by EGTP_CONFIG: there is no such file");
}

#[test]
fn what_a_command_has_against_an_option_names_the_line_that_set_it() {
    let place = Place::new();
    place.write(
        "egtp.toml",
        "[up]\nlisten = ['none']\n\n[serve]\nallow = ['nobody']\necho = true\n",
    );
    let serve = ["--config", "egtp.toml", "--ephemeral", "serve", "a/1"];
    place.run(&serve).fails(2).says("--allow is the key `allow` of egtp.toml, line 5");
    // The one that is at fault here is not of the file.
    let ran = place.run(&[&serve[..], &["--allow", "somebody"]].concat()).fails(2);
    assert!(!ran.talk.contains("egtp.toml"), "{ran:?}");
}

/// The example, as it is, and with what is commented out brought in.
#[test]
fn the_example_has_every_option_and_no_fault_with_and_without_its_comments() {
    let place = Place::new();
    let example = place.run(&["config", "example"]).ok().out;
    place.write("example.toml", &example);
    place.run(&["config", "check", "example.toml"]).ok();
    place.run(&["--config", "example.toml", "init"]).ok();
    assert!(has_key(&place, ".local/share/egtp"), "it sets nothing");

    let bare =
        |line: &str| line.strip_prefix("# ").or(line.strip_prefix('#')).unwrap_or(line).to_owned();
    let all: Vec<String> = example.lines().map(bare).collect();
    place.write("all.toml", all.join("\n"));
    let checked = place.run(&["config", "check", "all.toml", "--json"]).ok().object();
    assert_eq!((&checked["ok"], &checked["faults"]), (&true.into(), &serde_json::json!([])));

    let keys = place.run(&["config", "example", "--json"]).ok().objects();
    assert_eq!(
        keys.len(),
        all.iter().filter(|line| line.contains(" = ") && !line.starts_with('#')).count()
    );
    let is_number = |key: &&serde_json::Value| {
        key["default"].as_str().is_some_and(|text| text.parse::<u64>().is_ok())
    };
    assert_eq!(keys.iter().find(is_number), None, "a number is written as one");
    for verb in ["up", "serve", "relay", "request", "send", "inbox", "ping", "status"] {
        let help = place.run(&[verb, "-h"]).ok().out;
        let options = help.lines().filter_map(|line| line.trim_start().split_once("--"));
        let options = options.filter(|(before, _)| before.is_empty() || before.ends_with(", "));
        let mut named = options.map(|(_, rest)| rest.split([' ', '.']).next().expect("a word"));
        let is_told = |option: &str| {
            let of = |table: &serde_json::Value| table.is_null() || table == verb;
            keys.iter().any(|key| key["key"] == option && of(&key["table"]))
        };
        let untold: Vec<_> = named.by_ref().filter(|option| !is_told(option)).collect();
        assert_eq!(untold, ["config", "help", "version"], "{verb}: {help}");
    }
}
