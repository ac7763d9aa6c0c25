//! A backup is made, the directory is lost, and the identity goes on elsewhere.

mod common;

use common::Place;

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
