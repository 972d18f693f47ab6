//! Names of one locked file, and its holder.
use super::*;

#[test]
fn all_names_of_a_file_share_its_lock_and_the_holder_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let (path, link) = (folder.path().join("a"), folder.path().join("b"));
    let file = File::create(&path).unwrap();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    lock(&file).unwrap();
    let second = File::open(&link).unwrap();
    let Err(LockFault::Held(by)) = lock(&second) else { panic!("locked twice") };
    assert!(by.starts_with(&format!("process {}", std::process::id())), "{by}");
    drop(file);
    lock(&second).unwrap();
    let dir = File::open(folder.path()).unwrap();
    lock(&dir).unwrap();
    assert!(matches!(lock(&File::open(folder.path()).unwrap()), Err(LockFault::Held(_))));
}

#[test]
fn the_holder_is_found_by_device_and_inode_or_by_inode() {
    let locks = "1: POSIX  ADVISORY  WRITE 7 fe:00:12 0 EOF\n\
                 2: FLOCK  ADVISORY  WRITE 8 00:1d:12 0 EOF\n\
                 2: -> FLOCK  ADVISORY  WRITE 9 fe:00:12 0 EOF\n\
                 3: FLOCK  ADVISORY  WRITE 10 fe:00:12 0 EOF\n";
    assert_eq!(holder_in(locks, (0xfe, 0), 12), Some(10));
    assert_eq!(holder_in(locks, (1, 1), 12), Some(8));
    assert_eq!(holder_in(locks, (0xfe, 0), 13), None);
    assert_eq!(holder_in("x", (0, 0), 0), None);
}
