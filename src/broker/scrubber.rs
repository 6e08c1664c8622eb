//! Scrubbing: reads all sealed segments slowly, again and again, so that what rots on the disk is found while there still is a
//! copy of it somewhere.
//!
//! A round goes over every partition, and over its sealed segments from the oldest on; then there is a pause. It reads a piece at a
//! time and waits in between, so that on the whole it reads at the rate that was set. It has files of its own, so that none that a
//! reader or a writer uses is closed for it.
//!
//! Invariants: at most one piece is read at a time; nothing is changed on the disk; in a pause no file is open. A crash loses the
//! report: the next broker begins anew.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use super::report::ScrubReport;
use crate::error::{Chain, Error};
use crate::log::{Log, Scrubbed};
use crate::metrics::ScrubCounters;
use crate::segment::{LogSegment, SegmentCheck};
use crate::storage::{OpenFiles, Storage};
use crate::sync::{Arc, Mutex};

/// The most that one piece reads, unless a batch is larger.
const PIECE_BYTES_MAX: u64 = 1 << 20;
/// The least, however low the rate.
const PIECE_BYTES_MIN: u64 = 16 << 10;
/// Into how many pieces the bytes of a second are cut.
const PIECES_PER_SECOND: u64 = 10;
/// What a segment costs beside its bytes: its files are opened.
const SEGMENT_BYTES: u64 = 8 << 10;
/// The log, the two indexes.
const OPEN_FILES_MAX: usize = 3;
/// How much damage is remembered, so that it is told once. More is neither told nor counted.
const DAMAGE_MAX: usize = 1000;

/// Reads all sealed segments again and again; see the [module](self).
#[derive(Debug)]
pub(super) struct Scrubber {
    interval: Duration,
    bytes_per_second: u64,
    files: Arc<OpenFiles>,
    /// Held while a piece is read.
    round: Mutex<Round>,
    /// Held only to look and to note.
    report: Mutex<Known>,
    pub(super) counters: ScrubCounters,
}

/// What a round has still to do, and has found.
#[derive(Debug, Default)]
struct Round {
    /// Whether the broker is closed: nothing is read any more.
    is_over: bool,
    is_begun: bool,
    logs: Vec<Arc<Log>>,
    /// Of the log that was taken last.
    segments: VecDeque<(Arc<Log>, Arc<LogSegment>)>,
    current: Option<(Arc<Log>, SegmentCheck)>,
    found: Places,
}

/// Damage by the file and the position in it.
type Places = BTreeMap<(PathBuf, u64), Arc<Error>>;

/// What all rounds have found that is not known to have gone.
#[derive(Debug, Default)]
struct Known {
    rounds: u64,
    damage: Places,
}

impl Scrubber {
    /// Rounds with so long a pause between them, at so many bytes a second, over segments in `storage`.
    pub(super) fn new(interval: Duration, bytes_per_second: u64, storage: &Arc<dyn Storage>) -> Scrubber {
        Scrubber {
            interval,
            bytes_per_second: bytes_per_second.max(1),
            files: OpenFiles::new(Arc::clone(storage), OPEN_FILES_MAX),
            round: Mutex::default(),
            report: Mutex::default(),
            counters: ScrubCounters::default(),
        }
    }

    /// Lets go of everything, and reads nothing from now on. Waits for the piece that is being read.
    pub(super) fn end(&self) {
        *self.round.lock() = Round { is_over: true, ..Round::default() };
    }

    /// What has been found so far.
    pub(super) fn report(&self) -> ScrubReport {
        let known = self.report.lock();
        ScrubReport { rounds: known.rounds, damage: known.damage.values().map(Arc::clone).collect() }
    }

    /// Whether the next piece is the first of a round.
    pub(super) fn is_resting(&self) -> bool {
        let round = self.round.lock();
        !round.is_begun && !round.is_over
    }

    /// Begins a round over these logs.
    pub(super) fn begin(&self, logs: Vec<Arc<Log>>) {
        let mut round = self.round.lock();
        if !round.is_over {
            (round.is_begun, round.logs) = (true, logs);
        }
    }

    /// Reads a piece of the round that has begun; how long to wait until the next.
    pub(super) fn work(&self) -> Duration {
        let mut round = self.round.lock();
        if !round.is_begun {
            return self.interval;
        }
        let budget = (self.bytes_per_second / PIECES_PER_SECOND).clamp(PIECE_BYTES_MIN, PIECE_BYTES_MAX);
        let mut spent = 0;
        while spent < budget {
            let Some((log, mut check)) = round.next(&self.files) else {
                self.finish(&mut round);
                return self.interval;
            };
            match log.scrub(&mut check, budget - spent) {
                Some(Ok(Scrubbed { bytes, read_bytes, damage, is_last })) => {
                    self.counters.bytes.add(bytes);
                    spent += read_bytes;
                    damage.into_iter().for_each(|error| self.note(&mut round, error));
                    if is_last {
                        self.counters.segments.bump();
                        spent += SEGMENT_BYTES;
                    } else {
                        round.current = Some((log, check));
                    }
                }
                Some(Err(error)) => {
                    self.note(&mut round, error);
                    spent += SEGMENT_BYTES;
                }
                None => spent += SEGMENT_BYTES,
            }
        }
        let micros = spent.saturating_mul(1_000_000) / self.bytes_per_second;
        Duration::from_micros(micros.max(1))
    }

    /// Tells of damage that was not known before, and remembers it.
    fn note(&self, round: &mut Round, error: Error) {
        let (place, error) = (place_of(&error), Arc::new(error));
        {
            let known = &mut self.report.lock().damage;
            let is_new = !known.contains_key(&place);
            if is_new && known.len() >= DAMAGE_MAX {
                return;
            }
            known.insert(place.clone(), Arc::clone(&error));
            round.found.insert(place, Arc::clone(&error));
            if !is_new {
                return;
            }
        }
        self.counters.damage.bump();
        log::error!("scrubbing found damage: {}", Chain(&error));
    }

    /// Forgets what this round has not found again: it was mended, or went with its segment.
    fn finish(&self, round: &mut Round) {
        let Round { found, .. } = std::mem::take(round);
        let mut known = self.report.lock();
        known.rounds += 1;
        known.damage = found;
    }
}

impl Round {
    /// The segment that is being checked, or the next.
    fn next(&mut self, files: &Arc<OpenFiles>) -> Option<(Arc<Log>, SegmentCheck)> {
        if let Some(current) = self.current.take() {
            return Some(current);
        }
        loop {
            if let Some((log, segment)) = self.segments.pop_front() {
                let check = SegmentCheck::new(&segment, files);
                return Some((log, check));
            }
            let log = self.logs.pop()?;
            self.segments = log.sealed_segments().into_iter().map(|one| (Arc::clone(&log), one)).collect();
        }
    }
}

/// The file that an error of scrubbing is about, and the position in it.
fn place_of(error: &Error) -> (PathBuf, u64) {
    match error {
        Error::DamagedBatch { source, .. } => place_of(source),
        Error::Corrupt { path, position, .. } => (path.clone(), *position),
        Error::InvalidFile { path, .. } | Error::Io { path, .. } => (path.clone(), 0),
        _ => (PathBuf::new(), 0),
    }
}
