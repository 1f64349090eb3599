//! The one thread that writes: it plans, commits and publishes one change after another.

use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use git2::Oid;

use super::{Desk, Shared};
use crate::change::draft::NewTag;
use crate::change::plan::PlannedTree;
use crate::change::{Change, Plan, Written, plan};
use crate::error::Error;
use crate::event::Actor;
use crate::name::{CommitId, Revision};
use crate::store::refs::{self, Moved};
use crate::store::{StoreError, commit};

/// Changes that may wait before those who ask have to.
const QUEUE: usize = 256;

/// How often a change is planned anew when somebody else moves the head in between.
const TRIES: usize = 16;

struct Job {
    change: Change,
    answer: Sender<Result<Written, Error>>,
}

/// The way to the thread; it ends when this goes.
pub(super) struct Writer {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread, which owns `handle`.
    pub(super) fn start(shared: Arc<Shared>, handle: git2::Repository) -> Result<Self, StoreError> {
        let (jobs, queue) = bounded(QUEUE);
        let thread = std::thread::Builder::new()
            .name("refgate-writer".to_owned())
            .spawn(move || run(&shared, &handle, &queue))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Hands a change to the thread and waits for what comes of it.
    pub(super) fn apply(&self, change: Change) -> Result<Written, Error> {
        let (answer, answered) = bounded(1);
        let jobs = self.jobs.as_ref().ok_or(Error::Stopping)?;
        jobs.send(Job { change, answer }).map_err(|_| Error::Stopping)?;
        answered.recv().map_err(|_| Error::Stopping)?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the writer ended in a panic");
        }
    }
}

fn run(shared: &Shared, handle: &git2::Repository, queue: &Receiver<Job>) {
    for job in queue {
        let result = write(shared, handle, &job.change);
        if let Err(error) = &result {
            tracing::debug!(group = %job.change.group, %error, "change refused");
        }
        // Whoever asked may have gone; the change is made all the same.
        let _ = job.answer.send(result);
    }
}

fn write(shared: &Shared, handle: &git2::Repository, change: &Change) -> Result<Written, Error> {
    for _ in 0..TRIES {
        shared.index.catch_up(handle)?;
        let desk = Desk::new(shared, handle)?;
        let plan = plan(&desk, change)?;
        if let Some(written) = publish(&desk, change, plan)? {
            return Ok(written);
        }
    }
    let reason =
        format!("group {} is being changed by others all the time: try again", change.group);
    Err(Error::ConcurrentUpdate { reason })
}

/// Publishes a plan; nothing comes back when somebody else was first.
fn publish(desk: &Desk<'_>, change: &Change, plan: Plan) -> Result<Option<Written>, Error> {
    let group = &plan.group;
    let changed = plan.changes_anything();
    // The tag comes first: a crash between the two leaves a tag that a repeated sync reuses.
    for tag in &plan.tags {
        if make_tag(desk, tag, &change.actor)? == Moved::LostRace {
            return Ok(None);
        }
    }
    if !plan.tags.is_empty() {
        desk.index.forget_tags();
    }
    let base = plan.base.map(|head| head.commit);
    let commit = match plan.tree {
        PlannedTree::Same => base.ok_or_else(|| Error::no_group(group))?,
        PlannedTree::Archived => {
            let base = base.ok_or_else(|| Error::no_group(group))?;
            if archive(desk, group, base)? == Moved::LostRace {
                return Ok(None);
            }
            base
        }
        PlannedTree::Next(tree, loaded) => {
            let message = plan.event.message();
            let parent = base.map(|commit| commit.0);
            let id = commit::make_commit(
                &desk.objects,
                tree,
                parent,
                &change.actor,
                desk.now,
                &message,
            )?;
            desk.objects.store()?;
            let moved =
                refs::compare_and_swap(desk.git, &group.branch(), parent, id, &plan.event.subject)?;
            if moved == Moved::LostRace {
                return Ok(None);
            }
            let commit = CommitId(id);
            desk.keep(group, commit, *loaded);
            tracing::info!(%group, %commit, event = plan.event.kind, subject = plan.event.subject, "commit");
            commit
        }
    };
    let archived_at = desk.index.head(group)?.map(|(_, revision)| revision);
    desk.index.catch_up(desk.git)?;
    let revision = desk.index.revision(group, commit)?.or(archived_at).unwrap_or(Revision(0));
    Ok(Some(Written {
        group: plan.group,
        commit,
        revision,
        changed,
        created: plan.created && changed,
        warnings: plan.warnings,
        services: plan.services,
    }))
}

fn make_tag(desk: &Desk<'_>, tag: &NewTag, tagger: &Actor) -> Result<Moved, Error> {
    let name = format!("{}/{}", tag.service, tag.version);
    let text = tag.message.clone().unwrap_or_else(|| format!("{} {}", tag.service, tag.version));
    let id = commit::make_tag(&desk.objects, tag.commit.0, &name, tagger, desk.now, &text)?;
    desk.objects.store()?;
    let name = refs::tag_ref(&tag.service, &tag.version);
    Ok(refs::compare_and_swap(desk.git, &name, None, id, "new version")?)
}

/// Keeps the group's tip under another name, then takes its branch away.
fn archive(desk: &Desk<'_>, group: &crate::name::GroupName, tip: CommitId) -> Result<Moved, Error> {
    let time = desk.now.strftime("%Y%m%dT%H%M%SZ");
    let name = format!("refs/archive/{group}/{time}-{}", short(tip.0));
    match refs::compare_and_swap(desk.git, &name, None, tip.0, "archive")? {
        Moved::Yes => {}
        // The same tip archived in the same second is the same archive.
        Moved::LostRace if refs::resolve(desk.git, &name)? == Some(tip.0) => {}
        Moved::LostRace => return Ok(Moved::LostRace),
    }
    Ok(refs::remove(desk.git, &group.branch(), tip.0)?)
}

fn short(id: Oid) -> String {
    id.to_string().chars().take(12).collect()
}
