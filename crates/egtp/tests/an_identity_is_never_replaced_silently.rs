//! R15: a damaged key file is refused with a reason, and stays as it is, byte for byte.

// The lints spare test functions only, and the helpers of tests are tests too.
#![allow(clippy::unwrap_used)]
// Damaging a text means cutting it anywhere.
#![allow(clippy::string_slice)]

mod folder;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use egtp::keyfile::{Damage, KeyFileError, create, load, load_or_create};
use folder::Folder;

fn key(folder: &Folder) -> PathBuf {
    folder.0.join("key")
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn names_in(folder: &Folder) -> Vec<String> {
    let names = fs::read_dir(&folder.0).unwrap();
    names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_new_key_is_readable_by_its_owner_only_and_reads_back() {
    let folder = Folder::new("new-key");
    let secret = create(&key(&folder)).unwrap();
    assert_eq!((mode(&folder.0), mode(&key(&folder))), (0o700, 0o600));
    assert_eq!(names_in(&folder), ["key"], "nothing is left beside it");
    assert_eq!(load(&key(&folder)).unwrap().public(), secret.public());
    assert_eq!(load_or_create(&key(&folder)).unwrap().public(), secret.public());
    let text = fs::read_to_string(key(&folder)).unwrap();
    assert!(text.contains(&secret.public().to_string()), "its owner can see whose it is");
    assert!(matches!(create(&key(&folder)), Err(KeyFileError::Exists { .. })));
    assert_eq!(fs::read_to_string(key(&folder)).unwrap(), text);
}

#[test]
fn an_owner_may_add_comments_and_line_ends_of_another_system() {
    let folder = Folder::new("comments");
    let secret = create(&key(&folder)).unwrap();
    let text = fs::read_to_string(key(&folder)).unwrap().replace('\n', "\r\n");
    fs::write(key(&folder), format!("# mine\r\n\r\n  {text}# end")).unwrap();
    assert_eq!(load(&key(&folder)).unwrap().public(), secret.public());
}

/// Proves R15, B-19: damaged in twenty and more ways, refused each time, and never touched.
#[test]
fn r15_a_key_file_damaged_in_twenty_ways_is_refused_and_left_alone() {
    let folder = Folder::new("damaged");
    let secret = create(&key(&folder)).unwrap();
    let good = fs::read_to_string(key(&folder)).unwrap();
    let line = good.lines().last().unwrap().to_owned();
    let public = secret.public().to_string();
    let swapped: String = {
        let mut characters: Vec<char> = line.chars().collect();
        let last = characters.len() - 1;
        let place = (20..last).find(|&place| characters[place] != characters[place + 1]).unwrap();
        characters.swap(place, place + 1);
        characters.into_iter().collect()
    };
    let flip = |place: usize, bit: u8| {
        let mut bytes = line.clone().into_bytes();
        bytes[place] ^= bit;
        bytes
    };
    let texts = |text: String| text.into_bytes();
    let damaged: Vec<Vec<u8>> = vec![
        texts(String::new()),
        texts("\n\n".into()),
        texts("# only a comment\n".into()),
        texts(good[..good.len() - 2].into()),
        texts(good[..good.len() - 30].into()),
        texts(line[..20].into()),
        texts(line[1..].into()),
        texts(format!("{line}q")),
        texts(format!("{line}\n{line}\n")),
        texts(format!("{good}rest of an older file\n")),
        texts(swapped),
        flip(30, 1),
        flip(line.len() - 1, 1),
        flip(40, 0x80),
        texts(line.replacen("egtp-secret-1", "egtp-secret-", 1)),
        texts(line.replacen("egtp-secret-1", "egtp1", 1)),
        texts(public),
        vec![0; 4096],
        vec![0; good.len()],
        vec![0xff; 100],
        texts(format!("{}{good}", "#".repeat(5_000))),
        texts(line.replace('-', " ")),
        texts(line.chars().rev().collect()),
        texts(format!("{}\n{}", &line[..40], &line[40..])),
        texts(line.replacen("egtp", "EGTP", 1)),
    ];
    assert!(damaged.len() >= 20);
    for (number, bytes) in damaged.into_iter().enumerate() {
        fs::write(key(&folder), &bytes).unwrap();
        for attempt in [load(&key(&folder)), load_or_create(&key(&folder))] {
            let error = attempt.unwrap_err();
            assert!(matches!(error, KeyFileError::Damaged { .. }), "{number}: {error}");
            let advice = error.to_string();
            assert!(advice.contains("backup") && !advice.contains(&line[20..]), "{advice}");
        }
        assert!(matches!(create(&key(&folder)), Err(KeyFileError::Exists { .. })));
        assert_eq!(fs::read(key(&folder)).unwrap(), bytes, "{number} was left alone");
        assert_eq!(names_in(&folder), ["key"]);
    }
}

#[test]
fn r15_what_is_no_file_or_leads_nowhere_is_not_replaced_either() {
    let folder = Folder::new("no-file");
    create(&key(&folder)).unwrap();
    fs::remove_file(key(&folder)).unwrap();
    fs::create_dir(key(&folder)).unwrap();
    let refused = load_or_create(&key(&folder)).unwrap_err();
    assert!(matches!(refused, KeyFileError::Damaged { damage: Damage::NotAFile, .. }), "{refused}");
    fs::remove_dir(key(&folder)).unwrap();
    symlink(folder.0.join("on-a-disk-that-is-not-there"), key(&folder)).unwrap();
    assert!(matches!(load_or_create(&key(&folder)), Err(KeyFileError::Missing { .. })));
    assert!(key(&folder).symlink_metadata().unwrap().is_symlink());
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let folder = Folder::new("modes");
    create(&key(&folder)).unwrap();
    for open in [0o640, 0o604, 0o620, 0o602, 0o660, 0o666, 0o610, 0o777] {
        fs::set_permissions(key(&folder), Permissions::from_mode(open)).unwrap();
        let refused = load_or_create(&key(&folder)).unwrap_err();
        assert!(matches!(refused, KeyFileError::TooOpen { mode, .. } if mode == open), "{refused}");
    }
    fs::set_permissions(key(&folder), Permissions::from_mode(0o400)).unwrap();
    load(&key(&folder)).unwrap();
    fs::set_permissions(&folder.0, Permissions::from_mode(0o755)).unwrap();
    let refused = load(&key(&folder)).unwrap_err();
    assert!(matches!(refused, KeyFileError::TooOpen { mode: 0o755, .. }), "{refused}");
    let other = create(&folder.0.join("other")).unwrap_err();
    assert!(matches!(other, KeyFileError::TooOpen { mode: 0o755, .. }), "{other}");
}

#[test]
fn processes_that_start_together_agree_on_one_key() {
    let folder = Folder::new("together");
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let path = key(&folder);
            std::thread::spawn(move || load_or_create(&path).unwrap().public())
        })
        .collect();
    let keys: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    assert_eq!(names_in(&folder), ["key"]);
}
