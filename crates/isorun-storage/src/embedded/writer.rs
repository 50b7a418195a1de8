//! The one thread that changes the file: what has queued up meanwhile goes into one commit.

use std::sync::atomic::{AtomicU64, Ordering};

use isorun_core::StorageError;
use redb::Durability;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::file::Kept;
use super::tables::{self, Change, Done, Tables};
use crate::owner::Owner;

/// A change that waits, and who waits for it.
pub(super) struct Job {
    pub(super) owner: Owner,
    pub(super) change: Change,
    pub(super) answer: oneshot::Sender<Result<Done, StorageError>>,
    /// The memory that it takes up in the queue.
    pub(super) _room: OwnedSemaphorePermit,
}

/// Makes all changes that come, until nobody can send any.
pub(super) fn run(file: &Kept, commits: &AtomicU64, mut jobs: mpsc::Receiver<Job>) {
    while let Some(first) = jobs.blocking_recv() {
        let mut batch = vec![first];
        // The queue is bounded in changes and in bytes, and so is this.
        while batch.len() < super::QUEUE_CHANGES_MAX
            && let Ok(next) = jobs.try_recv()
        {
            batch.push(next);
        }
        // Whoever has gone by now wants nothing.
        batch.retain(|job| !job.answer.is_closed());
        if batch.is_empty() {
            continue;
        }
        let answers = commit(file, commits, &batch);
        for (job, answer) in batch.into_iter().zip(answers) {
            // Whoever has gone since does not hear of it.
            let _ = job.answer.send(answer);
        }
    }
}

/// Makes the changes in one transaction; an answer for each.
fn commit(file: &Kept, commits: &AtomicU64, batch: &[Job]) -> Vec<Result<Done, StorageError>> {
    // The commit before the one that was tried, once it is tried.
    let mut tried = None;
    let attempt = file.with(|database| {
        let mut transaction = database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        let mut tables = Tables::open(&transaction)?;
        let answers = batch.iter().map(|job| tables.apply(&job.owner, &job.change)).collect::<Result<Vec<_>, _>>()?;
        let last = tables.number()?;
        drop(tables);
        if last.is_some() {
            tried = last;
            transaction.commit()?;
            commits.fetch_add(1, Ordering::Relaxed);
        } else {
            transaction.abort()?;
        }
        Ok(answers)
    });
    match attempt {
        Ok(answers) => answers,
        Err(reason) => {
            let error = after_failure(file, tried, reason);
            batch.iter().map(|_| Err(error.clone())).collect()
        }
    }
}

/// What is known of a transaction that failed: the file itself says whether its commit came to be.
fn after_failure(file: &Kept, tried: Option<u64>, reason: String) -> StorageError {
    let Some(last) = tried else { return StorageError::Unavailable { reason } };
    match file.with(tables::last_commit) {
        Ok(found) if found == last => StorageError::Unavailable { reason },
        // It can be read, and may yet not be on the disk, since the disk did not say so.
        Ok(_) | Err(_) => StorageError::Unknown { reason },
    }
}
