use std::sync::Arc;

use tempfile::{TempDir, tempdir};

use super::*;
use crate::conformance::client::full;
use crate::{DCS_MAX, SALTS_MAX};

crate::client_store_suite!(async || {
    let dir = tempdir().unwrap();
    (Arc::new(SessionFile::open(dir.path().join("me.session")).unwrap()), dir)
});

/// A directory with a saved session, and its text.
fn saved() -> (TempDir, PathBuf, String) {
    let dir = tempdir().unwrap();
    let path = dir.path().join("me.session");
    SessionFile::open(&path).unwrap().save(&full(1)).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    (dir, path, text)
}

/// Opens a file with that text, checks that it is left alone, and returns the error.
fn refused(text: &[u8]) -> SessionFileError {
    let dir = tempdir().unwrap();
    let path = dir.path().join("me.session");
    fs::write(&path, text).unwrap();
    let error = SessionFile::open(&path).unwrap_err();
    assert_eq!(fs::read(&path).unwrap(), text);
    let line = error.to_string();
    assert_eq!(line.lines().count(), 1);
    assert!(line.contains(path.to_str().unwrap()), "{line}");
    error
}

fn reason(text: &[u8]) -> Unreadable {
    match refused(text) {
        SessionFileError::Unreadable { reason, .. } => reason,
        error @ (SessionFileError::InUse { .. } | SessionFileError::Io { .. }) => panic!("{error}"),
    }
}

#[test]
fn a_saved_record_is_there_after_a_restart() {
    let (_dir, path, text) = saved();
    assert_eq!(SessionFile::open(&path).unwrap().load(), Ok(Some(full(1))));
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

// A second client on one session would break the first one's sequence numbers.
#[test]
fn a_file_in_use_is_refused_in_one_line_until_it_is_free() {
    let (_dir, path, _) = saved();
    let first = SessionFile::open(&path).unwrap();
    let error = SessionFile::open(&path).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "session file {} is in use by another client; end it, or give this one a file of its \
             own",
            path.display()
        )
    );
    drop(first);
    SessionFile::open(&path).unwrap();
}

#[test]
fn a_file_cut_at_any_byte_is_refused_and_left_alone() {
    let (_dir, _, text) = saved();
    let whole = text.trim_end().len();
    for len in (0..whole).step_by(7).chain(whole - 3..whole) {
        assert_eq!(reason(&text.as_bytes()[..len]), Unreadable::Short, "cut at {len}");
    }
}

#[test]
fn garbage_is_refused_and_left_alone() {
    let (_dir, _, text) = saved();
    assert_eq!(reason(b"hello\n"), Unreadable::Garbage { line: 1 });
    assert_eq!(reason(&[0; 4096]), Unreadable::Garbage { line: 1 });
    assert_eq!(reason(b"{}"), Unreadable::Strange { line: 1 });
    assert_eq!(reason(&vec![b' '; SESSION_FILE_LEN_MAX + 1]), Unreadable::Long);
    let line = text.lines().count() + 1;
    assert_eq!(reason(format!("{text}{text}").as_bytes()), Unreadable::Garbage { line });
    let newer = text.replace("\"mtproto_session\": 1", "\"mtproto_session\": 2");
    assert_eq!(reason(newer.as_bytes()), Unreadable::Version { found: 2 });
    let damaged = text.replace("0101010101", "0101010111");
    assert_eq!(reason(damaged.as_bytes()), Unreadable::WrongId);
}

#[test]
fn what_is_wrong_is_said_without_quoting_a_key() {
    let (_dir, _, text) = saved();
    let key = "01".repeat(256);
    for strange in [key.replacen('0', "x", 1), key[2..].to_owned(), format!("{key}01")] {
        let error = refused(text.replace(&key, &strange).as_bytes()).to_string();
        assert!(!error.contains("0101"), "{error}");
        assert!(error.contains("does not belong in a session file"), "{error}");
    }
    let error = refused(
        text.replace("\"created\": 1700000000", &format!("\"created\": \"{key}\"")).as_bytes(),
    );
    assert!(!format!("{error} {error:?}").contains("0101"));
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("nowhere").join("me.session");
    let error = SessionFile::open(&path).unwrap_err().to_string();
    assert!(error.contains("nowhere") && error.contains("check that its directory exists"));
}

#[test]
fn a_record_too_large_is_refused_and_the_old_one_stays() {
    let (_dir, path, text) = saved();
    let file = SessionFile::open(&path).unwrap();
    let mut many_dcs = full(1);
    let dc = many_dcs.dcs[&2].clone();
    many_dcs.dcs = (0..=DCS_MAX as i32).map(|number| (number, dc.clone())).collect();
    let full_dcs = StoreError::Full { what: "data centres", max: DCS_MAX };
    assert_eq!(file.save(&many_dcs), Err(full_dcs));

    let mut many_salts = full(1);
    let key = &mut many_salts.dcs.get_mut(&2).unwrap().permanent;
    key.salts = vec![key.salts[0]; SALTS_MAX + 1];
    let full_salts = StoreError::Full { what: "salts of a key", max: SALTS_MAX };
    assert_eq!(file.save(&many_salts), Err(full_salts));

    let mut long = full(1);
    long.dcs.get_mut(&2).unwrap().address = "a".repeat(SESSION_FILE_LEN_MAX);
    assert!(matches!(file.save(&long), Err(StoreError::TooLarge { .. })));
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    assert_eq!(file.load(), Ok(Some(full(1))));
}

#[test]
fn as_many_centres_and_salts_as_allowed_fit() {
    let (_dir, path, _) = saved();
    let mut largest = full(1);
    let mut dc = largest.dcs[&2].clone();
    for key in [&mut dc.permanent, &mut dc.temporary.as_mut().unwrap().key] {
        key.salts = vec![key.salts[0]; SALTS_MAX];
    }
    largest.dcs = (0..DCS_MAX as i32).map(|number| (number, dc.clone())).collect();
    let file = SessionFile::open(&path).unwrap();
    assert_eq!(file.save(&largest), Ok(()));
    drop(file);
    assert_eq!(SessionFile::open(&path).unwrap().load(), Ok(Some(largest)));
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn only_the_owner_may_read_even_after_a_crash_left_a_file_behind() {
        let (_dir, path, _) = saved();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&files::with_suffix(&path, ".lock")), 0o600);
        let left_behind = files::with_suffix(&path, ".new");
        fs::write(&left_behind, "half a rec").unwrap();
        fs::set_permissions(&left_behind, fs::Permissions::from_mode(0o644)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        SessionFile::open(&path).unwrap().save(&full(2)).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert!(!left_behind.exists());
        assert_eq!(SessionFile::open(&path).unwrap().load(), Ok(Some(full(2))));
    }

    #[test]
    fn a_link_stays_a_link_and_leads_to_the_same_lock() {
        let (dir, path, _) = saved();
        let link = dir.path().join("link");
        symlink(&path, &link).unwrap();
        let file = SessionFile::open(&link).unwrap();
        assert!(matches!(SessionFile::open(&path), Err(SessionFileError::InUse { .. })));
        file.save(&full(2)).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        drop(file);
        assert_eq!(SessionFile::open(&path).unwrap().load(), Ok(Some(full(2))));
    }
}
