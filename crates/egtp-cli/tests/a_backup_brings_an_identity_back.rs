//! A backup is made, the directory is lost, and the identity goes on elsewhere.

mod common;

use common::{LOCAL, Place};

#[test]
fn a_lost_directory_is_made_again_from_a_backup() {
    let place = Place::new();
    let (old, new, file) = (place.at("old"), place.at("new"), place.at("egtp.backup"));
    let made = place.run(&["--data", &old, "init", "--json"]).ok().out;
    let key = made.split('"').find(|word| word.starts_with("egtp1")).unwrap().to_owned();
    place.run(&["--data", &old, "backup", &file]).ok();
    place.run(&["--data", &old, "backup", &file]).fails(1).says("exists");
    std::fs::remove_dir_all(&old).unwrap();

    let restored = place.run(&["--data", &new, "restore", &file, "--json"]).ok().out;
    assert!(restored.contains(&key), "{restored}");
    place.run(&["--data", &new, "restore", &file]).fails(2).says("another directory");
    let id = place.run(&["--data", &new, "id", "--json"]).ok().out;
    assert!(id.contains(&key), "{id}");
}

#[test]
fn what_is_no_backup_makes_no_directory() {
    let place = Place::new();
    let (new, file) = (place.at("new"), place.at("letter.txt"));
    std::fs::write(&file, "dear friend").unwrap();
    place.run(&["--data", &new, "restore", &file]).fails(1).says("letter.txt");
    assert!(!std::path::Path::new(&new).join("key").exists());
    place.run(&["--data", &new, "restore", &place.at("nowhere")]).fails(1).says("nowhere");
}

/// A node that runs makes the backup itself and goes on; what it is asked meanwhile is answered.
#[test]
fn a_running_node_is_backed_up_and_goes_on() {
    let place = Place::new();
    let (old, new) = (place.at("old"), place.at("new"));
    let node = place.start(&[&["--data", &old, "up"], &LOCAL[..]].concat());
    let ticket = node.ticket().to_owned();
    let file = place.at("egtp.backup");
    // A relative path is meant from where the command runs.
    place.run(&["--data", &old, "backup", "egtp.backup"]).ok().says("as safe as the key");
    place.run(&["--data", &old, "backup", &file]).fails(1).says("exists");
    place.run(&["--ephemeral", "ping", &ticket, "--count", "1"]).ok();
    let mode = std::fs::metadata(&file).unwrap().permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);

    let restored = place.run(&["--data", &new, "restore", &file, "--json"]).ok().object();
    assert_eq!(restored["public_key"], node.key());
}
