//! `streamlog.durable`: how far each partition of a log directory was known to be on the device.
//!
//! Written after each sync, before anyone is told, and synced itself by a clean close, and by a broker's first creation of a partition in
//! the directory, which shows that there are some. After a close, and after a crash of the process, it is exact, after a power cut it may
//! be older than the truth, never newer. So a bad batch below a slot's offset is damage, and one above it is what an interrupted write
//! looks like.
//!
//! ```text
//! header, 32 bytes, big-endian              slot, 32 bytes
//! 0           16        20         28  32   0          16          20               28  32
//! +-----------+---------+----------+----+   +----------+-----------+----------------+----+
//! | magic     | version | zero     |crc |   | topic id | partition | durable offset |crc |
//! +-----------+---------+----------+----+   +----------+-----------+----------------+----+
//!
//! magic    "streamlog" and zeros
//! version  1
//! crc      CRC-32 (ISO HDLC) of the 28 bytes before it
//! ```
//!
//! A slot lies inside one 512-byte sector, so it is written whole or not at all; a slot whose CRC does not match counts as
//! free, and so does one of a partition that is deleted. Invariant: one slot per partition, and one writer per slot: the
//! partition's sync round. Only what a creation that was taken back has left may stand beside it, and the larger offset counts.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{self, IoSlice};
use std::path::Path;

use crate::error::{Error, Result};
use crate::offset::{Offset, PartitionId};
use crate::storage::{Access, Storage, StorageFile, small_file};
use crate::sync::{Arc, Mutex};
use crate::uuid::Uuid;

pub(crate) const FILE_NAME: &str = "streamlog.durable";
const MAGIC: &[u8; 16] = b"streamlog\0\0\0\0\0\0\0";
const VERSION: u32 = 1;
const SLOT_BYTES: usize = size_of::<[u8; 16]>() + size_of::<u32>() + size_of::<u64>() + size_of::<u32>();
/// The largest file that is read: a million partitions.
const FILE_BYTES_MAX: u64 = 32 << 20;

/// The slots of one log directory; see the [module](self).
#[derive(Debug)]
pub(crate) struct DurableSlots {
    file: Arc<dyn StorageFile>,
    /// Held only to find or take a slot, at open.
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    by_partition: HashMap<(Uuid, PartitionId), (u64, Offset)>,
    /// Slots of nobody, to be used before the file grows.
    free: Vec<u64>,
    /// Where the next slot goes.
    end: u64,
}

/// One partition's slot.
#[derive(Debug)]
pub(crate) struct DurableSlot {
    file: Arc<dyn StorageFile>,
    position: u64,
    topic_id: Uuid,
    partition: PartitionId,
}

/// What the file of a log directory says, and what is wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    pub(crate) slots: HashMap<(Uuid, PartitionId), Offset>,
    /// Where, and what.
    pub(crate) faults: Vec<(u64, &'static str)>,
}

/// The file of a log directory as it stands.
pub(crate) fn bytes(storage: &dyn Storage, log_dir: &Path) -> Result<Option<Vec<u8>>> {
    small_file::read(storage, &log_dir.join(FILE_NAME), FILE_BYTES_MAX)
}

/// Reads the file of a log directory; nothing is changed.
pub(crate) fn look(storage: &dyn Storage, log_dir: &Path) -> Result<Looked> {
    let path = log_dir.join(FILE_NAME);
    let mut looked = Looked::default();
    let Some(contents) = bytes(storage, log_dir)? else {
        looked.faults.push((0, "it is missing: what was durable is known from checkpoints alone"));
        return Ok(looked);
    };
    match read_header(&contents) {
        Some(VERSION) => {}
        Some(found) => {
            let (found, supported) = (i64::from(found), i64::from(VERSION));
            return Err(Error::UnsupportedVersion { path, found, supported });
        }
        None => looked.faults.push((0, "its header is damaged")),
    }
    let mut position = SLOT_BYTES as u64;
    for slot in contents.get(SLOT_BYTES..).unwrap_or_default().chunks(SLOT_BYTES) {
        match read_slot(slot) {
            Some((key, durable)) => {
                let known = looked.slots.entry(key).or_insert(durable);
                *known = durable.max(*known);
            }
            // One that was never written.
            None if slot.iter().all(|&byte| byte == 0) => {}
            None => looked.faults.push((position, "the slot there is damaged, and counts as free")),
        }
        position += SLOT_BYTES as u64;
    }
    Ok(looked)
}

impl DurableSlots {
    /// Opens the file of a log directory, or makes it. A damaged header is written again: each slot has a CRC of its own.
    /// The caller syncs the directory.
    pub(crate) fn open(storage: &dyn Storage, log_dir: &Path) -> Result<DurableSlots> {
        let path = log_dir.join(FILE_NAME);
        let file = match storage.open(&path, Access::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => storage.open(&path, Access::Create),
            opened => opened,
        };
        let file: Arc<dyn StorageFile> = Arc::from(file.map_err(Error::io("open", &path))?);
        let bytes = file.bytes().map_err(Error::io("read the size of", &path))?;
        if bytes > FILE_BYTES_MAX {
            let reason = format!("it has {bytes} bytes, over the limit of {FILE_BYTES_MAX}");
            return Err(Error::InvalidFile { path, reason });
        }
        let contents = file.slice(0..bytes).map_err(Error::io("read", &path))?;
        let mut slots = Slots { end: SLOT_BYTES as u64, ..Slots::default() };
        match read_header(&contents) {
            Some(VERSION) => slots.read(contents.get(SLOT_BYTES..).unwrap_or_default()),
            Some(found) => {
                let (found, supported) = (i64::from(found), i64::from(VERSION));
                return Err(Error::UnsupportedVersion { path, found, supported });
            }
            None => {
                file.write_at(0, &[IoSlice::new(&header())]).map_err(Error::io("write", &path))?;
                slots.read(contents.get(SLOT_BYTES..).unwrap_or_default());
            }
        }
        Ok(DurableSlots { file, slots: Mutex::new(slots) })
    }

    /// A partition's slot, and the offset it holds; a new slot holds none.
    pub(crate) fn slot(&self, topic_id: Uuid, partition: PartitionId) -> (DurableSlot, Option<Offset>) {
        let mut slots = self.slots.lock();
        let (position, durable) = match slots.by_partition.get(&(topic_id, partition)) {
            Some(&(position, durable)) => (position, Some(durable)),
            None => {
                let position = slots.take_free();
                slots.by_partition.insert((topic_id, partition), (position, Offset::ZERO));
                (position, None)
            }
        };
        (DurableSlot { file: Arc::clone(&self.file), position, topic_id, partition }, durable)
    }

    /// Gives back a slot that is never written again: its partition is deleted. It says what it says until it is used again.
    pub(crate) fn free(&self, slot: &DurableSlot) {
        let mut slots = self.slots.lock();
        if slots.by_partition.remove(&(slot.topic_id, slot.partition)).is_some() {
            slots.free.push(slot.position);
        }
    }

    /// Whether there is a slot of any partition but the catalog's.
    pub(crate) fn hold_any(&self) -> bool {
        self.slots.lock().by_partition.keys().any(|&(topic_id, _)| topic_id != Uuid::CATALOG)
    }

    /// Makes what the slots say outlast the power.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Frees the slots of all partitions that are not known any more.
    pub(crate) fn retain(&self, is_known: impl Fn(Uuid, PartitionId) -> bool) {
        let mut slots = self.slots.lock();
        let Slots { by_partition, free, .. } = &mut *slots;
        by_partition.retain(|&(topic_id, partition), &mut (position, _)| {
            let is_kept = is_known(topic_id, partition);
            if !is_kept {
                free.push(position);
            }
            is_kept
        });
    }
}

impl Slots {
    fn read(&mut self, bytes: &[u8]) {
        for slot in bytes.chunks(SLOT_BYTES) {
            match read_slot(slot) {
                Some((key, durable)) => {
                    let slot = (self.end, durable);
                    let free = match self.by_partition.entry(key) {
                        Entry::Vacant(new) => {
                            new.insert(slot);
                            None
                        }
                        Entry::Occupied(mut known) if durable > known.get().1 => Some(known.insert(slot).0),
                        Entry::Occupied(_) => Some(self.end),
                    };
                    self.free.extend(free);
                }
                None => self.free.push(self.end),
            }
            self.end += SLOT_BYTES as u64;
        }
        // The first ones are used first.
        self.free.reverse();
    }

    fn take_free(&mut self) -> u64 {
        self.free.pop().unwrap_or_else(|| {
            let position = self.end;
            self.end += SLOT_BYTES as u64;
            position
        })
    }
}

impl DurableSlot {
    /// Notes that everything below `durable` is on the device.
    pub(crate) fn write(&self, durable: Offset) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(SLOT_BYTES);
        bytes.extend_from_slice(self.topic_id.as_bytes());
        bytes.extend_from_slice(&u32::from(self.partition).to_be_bytes());
        bytes.extend_from_slice(&u64::from(durable).to_be_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
        self.file.write_at(self.position, &[IoSlice::new(&bytes)])
    }
}

fn header() -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SLOT_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&0_u64.to_be_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
    bytes
}

/// The version in a header, or `None` where there is no whole one.
fn read_header(bytes: &[u8]) -> Option<u32> {
    let body = checked_body(bytes.get(..SLOT_BYTES)?)?;
    let version = body.strip_prefix(MAGIC)?.first_chunk()?;
    Some(u32::from_be_bytes(*version))
}

fn read_slot(bytes: &[u8]) -> Option<((Uuid, PartitionId), Offset)> {
    let body = checked_body(bytes)?;
    let (topic_id, body) = body.split_first_chunk()?;
    let (partition, body) = body.split_first_chunk()?;
    let partition = PartitionId::try_from(u32::from_be_bytes(*partition)).ok()?;
    let durable = Offset::try_from(u64::from_be_bytes(*body.first_chunk()?)).ok()?;
    Some(((Uuid::from_bytes(*topic_id), partition), durable))
}

/// What the CRC at the end guards, if it matches.
fn checked_body(bytes: &[u8]) -> Option<&[u8]> {
    let (body, crc) = bytes.split_last_chunk()?;
    (body.len() + crc.len() == SLOT_BYTES && crc32fast::hash(body) == u32::from_be_bytes(*crc))
        .then_some(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::MemoryStorage;

    const DIR: &str = "d";

    fn storage() -> MemoryStorage {
        let storage = MemoryStorage::new();
        storage.create_dir(Path::new(DIR)).unwrap();
        storage
    }

    fn durable(storage: &MemoryStorage, partition: u32) -> Option<Offset> {
        let partition = PartitionId::try_from(partition).unwrap();
        DurableSlots::open(storage, Path::new(DIR)).unwrap().slot(Uuid::CATALOG, partition).1
    }

    #[test]
    fn offsets_are_there_after_a_reopen_each_in_its_slot() {
        let storage = storage();
        let slots = DurableSlots::open(&storage, Path::new(DIR)).unwrap();
        for number in 0..3 {
            let partition = PartitionId::try_from(number).unwrap();
            let (slot, before) = slots.slot(Uuid::CATALOG, partition);
            assert_eq!(before, None);
            slot.write(Offset::from(100 + number)).unwrap();
        }
        for number in 0..3 {
            assert_eq!(durable(&storage, number), Some(Offset::from(100 + number)));
        }
        assert_eq!(durable(&storage, 3), None);
    }

    #[test]
    fn slots_of_deleted_partitions_are_used_again() {
        let storage = storage();
        let id = |number| Uuid::from_bytes([number; 16]);
        let slots = DurableSlots::open(&storage, Path::new(DIR)).unwrap();
        for number in 1..4 {
            slots.slot(id(number), PartitionId::ZERO).0.write(Offset::from(9)).unwrap();
        }
        let (first, _) = slots.slot(id(1), PartitionId::ZERO);
        slots.free(&first);
        let (new, durable) = slots.slot(id(4), PartitionId::ZERO);
        assert_eq!((new.position, durable), (first.position, None));
        new.write(Offset::from(5)).unwrap();

        let slots = DurableSlots::open(&storage, Path::new(DIR)).unwrap();
        slots.retain(|topic_id, _| topic_id != id(2));
        let (new, durable) = slots.slot(id(5), PartitionId::ZERO);
        assert_eq!((new.position, durable), (first.position + SLOT_BYTES as u64, None));
        assert_eq!(slots.slot(id(4), PartitionId::ZERO).1, Some(Offset::from(5)));
        assert_eq!(slots.file.bytes().unwrap(), 4 * SLOT_BYTES as u64);
    }

    #[test]
    fn of_two_slots_of_a_partition_the_larger_counts_and_the_other_is_used_again() {
        for (first, second) in [(0_u32, 5_u32), (5, 0), (5, 5)] {
            let storage = storage();
            let slots = DurableSlots::open(&storage, Path::new(DIR)).unwrap();
            let (slot, _) = slots.slot(Uuid::CATALOG, PartitionId::ZERO);
            slot.write(Offset::from(first)).unwrap();
            DurableSlot { position: slot.position + SLOT_BYTES as u64, ..slot }
                .write(Offset::from(second))
                .unwrap();
            let looked = look(&storage, Path::new(DIR)).unwrap().slots;
            assert_eq!(looked[&(Uuid::CATALOG, PartitionId::ZERO)], Offset::from(5_u32));
            let slots = DurableSlots::open(&storage, Path::new(DIR)).unwrap();
            let (slot, known) = slots.slot(Uuid::CATALOG, PartitionId::ZERO);
            assert_eq!(known, Some(Offset::from(5_u32)));
            let (other, _) = slots.slot(Uuid::from_bytes([1; 16]), PartitionId::ZERO);
            assert_ne!(slot.position, other.position);
            other.write(Offset::from(7_u32)).unwrap();
            assert_eq!(slots.file.bytes().unwrap(), 3 * SLOT_BYTES as u64);
            assert_eq!(durable(&storage, 0), Some(Offset::from(5_u32)));
        }
    }

    #[test]
    fn any_flipped_byte_of_a_slot_makes_it_unknown_and_no_other() {
        for position in 0..SLOT_BYTES as u64 {
            let storage = storage();
            let slots = DurableSlots::open(&storage, Path::new(DIR)).unwrap();
            for number in 0..2 {
                let partition = PartitionId::try_from(number).unwrap();
                slots.slot(Uuid::CATALOG, partition).0.write(Offset::from(9)).unwrap();
            }
            let byte = slots.file.slice(32 + position..33 + position).unwrap()[0];
            slots.file.write_at(32 + position, &[IoSlice::new(&[byte ^ 0x10])]).unwrap();
            assert_eq!(durable(&storage, 0), None, "byte {position}");
            assert_eq!(durable(&storage, 1), Some(Offset::from(9)));
        }
    }

    #[test]
    fn a_newer_version_is_refused_and_a_damaged_header_costs_no_slot() {
        let storage = storage();
        let slots = DurableSlots::open(&storage, Path::new(DIR)).unwrap();
        slots.slot(Uuid::CATALOG, PartitionId::ZERO).0.write(Offset::from(9)).unwrap();
        let mut newer = header()[..SLOT_BYTES - 4].to_vec();
        newer[19] = 2;
        newer.extend_from_slice(&crc32fast::hash(&newer).to_be_bytes());
        slots.file.write_at(0, &[IoSlice::new(&newer)]).unwrap();
        let error = DurableSlots::open(&storage, Path::new(DIR)).unwrap_err();
        assert!(matches!(error, Error::UnsupportedVersion { found: 2, supported: 1, .. }), "{error}");
        slots.file.write_at(0, &[IoSlice::new(&[0xff])]).unwrap();
        assert_eq!(durable(&storage, 0), Some(Offset::from(9)));
        assert_eq!(read_header(&slots.file.slice(0..32).unwrap()), Some(VERSION));
    }
}
