//! What every storage promises, as one list of tests that is run against each.
//!
//! The checks name no storage: they get one, and an empty directory in it.

use std::ffi::OsString;
use std::io::{ErrorKind, IoSlice};
use std::path::Path;

use super::disk::DiskStorage;
use super::memory::MemoryStorage;
use super::overlay::{Overlay, OverlayPolicy};
use super::traits::{Access, EntryKind, Storage, StorageFile};
use crate::sync::Arc;

/// Makes a test of each check, for each storage; those behind the `;` for those that take locks.
macro_rules! checks {
    ($($check:ident,)*; $($locks:ident,)*) => {
        mod on_disk {
            $(#[test] fn $check() { super::on_disk(super::$check); })*
            $(#[test] fn $locks() { super::on_disk(super::$locks); })*
        }

        mod in_memory {
            $(#[test] fn $check() { super::in_memory(super::$check); })*
            $(#[test] fn $locks() { super::in_memory(super::$locks); })*
        }

        mod overlaid {
            $(#[test] fn $check() { super::overlaid(super::$check); })*
        }

        #[cfg(feature = "testing")]
        mod on_a_test_disk {
            $(#[test] fn $check() {
                let disk = crate::testing::TestDisk::new();
                let root = super::Path::new("/root");
                super::Storage::create_dir(&disk, root).unwrap();
                super::$check(&disk, root);
            })*
        }
    };
}

fn on_disk(check: fn(&dyn Storage, &Path)) {
    let root = tempfile::tempdir().unwrap();
    check(&DiskStorage::new(), root.path());
}

fn in_memory(check: fn(&dyn Storage, &Path)) {
    let storage = MemoryStorage::new();
    let root = Path::new("/root");
    storage.create_dir(root).unwrap();
    check(&storage, root);
}

fn overlaid(check: fn(&dyn Storage, &Path)) {
    let (below, root) = (MemoryStorage::new(), Path::new("/root"));
    below.create_dir(root).unwrap();
    let policy = OverlayPolicy { limit_bytes: 1 << 30, witness: "witness", is_write_only: |_| false };
    check(&Overlay::new(Arc::new(below.clone()), policy), root);
    assert!(below.list(root).unwrap().is_empty(), "nothing is there below");
}

checks! {
    what_is_written_is_read_by_every_handle,
    parts_are_written_one_behind_the_other,
    a_gap_reads_as_zeros,
    a_read_past_the_end_is_an_unexpected_eof,
    an_impossible_range_is_refused,
    cutting_and_growing_a_file,
    allocating_keeps_what_is_there,
    zeroing_overwrites_and_grows,
    a_slice_stays_what_it_was,
    creating_refuses_what_exists,
    opening_needs_a_file,
    what_is_open_for_reading_is_not_written,
    a_map_shows_the_whole_file,
    an_open_file_survives_rename_and_removal,
    a_rename_replaces_a_file,
    a_directory_moves_with_its_contents,
    a_rename_that_makes_no_sense_changes_nothing,
    directories_are_listed_and_described,
    directories_are_created_with_their_parents,
    only_empty_directories_are_removed,
    many_threads_use_one_file,
    ;
    a_lock_is_held_by_one_at_a_time,
    a_lock_lives_in_a_file_that_stays,
}

fn create(storage: &dyn Storage, path: &Path, contents: &[u8]) -> Box<dyn StorageFile> {
    let file = storage.open(path, Access::Create).unwrap();
    write(&*file, 0, contents);
    file
}

fn write(file: &dyn StorageFile, position: u64, bytes: &[u8]) {
    file.write_at(position, &[IoSlice::new(bytes)]).unwrap();
}

/// The whole file, read in one piece.
fn whole(file: &dyn StorageFile) -> Vec<u8> {
    file.slice(0..file.bytes().unwrap()).unwrap().to_vec()
}

fn kind_of<T>(result: std::io::Result<T>) -> ErrorKind {
    result.err().expect("this must fail").kind()
}

fn exists(storage: &dyn Storage, path: &Path) -> bool {
    match storage.stat(path) {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::NotFound);
            false
        }
    }
}

fn what_is_written_is_read_by_every_handle(storage: &dyn Storage, root: &Path) {
    let path = root.join("a");
    let writer = create(storage, &path, b"abcdef");
    let (second, reader) =
        (storage.open(&path, Access::Write).unwrap(), storage.open(&path, Access::Read).unwrap());
    write(&*second, 2, b"XY");
    for file in [&writer, &second, &reader] {
        assert_eq!(whole(&**file), b"abXYef");
        assert_eq!(&file.slice(1..3).unwrap()[..], b"bX");
    }
    writer.sync_data().unwrap();
    reader.sync_data().unwrap();
    storage.sync_dir(root).unwrap();
}

fn parts_are_written_one_behind_the_other(storage: &dyn Storage, root: &Path) {
    let file = create(storage, &root.join("a"), b"");
    let bytes: Vec<u8> = (0..=250).cycle().take(10_000).collect();
    let mut parts: Vec<IoSlice<'_>> = bytes.chunks(3).map(IoSlice::new).collect();
    parts.insert(0, IoSlice::new(b""));
    parts.insert(1500, IoSlice::new(b""));
    file.write_at(5, &parts).unwrap();
    assert_eq!(&file.slice(5..10_005).unwrap()[..], &bytes[..]);
    assert_eq!(file.bytes().unwrap(), 10_005);
    file.write_at(20_000, &[]).unwrap();
    file.write_at(20_000, &[IoSlice::new(b"")]).unwrap();
    assert_eq!(file.bytes().unwrap(), 10_005, "writing nothing grows nothing");
}

fn a_gap_reads_as_zeros(storage: &dyn Storage, root: &Path) {
    let file = create(storage, &root.join("a"), b"ab");
    write(&*file, 6, b"cd");
    assert_eq!(whole(&*file), b"ab\0\0\0\0cd");
    assert_eq!(&file.slice(3..5).unwrap()[..], b"\0\0");
}

fn a_read_past_the_end_is_an_unexpected_eof(storage: &dyn Storage, root: &Path) {
    let path = root.join("a");
    let file = create(storage, &path, b"abc");
    for file in [file, storage.open(&path, Access::Read).unwrap(), storage.open(&path, Access::Map).unwrap()]
    {
        assert_eq!(&file.slice(0..3).unwrap()[..], b"abc");
        assert_eq!(kind_of(file.slice(0..4)), ErrorKind::UnexpectedEof);
        assert_eq!(kind_of(file.slice(10..11)), ErrorKind::UnexpectedEof);
        assert_eq!(kind_of(file.slice(0..1 << 62)), ErrorKind::UnexpectedEof);
        assert!(file.slice(10..10).unwrap().is_empty());
    }
}

fn an_impossible_range_is_refused(storage: &dyn Storage, root: &Path) {
    let path = root.join("a");
    let file = create(storage, &path, b"abc");
    #[expect(clippy::reversed_empty_ranges, reason = "the reversed range is what is tested")]
    let ranges = [2..1, 0..u64::MAX, u64::MAX - 1..u64::MAX];
    for range in ranges {
        let mapped = storage.open(&path, Access::Map).unwrap();
        assert_eq!(kind_of(mapped.slice(range.clone())), ErrorKind::InvalidInput);
        assert_eq!(kind_of(file.slice(range.clone())), ErrorKind::InvalidInput);
        assert_eq!(kind_of(file.allocate(range.clone())), ErrorKind::InvalidInput);
        assert_eq!(kind_of(file.zero(range)), ErrorKind::InvalidInput);
    }
    assert_eq!(kind_of(file.write_at(u64::MAX, &[IoSlice::new(b"x")])), ErrorKind::InvalidInput);
    assert_eq!(kind_of(file.set_bytes(u64::MAX)), ErrorKind::InvalidInput);
    assert_eq!(whole(&*file), b"abc");
}

fn cutting_and_growing_a_file(storage: &dyn Storage, root: &Path) {
    let file = create(storage, &root.join("a"), b"abcdef");
    file.set_bytes(2).unwrap();
    assert_eq!(whole(&*file), b"ab");
    file.set_bytes(5).unwrap();
    assert_eq!(whole(&*file), b"ab\0\0\0", "what was cut does not come back");
    file.set_bytes(0).unwrap();
    assert_eq!((file.bytes().unwrap(), whole(&*file).len()), (0, 0));
}

fn allocating_keeps_what_is_there(storage: &dyn Storage, root: &Path) {
    let file = create(storage, &root.join("a"), b"abc");
    match file.allocate(1..8) {
        Ok(()) => assert_eq!(whole(&*file), b"abc\0\0\0\0\0"),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert_eq!(whole(&*file), b"abc");
            return;
        }
    }
    file.allocate(0..2).unwrap();
    file.allocate(100..100).unwrap();
    assert_eq!(file.bytes().unwrap(), 8, "neither shrinks nor grows");
}

fn zeroing_overwrites_and_grows(storage: &dyn Storage, root: &Path) {
    let file = create(storage, &root.join("a"), b"abcdef");
    file.zero(2..4).unwrap();
    assert_eq!(whole(&*file), b"ab\0\0ef");
    file.zero(5..200_000).unwrap();
    assert_eq!(file.bytes().unwrap(), 200_000);
    assert_eq!(&file.slice(0..8).unwrap()[..], b"ab\0\0e\0\0\0");
    assert!(file.slice(5..200_000).unwrap().iter().all(|&byte| byte == 0));
    file.zero(300_000..300_000).unwrap();
    assert_eq!(file.bytes().unwrap(), 200_000);
}

fn a_slice_stays_what_it_was(storage: &dyn Storage, root: &Path) {
    let path = root.join("a");
    let file = create(storage, &path, b"first second");
    let (first, both) = (file.slice(0..5).unwrap(), file.slice(0..12).unwrap());
    write(&*file, 0, b"FIRST");
    let after = file.slice(0..12).unwrap();
    file.zero(0..12).unwrap();
    file.set_bytes(0).unwrap();
    storage.remove_file(&path).unwrap();
    drop(file);
    assert_eq!((&first[..], &both[..]), (&b"first"[..], &b"first second"[..]));
    assert_eq!(&after[..], b"FIRST second");
}

fn creating_refuses_what_exists(storage: &dyn Storage, root: &Path) {
    let path = root.join("a");
    drop(create(storage, &path, b"old"));
    assert_eq!(kind_of(storage.open(&path, Access::Create)), ErrorKind::AlreadyExists);
    assert_eq!(whole(&*storage.open(&path, Access::Read).unwrap()), b"old");
    assert_eq!(kind_of(storage.open(root, Access::Create)), ErrorKind::AlreadyExists);
    let orphan = root.join("missing/a");
    assert_eq!(kind_of(storage.open(&orphan, Access::Create)), ErrorKind::NotFound);
}

fn opening_needs_a_file(storage: &dyn Storage, root: &Path) {
    drop(create(storage, &root.join("file"), b""));
    for access in [Access::Write, Access::Read, Access::Map] {
        assert_eq!(kind_of(storage.open(&root.join("a"), access)), ErrorKind::NotFound);
        assert_eq!(kind_of(storage.open(root, access)), ErrorKind::IsADirectory);
        assert_eq!(kind_of(storage.open(&root.join("file/a"), access)), ErrorKind::NotADirectory);
    }
    assert!(!exists(storage, &root.join("a")));
}

fn what_is_open_for_reading_is_not_written(storage: &dyn Storage, root: &Path) {
    let path = root.join("a");
    drop(create(storage, &path, b"abc"));
    for access in [Access::Read, Access::Map] {
        let file = storage.open(&path, access).unwrap();
        assert!(file.write_at(0, &[IoSlice::new(b"x")]).is_err());
        assert!(file.set_bytes(0).is_err());
        assert!(file.zero(0..1).is_err());
        assert!(file.allocate(0..10).is_err());
        assert_eq!(whole(&*file), b"abc");
    }
    let mapped = storage.open(&path, Access::Map).unwrap();
    assert_eq!(kind_of(mapped.sync_data()), ErrorKind::Unsupported);
}

fn a_map_shows_the_whole_file(storage: &dyn Storage, root: &Path) {
    let bytes: Vec<u8> = (0..=250).cycle().take(100_000).collect();
    drop(create(storage, &root.join("a"), &bytes));
    let mapped = storage.open(&root.join("a"), Access::Map).unwrap();
    let slice = mapped.slice(70_000..70_010).unwrap();
    assert_eq!(whole(&*mapped), bytes);
    storage.remove_file(&root.join("a")).unwrap();
    drop(mapped);
    assert_eq!(slice[..], bytes[70_000..70_010], "a slice outlives its map's file and handle");

    drop(create(storage, &root.join("empty"), b""));
    let empty = storage.open(&root.join("empty"), Access::Map).unwrap();
    assert_eq!((empty.bytes().unwrap(), empty.slice(0..0).unwrap().len()), (0, 0));
    assert_eq!(kind_of(empty.slice(0..1)), ErrorKind::UnexpectedEof);
}

fn an_open_file_survives_rename_and_removal(storage: &dyn Storage, root: &Path) {
    let (a, b) = (root.join("a"), root.join("b"));
    let file = create(storage, &a, b"1");
    storage.rename(&a, &b).unwrap();
    write(&*file, 1, b"2");
    assert_eq!(whole(&*storage.open(&b, Access::Read).unwrap()), b"12");
    storage.remove_file(&b).unwrap();
    assert!(!exists(storage, &b));
    write(&*file, 2, b"3");
    file.sync_data().unwrap();
    assert_eq!(whole(&*file), b"123");
    drop(create(storage, &b, b"new"));
    assert_eq!(whole(&*file), b"123", "a new file of that name is another");
    assert_eq!(kind_of(storage.remove_file(&a)), ErrorKind::NotFound);
}

fn a_rename_replaces_a_file(storage: &dyn Storage, root: &Path) {
    let (source, target) = (root.join("source"), root.join("target"));
    drop(create(storage, &source, b"new"));
    let old = create(storage, &target, b"old");
    storage.rename(&source, &target).unwrap();
    assert_eq!(whole(&*storage.open(&target, Access::Read).unwrap()), b"new");
    assert_eq!(whole(&*old), b"old");
    assert!(!exists(storage, &source));
    storage.rename(&target, &target).unwrap();
    assert!(exists(storage, &target));
}

fn a_directory_moves_with_its_contents(storage: &dyn Storage, root: &Path) {
    storage.create_dir(&root.join("topic-0/inner")).unwrap();
    let file = create(storage, &root.join("topic-0/inner/a"), b"1");
    storage.create_dir(&root.join("empty")).unwrap();
    for target in ["topic-0.deleted", "empty"] {
        let source = if target == "empty" { "topic-0.deleted" } else { "topic-0" };
        storage.rename(&root.join(source), &root.join(target)).unwrap();
        assert!(!exists(storage, &root.join(source)));
        assert_eq!(storage.stat(&root.join(target).join("inner/a")).unwrap().bytes, 1);
    }
    write(&*file, 1, b"2");
    assert_eq!(whole(&*storage.open(&root.join("empty/inner/a"), Access::Read).unwrap()), b"12");
}

fn a_rename_that_makes_no_sense_changes_nothing(storage: &dyn Storage, root: &Path) {
    let (file, directory) = (root.join("file"), root.join("directory"));
    drop(create(storage, &file, b"1"));
    storage.create_dir(&directory.join("full")).unwrap();
    let other = root.join("other");
    storage.create_dir(&other).unwrap();
    assert_eq!(kind_of(storage.rename(&root.join("missing"), &file)), ErrorKind::NotFound);
    assert_eq!(kind_of(storage.rename(&file, &root.join("missing/file"))), ErrorKind::NotFound);
    assert_eq!(kind_of(storage.rename(&file, &other)), ErrorKind::IsADirectory);
    assert_eq!(kind_of(storage.rename(&other, &file)), ErrorKind::NotADirectory);
    assert_eq!(kind_of(storage.rename(&other, &directory)), ErrorKind::DirectoryNotEmpty);
    assert_eq!(kind_of(storage.rename(&directory, &directory.join("full/x"))), ErrorKind::InvalidInput);
    for path in [file, directory.join("full"), other] {
        assert!(exists(storage, &path), "{}", path.display());
    }
}

fn directories_are_listed_and_described(storage: &dyn Storage, root: &Path) {
    drop(create(storage, &root.join("file"), b"12345"));
    storage.create_dir(&root.join("directory/inner")).unwrap();
    let mut entries = storage.list(root).unwrap();
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let expect = [
        (OsString::from("directory"), EntryKind::Directory, 0),
        (OsString::from("file"), EntryKind::File, 5),
    ];
    let found: Vec<_> = entries.iter().map(|entry| (entry.name.clone(), entry.kind, entry.bytes)).collect();
    assert_eq!(found, expect);
    for entry in &entries {
        assert_eq!(&storage.stat(&root.join(&entry.name)).unwrap(), entry, "stat agrees with list");
    }
    assert!(storage.list(&root.join("directory/inner")).unwrap().is_empty());
    assert_eq!(kind_of(storage.list(&root.join("missing"))), ErrorKind::NotFound);
    assert_eq!(kind_of(storage.list(&root.join("file"))), ErrorKind::NotADirectory);
    assert_eq!(kind_of(storage.stat(&root.join("missing"))), ErrorKind::NotFound);
    assert_eq!(kind_of(storage.sync_dir(&root.join("missing"))), ErrorKind::NotFound);
    assert!(storage.is_network(root).is_ok());
}

fn directories_are_created_with_their_parents(storage: &dyn Storage, root: &Path) {
    let path = root.join("a/b/c");
    storage.create_dir(&path).unwrap();
    storage.create_dir(&path).unwrap();
    storage.sync_dir(&path).unwrap();
    assert_eq!(storage.stat(&path).unwrap().kind, EntryKind::Directory);
    drop(create(storage, &root.join("file"), b""));
    assert_eq!(kind_of(storage.create_dir(&root.join("file"))), ErrorKind::AlreadyExists);
    assert_eq!(kind_of(storage.create_dir(&root.join("file/x"))), ErrorKind::NotADirectory);
}

fn only_empty_directories_are_removed(storage: &dyn Storage, root: &Path) {
    let directory = root.join("directory");
    storage.create_dir(&directory).unwrap();
    drop(create(storage, &directory.join("a"), b""));
    assert_eq!(kind_of(storage.remove_dir(&directory)), ErrorKind::DirectoryNotEmpty);
    assert_eq!(kind_of(storage.remove_dir(&directory.join("a"))), ErrorKind::NotADirectory);
    assert!(storage.remove_file(&directory).is_err(), "a directory is no file");
    storage.remove_file(&directory.join("a")).unwrap();
    storage.remove_dir(&directory).unwrap();
    assert_eq!(kind_of(storage.remove_dir(&directory)), ErrorKind::NotFound);
}

fn a_lock_is_held_by_one_at_a_time(storage: &dyn Storage, root: &Path) {
    let path = root.join(".lock");
    for _ in 0..2 {
        let lock = storage.lock(&path).unwrap();
        assert_eq!(kind_of(storage.lock(&path)), ErrorKind::WouldBlock);
        assert_eq!(kind_of(storage.lock(&path)), ErrorKind::WouldBlock, "a refused attempt changes nothing");
        let other = storage.lock(&root.join(".other")).unwrap();
        drop(lock);
        drop(other);
    }
}

fn a_lock_lives_in_a_file_that_stays(storage: &dyn Storage, root: &Path) {
    let path = root.join(".lock");
    drop(create(storage, &path, b"kept"));
    drop(storage.lock(&path).unwrap());
    assert_eq!(whole(&*storage.open(&path, Access::Read).unwrap()), b"kept");
    drop(storage.lock(&root.join("new")).unwrap());
    assert_eq!(storage.stat(&root.join("new")).unwrap().kind, EntryKind::File);
    assert_eq!(kind_of(storage.lock(&root.join("missing/.lock"))), ErrorKind::NotFound);
}

fn many_threads_use_one_file(storage: &dyn Storage, root: &Path) {
    let file = create(storage, &root.join("a"), b"");
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let file = &file;
            scope.spawn(move || {
                for round in 0..200_u64 {
                    let position = (round * 4 + u64::from(thread)) * 8;
                    write(&**file, position, &[thread; 8]);
                    assert_eq!(file.slice(position..position + 8).unwrap()[..], [thread; 8]);
                }
            });
        }
    });
    let bytes = whole(&*file);
    assert_eq!(bytes.len(), 4 * 200 * 8);
    for (index, chunk) in bytes.chunks(8).enumerate() {
        assert!(chunk.iter().all(|&byte| usize::from(byte) == index % 4));
    }
}
