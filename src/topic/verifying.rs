//! Looking at every topic that the catalog tells of, and at what it does not tell of. Nothing is changed.
//!
//! Another process may change topics meanwhile. So where a partition is damaged, catalog and partition are looked at once
//! more, and that counts.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;

use super::catalog::Catalog;
use super::catalog_record::TopicRecord;
use super::name::{CATALOG_TOPIC, is_partition, partition_of};
use super::replay::Replayed;
use crate::log::{self, Claims, Finding, FindingKind, Findings, Severity, Subject, verify_partition};
use crate::offset::{PartitionId, TopicPartition};
use crate::storage::{EntryKind, OpenFiles};
use crate::sync::Arc;
use crate::uuid::Uuid;

/// A partition that the catalog tells of, and the place of its log directory among all.
type Told = (TopicPartition, Uuid, usize);

/// A verification of all topics in some log directories.
struct Verifying<'a> {
    files: &'a Arc<OpenFiles>,
    /// One at least; the catalog is in the first.
    dirs: &'a [Claims],
    /// The directories that are somebody's.
    known: HashSet<PathBuf>,
}

impl Catalog {
    /// Looks at the catalog in the first of `dirs`, and at every partition in all of them.
    pub(crate) fn verify(files: &Arc<OpenFiles>, dirs: &[Claims], findings: &mut Findings) {
        let mut verifying = Verifying { files, dirs, known: HashSet::new() };
        let (mut of_catalog, mut replayed) = verifying.replay();
        if of_catalog.has_damage() {
            (of_catalog, replayed) = verifying.replay();
        }
        let is_whole = !of_catalog.has_damage();
        findings.append(of_catalog);
        let mut again = Vec::new();
        for (name, record) in &replayed.topics {
            for told in verifying.told(name, record, findings) {
                let of_partition = verifying.look(&told);
                if of_partition.has_damage() {
                    again.push(told);
                } else {
                    findings.append(of_partition);
                }
            }
        }
        if !again.is_empty() {
            let (_, now) = verifying.replay();
            for told in again {
                let is_there =
                    now.topics.get(told.0.topic()).is_some_and(|now| now.id == told.1 && !now.is_deleting);
                if is_there || !is_whole {
                    findings.append(verifying.look(&told));
                } else {
                    findings.is_changing = true;
                }
            }
        }
        verifying.look_for_others(is_whole, findings);
    }
}

impl Verifying<'_> {
    fn catalog_path(&self) -> Option<(TopicPartition, &Claims, PathBuf)> {
        let name = TopicPartition::new(CATALOG_TOPIC, PartitionId::ZERO);
        let claims = self.dirs.first()?;
        let path = claims.path.join(name.to_string());
        Some((name, claims, path))
    }

    /// Looks at the catalog itself, and takes in what it tells.
    fn replay(&mut self) -> (Findings, Replayed) {
        let mut replayed = Replayed::default();
        let Some((name, claims, path)) = self.catalog_path() else { return (Findings::default(), replayed) };
        let (topic_id, files) = (Some(Uuid::CATALOG), self.files);
        let findings = match files.storage().stat(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut findings = Findings::default();
                let reason = "there is no catalog of topics; if it is lost for good, a salvage wants an empty directory in its place".to_owned();
                findings.add(finding(Severity::Damage, FindingKind::Catalog, None, path.clone(), reason));
                findings
            }
            Ok(_) | Err(_) => {
                let subject = Subject { files, claims, name: &name, topic_id };
                let mut is_empty = true;
                let mut findings = verify_partition(subject, &mut |record| {
                    is_empty = false;
                    replayed.apply(record)
                });
                findings.lost().for_each(|offsets| replayed.lose(offsets));
                let reason = if !replayed.is_settled() {
                    Some(replayed.reason())
                } else if is_empty && replayed.lost == 0 && self.has_any() {
                    Some("it holds nothing, and there are partitions".to_owned())
                } else {
                    None
                };
                if let Some(reason) = reason.filter(|_| !findings.has_damage()) {
                    let kind = FindingKind::Catalog;
                    findings.add(finding(Severity::Damage, kind, Some(name), path.clone(), reason));
                }
                findings
            }
        };
        self.known.insert(path);
        (findings, replayed)
    }

    /// Whether there is a directory of any topic of ours.
    fn has_any(&self) -> bool {
        self.dirs.iter().filter(|claims| claims.hold_slots()).any(|claims| {
            let entries = self.files.storage().list(&claims.path).unwrap_or_default();
            entries.iter().any(|entry| is_partition(&entry.name.to_string_lossy()))
        })
    }

    /// The partitions of a topic that there should be; what is wrong with the others is told.
    fn told(&mut self, name: &str, record: &TopicRecord, findings: &mut Findings) -> Vec<Told> {
        let mut told = Vec::new();
        for (number, id) in record.partitions() {
            let partition = TopicPartition::new(name, number);
            let Some(at) = self.place(id, &partition) else {
                let path = self.dirs.first().map_or_else(PathBuf::new, |first| first.path.clone());
                let reason = format!("its log directory, of directory.id {id}, is not among these");
                let kind = FindingKind::MissingDirectory;
                findings.add(finding(Severity::Damage, kind, Some(partition), path, reason));
                continue;
            };
            let Some(claims) = self.dirs.get(at) else { continue };
            let path = claims.path.join(partition.to_string());
            self.known.insert(path.clone());
            let (kind, reason) = if record.is_deleting {
                (
                    FindingKind::UnfinishedDeletion,
                    "the topic is deleted: the next open removes what is left of it",
                )
            } else if u32::from(number) < record.created {
                told.push((partition, record.id, at));
                continue;
            } else if self.was_created(at, &partition, record.id) {
                told.push((partition.clone(), record.id, at));
                let reason = "the catalog has lost that it was created: the next open takes it as it is";
                (FindingKind::UnfinishedCreation, reason)
            } else {
                (FindingKind::UnfinishedCreation, "it is being created: the next open completes that")
            };
            findings.add(finding(Severity::Mended, kind, Some(partition), path, reason.to_owned()));
        }
        told
    }

    fn was_created(&self, at: usize, name: &TopicPartition, id: Uuid) -> bool {
        self.dirs.get(at).is_some_and(|claims| {
            let (path, slot) = (claims.path.join(name.to_string()), claims.slot(id, name.partition()));
            log::was_created(&**self.files.storage(), &path, id, slot).unwrap_or(false)
        })
    }

    /// The place of the log directory with this id; or of one that has lost its id, and has such a partition.
    fn place(&self, id: Uuid, partition: &TopicPartition) -> Option<usize> {
        let is_here = |claims: &Claims| {
            let path = claims.path.join(partition.to_string());
            claims.id().is_none() && self.files.storage().stat(&path).is_ok()
        };
        let by_id = self.dirs.iter().position(|claims| claims.id() == Some(id));
        by_id.or_else(|| self.dirs.iter().position(is_here))
    }

    fn look(&self, (name, id, at): &Told) -> Findings {
        let Some(claims) = self.dirs.get(*at) else { return Findings::default() };
        let subject = Subject { files: self.files, claims, name, topic_id: Some(*id) };
        verify_partition(subject, &mut |_| Ok(()))
    }

    /// Directories that the catalog does not tell of. Where it is damaged itself, those that look like partitions are looked at.
    fn look_for_others(&self, is_whole: bool, findings: &mut Findings) {
        for claims in self.dirs {
            let entries = self.files.storage().list(&claims.path).unwrap_or_default();
            let mut directories: Vec<String> = entries
                .into_iter()
                .filter(|entry| entry.kind == EntryKind::Directory)
                .map(|entry| entry.name.to_string_lossy().into_owned())
                .collect();
            directories.sort();
            for directory in directories {
                let path = claims.path.join(&directory);
                if self.known.contains(&path) {
                    continue;
                }
                let (kind, reason) = if log::is_aside(&directory) {
                    (
                        FindingKind::UnfinishedDeletion,
                        "it is left of a topic that was deleted: the next open removes it",
                    )
                } else if is_whole {
                    (FindingKind::UnknownDirectory, "it belongs to no topic, and is left alone")
                } else {
                    let reason = "the catalog, which is damaged, does not tell of it; where it is a partition, a salvage takes it over";
                    (FindingKind::UnknownDirectory, reason)
                };
                findings.add(finding(Severity::Note, kind, None, path, reason.to_owned()));
                if let Some(name) = partition_of(&directory).filter(|_| !is_whole) {
                    let subject = Subject { files: self.files, claims, name: &name, topic_id: None };
                    findings.append(verify_partition(subject, &mut |_| Ok(())));
                }
            }
        }
    }
}

fn finding(
    severity: Severity,
    kind: FindingKind,
    partition: Option<TopicPartition>,
    path: PathBuf,
    reason: String,
) -> Finding {
    Finding { severity, kind, partition, offsets: None, path, position: None, reason }
}
