//! What of a segment can be read, and what cannot: every byte of it looked at, nothing changed.

use std::ops::Range;

use super::log_segment::{LogSegment, SegmentEnd};
use super::resume::{Borders, SearchBudget};
use super::scan::ScannedBatch;
use crate::error::{Corruption, Error, Result};
use crate::offset::{LeaderEpoch, Offset};
use crate::record::BatchHeader;

/// A stretch of a segment's file.
#[derive(Debug)]
pub(crate) enum Stretch {
    /// Sound batches, one behind the other, without a gap.
    Sound(Sound),
    /// Bytes that are no sound batches.
    Damaged(Damage),
}

/// Sound batches, one behind the other.
#[derive(Debug, Clone)]
pub(crate) struct Sound {
    pub(crate) bytes: Range<u64>,
    pub(crate) offsets: Range<Offset>,
    pub(crate) batches: u64,
    /// The leader epoch of the last one.
    pub(crate) epoch: Option<LeaderEpoch>,
}

/// Bytes that are no sound batches, up to the next one, or to the end of the file where there is none.
#[derive(Debug)]
pub(crate) struct Damage {
    /// Empty where only offsets are missing.
    pub(crate) bytes: Range<u64>,
    /// The first offset that is lost.
    pub(crate) from: Offset,
    /// What is wrong with the first batch there.
    pub(crate) reason: Error,
}

/// What is told of a segment as it is gone over.
pub(crate) trait Surveyor {
    /// A sound batch. The stretch that it belongs to is told of when it is over.
    fn batch(&mut self, _: &ScannedBatch) -> Result<()> {
        Ok(())
    }

    fn stretch(&mut self, stretch: Stretch) -> Result<()>;
}

impl<F: FnMut(Stretch) -> Result<()>> Surveyor for F {
    fn stretch(&mut self, stretch: Stretch) -> Result<()> {
        self(stretch)
    }
}

impl LogSegment {
    /// Goes over the whole file and tells `visit` of each stretch, in order, sound and damaged ones in turn. Gives where the
    /// last sound batch ends.
    ///
    /// The segment's end must be that of its file.
    pub(crate) fn survey(&self, borders: Borders, visit: &mut dyn Surveyor) -> Result<SegmentEnd> {
        let file_end = self.end().position;
        let mut start = SegmentEnd { position: 0, offset: borders.begin };
        let mut sound_end = start;
        let mut damage: Option<Damage> = None;
        let mut budget = SearchBudget::of(file_end);
        loop {
            let mut scan = self.sound_scan(start, file_end);
            let (mut batches, mut epoch) = (0, None);
            let (stop, reason) = loop {
                let stop = SegmentEnd { position: scan.position(), offset: scan.expected() };
                match scan.next() {
                    Ok(Some(found)) if borders.is_crossed_by(found.batch.header()) => {
                        break (stop, Some(self.too_far(stop, found.batch.header())));
                    }
                    Ok(Some(found)) => {
                        if let Some(damage) = damage.take() {
                            visit.stretch(Stretch::Damaged(damage))?;
                        }
                        batches += 1;
                        epoch = found.batch.leader_epoch();
                        visit.batch(&found)?;
                    }
                    Ok(None) => break (stop, None),
                    Err(error) if error.is_corruption() => break (stop, Some(error)),
                    Err(error) => return Err(error),
                }
            };
            if batches > 0 {
                sound_end = stop;
                let (bytes, offsets) = (start.position..stop.position, start.offset..stop.offset);
                visit.stretch(Stretch::Sound(Sound { bytes, offsets, batches, epoch }))?;
            }
            let Some(reason) = reason else { break };
            // A damaged length may have made it read far ahead.
            budget.spend(scan.bytes_read().saturating_sub(stop.position - start.position));
            let next = self.resume(stop, borders, &mut budget)?;
            let bytes = stop.position..next.map_or(file_end, |next| next.position);
            // What looked sound may reach behind the durable end, and then is part of the damage before it.
            let whole = match damage {
                Some(before) => Damage { bytes: before.bytes.start..bytes.end, ..before },
                None => Damage { bytes, from: stop.offset, reason },
            };
            damage = Some(whole);
            let Some(next) = next else { break };
            start = next;
        }
        if let Some(damage) = damage {
            visit.stretch(Stretch::Damaged(damage))?;
        }
        Ok(sound_end)
    }

    /// A batch that reaches behind the durable end.
    fn too_far(&self, at: SegmentEnd, header: &BatchHeader) -> Error {
        let value = header.last_offset().to_i64().saturating_sub(header.base_offset().to_i64());
        let source = Corruption::Field { field: "lastOffsetDelta", value };
        let path = self.log().path().to_path_buf();
        Error::Corrupt { path, position: at.position, offset: at.offset, source }
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;
    use std::path::Path;

    use super::*;
    use crate::offset::Timestamp;
    use crate::record::{BatchBuilder, Compression, Record};
    use crate::segment::SegmentPaths;
    use crate::storage::{Access, MemoryStorage, OpenFiles, Storage};
    use crate::sync::Arc;

    const BASE: u32 = 100;

    /// A segment's bytes, and where each batch stands.
    struct Made {
        bytes: Vec<u8>,
        batches: Vec<(Range<u64>, Range<Offset>)>,
    }

    /// Batches of several sizes; some hold, as a value, a whole batch of offsets that could be.
    fn made() -> Made {
        let (mut bytes, mut batches, mut next) = (Vec::new(), Vec::new(), Offset::from(BASE));
        for number in 0..12_u32 {
            let inner = batch(next.saturating_add(2), &[b"inner".to_vec()]);
            let values: Vec<Vec<u8>> = match number % 4 {
                0 => vec![vec![7; 20]],
                1 => vec![b"a".to_vec(), b"bb".to_vec(), b"c".to_vec()],
                2 => vec![inner.clone(), [inner.clone(), inner].concat()],
                _ => vec![vec![0; 30], Vec::new()],
            };
            let encoded = batch(next, &values);
            let start = bytes.len() as u64;
            bytes.extend_from_slice(&encoded);
            let end = next.saturating_add(values.len() as u64);
            batches.push((start..bytes.len() as u64, next..end));
            next = end;
        }
        Made { bytes, batches }
    }

    fn batch(base: Offset, values: &[Vec<u8>]) -> Vec<u8> {
        let mut builder = BatchBuilder::new(Compression::None);
        for value in values {
            builder.append(&Record::new().value(value), Timestamp::from_millis(5)).unwrap();
        }
        let mut encoded = builder.build().unwrap();
        encoded.stamp(base, LeaderEpoch::ZERO);
        encoded.into_bytes()
    }

    fn segment(bytes: &[u8]) -> LogSegment {
        let storage = MemoryStorage::new();
        storage.create_dir(Path::new("p")).unwrap();
        let log = SegmentPaths::new(Path::new("p"), Offset::from(BASE)).log;
        storage.open(&log, Access::Create).unwrap().write_at(0, &[IoSlice::new(bytes)]).unwrap();
        let files = OpenFiles::new(Arc::new(storage), 8);
        let end = SegmentEnd { position: bytes.len() as u64, offset: Offset::MAX };
        LogSegment::open(&files, Path::new("p"), Offset::from(BASE), end, Access::Read)
    }

    /// The sound stretches and the damaged ones, where both lie.
    fn survey(segment: &LogSegment, [end, durable]: [Option<Offset>; 2]) -> (Vec<Sound>, Vec<Damage>) {
        let (mut sound, mut damaged, mut position) = (Vec::new(), Vec::new(), 0);
        let borders = Borders { begin: Offset::from(BASE), end, durable };
        segment
            .survey(borders, &mut |stretch: Stretch| {
                let bytes = match &stretch {
                    Stretch::Sound(sound) => &sound.bytes,
                    Stretch::Damaged(damage) => &damage.bytes,
                };
                assert_eq!(bytes.start, position, "stretches follow each other");
                position = bytes.end;
                match stretch {
                    Stretch::Sound(found) => sound.push(found),
                    Stretch::Damaged(found) => damaged.push(found),
                }
                Ok(())
            })
            .unwrap();
        (sound, damaged)
    }

    /// Whether a batch lies in what was found sound, with the offsets that it has.
    fn is_saved(sound: &[Sound], batch: &(Range<u64>, Range<Offset>)) -> bool {
        sound.iter().any(|sound| sound.bytes.start <= batch.0.start && batch.0.end <= sound.bytes.end)
    }

    /// Nothing but whole batches, with their offsets.
    fn check_is_true(sound: &[Sound], made: &Made, place: &str) {
        for stretch in sound {
            let first = made.batches.iter().find(|(bytes, _)| bytes.start == stretch.bytes.start);
            let last = made.batches.iter().find(|(bytes, _)| bytes.end == stretch.bytes.end);
            assert!(first.is_some() && last.is_some(), "{place}: {stretch:?} of {:?}", made.batches);
            let offsets = first.unwrap().1.start..last.unwrap().1.end;
            assert_eq!(stretch.offsets, offsets, "{place}: {stretch:?}");
        }
    }

    #[test]
    fn a_sound_segment_is_one_stretch_and_zeros_behind_it_are_none() {
        let mut made = made();
        let end = made.batches.last().unwrap().1.end;
        for room in [0, 5000] {
            made.bytes.resize(made.bytes.len() + room, 0);
            let (sound, damaged) = survey(&segment(&made.bytes), [Some(end), None]);
            assert_eq!((sound.len(), damaged.len()), (1, 0));
            assert_eq!(sound[0].batches, 12);
            assert_eq!(sound[0].offsets, Offset::from(BASE)..end);
        }
    }

    #[test]
    fn a_batch_that_claims_to_go_on_behind_the_durable_end_is_not_believed() {
        let mut made = made();
        let end = made.batches.last().map(|batch| batch.1.end);
        let wide = 5;
        let (place, offsets) = made.batches[wide].clone();
        // Right in itself, CRC and all: of offsets up to far behind the log's end.
        let mut wrong = BatchBuilder::new(Compression::None);
        wrong.append(&Record::new().value("x"), Timestamp::from_millis(5)).unwrap();
        let mut wrong = wrong.build().unwrap().into_bytes();
        wrong[23..27].copy_from_slice(&500_i32.to_be_bytes());
        let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &wrong[21..]);
        wrong[17..21].copy_from_slice(&u32::try_from(crc).unwrap().to_be_bytes());
        wrong[..8].copy_from_slice(&offsets.start.to_i64().to_be_bytes());
        wrong[12..16].fill(0);
        let (begin, behind) = (usize::try_from(place.start).unwrap(), usize::try_from(place.end).unwrap());
        made.bytes.splice(begin..behind, wrong);
        let (sound, damaged) = survey(&segment(&made.bytes), [None, end]);
        assert_eq!(damaged.len(), 1, "{damaged:?}");
        assert_eq!((damaged[0].from, sound.len()), (offsets.start, 2));
        assert_eq!(sound[1].offsets, offsets.end..end.unwrap());
    }

    #[test]
    fn damage_in_front_of_a_batch_that_is_not_believed_is_one_with_it() {
        let mut made = made();
        let wide = 5;
        let (place, offsets) = made.batches[wide].clone();
        // The last one that is read goes on behind the durable end, and the one before it is damaged.
        let durable = offsets.start.next();
        let before = made.batches[wide - 1].clone();
        made.bytes.truncate(usize::try_from(place.end).unwrap());
        made.bytes[usize::try_from(before.0.start).unwrap() + 70] ^= 1;
        let (sound, damaged) = survey(&segment(&made.bytes), [None, Some(durable)]);
        assert_eq!((sound.len(), sound[0].offsets.end), (1, before.1.start));
        assert_eq!(damaged.len(), 1, "{damaged:?}");
        assert_eq!((damaged[0].from, &damaged[0].bytes), (before.1.start, &(before.0.start..place.end)));
    }

    #[test]
    fn whatever_byte_is_damaged_all_batches_but_its_own_are_found_and_nothing_else() {
        let made = made();
        let end = made.batches.last().map(|batch| batch.1.end);
        for known in [[end, None], [None, end], [None, None]] {
            for position in 0..made.bytes.len() {
                for mask in [0x01, 0x80, 0xff] {
                    let mut bytes = made.bytes.clone();
                    bytes[position] ^= mask;
                    let place = format!("byte {position} ^ {mask:#x}, {known:?}");
                    let (sound, _) = survey(&segment(&bytes), known);
                    check_is_true(&sound, &made, &place);
                    let hit = |batch: &&(Range<u64>, _)| !batch.0.contains(&(position as u64));
                    let lost = made.batches.iter().filter(hit).find(|batch| !is_saved(&sound, batch));
                    let is_doubtful =
                        lost.is_some_and(|lost| lost.1.end == end.unwrap()) && known == [None, None];
                    assert!(lost.is_none() || is_doubtful, "{place}: {lost:?} is lost, {sound:?}");
                }
            }
        }
    }

    #[test]
    fn whatever_bytes_are_damaged_nothing_is_taken_for_sound_that_is_not() {
        let made = made();
        let end = made.batches.last().map(|batch| batch.1.end);
        let mut random = fastrand::Rng::with_seed(1);
        let (mut untouched, mut saved) = (0, 0);
        for round in 0..1000 {
            let mut bytes = made.bytes.clone();
            let mut hit = Vec::new();
            for _ in 0..random.usize(2..8) {
                // Half of them in a header: that is where it hurts.
                let batch = made.batches[random.usize(0..made.batches.len())].0.clone();
                let upto = if random.bool() { batch.start + 27 } else { batch.end };
                let position = random.u64(batch.start..upto);
                bytes[usize::try_from(position).unwrap()] ^= random.u8(1..);
                hit.push(position);
            }
            let known = [end.filter(|_| random.bool()), end.filter(|_| random.bool())];
            let (sound, _) = survey(&segment(&bytes), known);
            check_is_true(&sound, &made, &format!("round {round}, {hit:?}"));
            let whole = made.batches.iter().filter(|batch| !hit.iter().any(|at| batch.0.contains(at)));
            for batch in whole {
                untouched += 1;
                saved += u32::from(is_saved(&sound, batch));
            }
        }
        assert!(saved * 100 >= untouched * 80, "{saved} of {untouched} untouched batches were found");
    }
}
