//! The one thread that writes: it plans, commits and publishes what is asked for, in batches.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use git2::Oid;
use jiff::Timestamp;

use super::{Desk, Head, Shared};
use crate::change::draft::NewTag;
use crate::change::plan::PlannedTree;
use crate::change::{Change, Plan, Written, plan};
use crate::error::Error;
use crate::event::Actor;
use crate::name::{CommitId, GroupName, Revision};
use crate::store::refs::{self, Moved};
use crate::store::{StoreError, commit, turn};

/// Changes that may wait before those who ask have to.
const QUEUE: usize = 256;

/// How often a change is planned anew when somebody else moves the head in between.
const TRIES: usize = 16;

/// Changes that share one flush at the most.
const BATCH: usize = 64;

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
            .spawn(move || run(&shared, handle, &queue))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Hands a change to the thread and waits for what comes of it.
    pub(super) fn apply(&self, change: Change) -> Result<Written, Error> {
        let (answer, answered) = bounded(1);
        let jobs = self.jobs.as_ref().ok_or(Error::Stopping)?;
        jobs.send(Job { change, answer }).map_err(|_| Error::Stopping)?;
        answered.recv().map_err(|_| Error::Failed)?
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

fn run(shared: &Shared, mut handle: git2::Repository, queue: &Receiver<Job>) {
    let mut generation = shared.maintenance.generation();
    let mut next = None;
    while let Some(first) = next.take().or_else(|| queue.recv().ok()) {
        let mut jobs = vec![first];
        if jobs[0].change.operation.needs_no_history() {
            for job in queue.try_iter() {
                if !job.change.operation.needs_no_history() {
                    next = Some(job);
                    break;
                }
                jobs.push(job);
                if jobs.len() == BATCH {
                    break;
                }
            }
        }
        // What a batch works on is made anew for each: nothing half-made outlives a panic, and one
        // request must not end all later ones.
        let batch = AssertUnwindSafe(|| write(shared, &handle, jobs));
        if std::panic::catch_unwind(batch).is_err() {
            tracing::error!("a change ended in a panic; nothing of it was published");
        }
        // A handle from before maintenance works, but keeps packs open that are gone.
        if generation != shared.maintenance.generation()
            && let Ok((made, anew)) = shared.open_handle()
        {
            (generation, handle) = (made, anew);
        }
    }
}

/// Makes several changes, each its own commit, at the cost of one flush.
///
/// They are planned one upon the other; the branch of each group then moves once, to the last of
/// its commits. Where somebody else moved it first, all that was planned upon it is planned anew.
fn write(shared: &Shared, handle: &git2::Repository, mut jobs: Vec<Job>) {
    for _ in 0..TRIES {
        let round = write_once(shared, handle, &jobs).unwrap_or_else(|error| {
            // The store itself failed: the first to ask hears why, the others that it did.
            let text = error.to_string();
            let mut error = Some(error);
            let mut tell = || error.take().unwrap_or_else(|| same_failure(&text));
            jobs.iter().map(|_| Some(Err(tell()))).collect()
        });
        let mut again = Vec::new();
        for (job, result) in jobs.into_iter().zip(round) {
            match result {
                Some(result) => job.answer(result),
                None => again.push(job),
            }
        }
        if again.is_empty() {
            return;
        }
        jobs = again;
    }
    for job in jobs {
        let group = &job.change.group;
        let reason = format!("group {group} is being changed by others all the time: try again");
        job.answer(Err(Error::ConcurrentUpdate { reason }));
    }
}

impl Job {
    fn answer(self, result: Result<Written, Error>) {
        if let Err(error) = &result {
            tracing::debug!(group = %self.change.group, %error, "change refused");
        }
        // Whoever asked may have gone; the change is made all the same.
        let _ = self.answer.send(result);
    }
}

/// What came of each job; nothing for one whose group was moved by somebody else.
type Round = Vec<Option<Result<Written, Error>>>;

fn write_once(shared: &Shared, handle: &git2::Repository, jobs: &[Job]) -> Result<Round, Error> {
    // Held until the tags are there: promotions by push are made by processes of their own.
    let numbers = jobs.iter().any(|job| job.change.operation.may_number());
    let _turn = numbers.then(|| turn::wait(handle, turn::VERSIONS)).transpose()?;
    shared.index.catch_up(handle)?;
    let desk = Desk::new(shared, handle)?;
    let mut steps = Vec::with_capacity(jobs.len());
    for job in jobs {
        steps.push(prepare(&desk, &job.change));
    }
    let mut trouble = publish(&desk, &steps)?;
    desk.index.catch_up(handle)?;
    let results = jobs.iter().zip(steps).map(|(job, step)| {
        if let Some(error) = trouble.failed.get_mut(&job.change.group) {
            let text = error.to_string();
            let error = std::mem::replace(error, same_failure(&text));
            return Some(step.and(Err(error)));
        }
        if trouble.lost.contains(&job.change.group) {
            return None;
        }
        Some(step.and_then(|step| step.written(&desk)))
    });
    let results: Round = results.collect();
    let changes =
        results.iter().filter(|result| matches!(result, Some(Ok(written)) if written.changed));
    shared.maintenance.wrote(changes.count() as u64);
    Ok(results)
}

/// A change that is ready to be published.
struct Step {
    plan: Plan,
    /// The commit that the group is at with the change.
    commit: CommitId,
    /// The position of the commit, where it is known before it is published.
    revision: Option<Revision>,
    tags: Vec<(String, Oid)>,
}

/// Plans a change and makes its objects; the desk's head of the group is then the new commit.
fn prepare(desk: &Desk<'_>, change: &Change) -> Result<Step, Error> {
    let mut plan = plan(desk, change)?;
    let mut tags = Vec::new();
    for tag in &plan.tags {
        tags.push((refs::tag_ref(&tag.service, &tag.version), make_tag(desk, tag, &change.actor)?));
    }
    let base = plan.base;
    let commit = match &mut plan.tree {
        PlannedTree::Next(tree, loaded) => {
            let message = plan.event.message();
            let parent = base.map(|head| head.commit.0);
            let id = commit::make_commit(
                &desk.objects,
                *tree,
                parent,
                &change.actor,
                desk.now,
                commit_time(desk, &plan.group, parent),
                &message,
            )?;
            let head = Head { commit: CommitId(id), tree: *tree };
            let mut loaded = loaded.as_ref().clone();
            loaded.config.commit = head.commit;
            desk.advance(&plan.group, base, head, Arc::new(loaded));
            head.commit
        }
        PlannedTree::Same | PlannedTree::Archived => match base {
            Some(head) => head.commit,
            None => return Err(Error::no_group(&plan.group)),
        },
    };
    // An archived group has no revisions any more.
    let revision = match plan.tree {
        PlannedTree::Archived => desk.index.revision(&plan.group, commit)?,
        PlannedTree::Same | PlannedTree::Next(..) => None,
    };
    Ok(Step { plan, commit, revision, tags })
}

/// When a commit is made, by the clock or, where that went back, by the parent.
fn commit_time(desk: &Desk<'_>, group: &GroupName, parent: Option<Oid>) -> Timestamp {
    // A parent of the same batch is not stored yet; its time was made of the same two.
    let published = match desk.advances.borrow().get(group) {
        Some(advance) => advance.from.map(|commit| commit.0),
        None => parent,
    };
    let of_parent = published
        .and_then(|parent| commit::find(desk.git, parent).ok())
        .and_then(|parent| Timestamp::from_second(parent.time().seconds()).ok());
    of_parent.map_or(desk.now, |of_parent| of_parent.max(desk.now))
}

/// The groups that could not be published.
#[derive(Default)]
struct Trouble {
    /// Somebody else moved them first.
    lost: BTreeSet<GroupName>,
    /// Their refs could not be moved, and why.
    failed: BTreeMap<GroupName, Error>,
}

impl Trouble {
    fn has(&self, group: &GroupName) -> bool {
        self.lost.contains(group) || self.failed.contains_key(group)
    }

    fn note(&mut self, group: &GroupName, moved: Result<Moved, Error>) -> bool {
        match moved {
            Ok(Moved::Yes) => return true,
            Ok(Moved::LostRace) => {
                self.lost.insert(group.clone());
            }
            Err(error) => {
                self.failed.insert(group.clone(), error);
            }
        }
        false
    }
}

/// What else is told where one failure ends several changes.
fn same_failure(text: &str) -> Error {
    Error::Store(StoreError::Same(text.to_owned()))
}

/// Flushes all objects and moves the refs, of each group by itself: what is in the way of one does
/// not stop another.
fn publish(desk: &Desk<'_>, steps: &[Result<Step, Error>]) -> Result<Trouble, Error> {
    desk.objects.store()?;
    let mut trouble = Trouble::default();
    let ready = || steps.iter().flatten();
    // Tags come first: a crash between the two leaves tags that a repeated sync reuses.
    for step in ready() {
        for (name, id) in &step.tags {
            let moved = refs::compare_and_swap(desk.git, name, None, *id, "new version");
            trouble.note(&step.plan.group, moved.map_err(Error::from));
        }
    }
    for (group, advance) in desk.advances() {
        if trouble.has(&group) {
            continue;
        }
        let subject = ready()
            .rfind(|step| step.plan.group == group)
            .map_or("", |step| step.plan.event.subject.as_str());
        let (old, new) = (advance.from.map(|commit| commit.0), advance.to.commit.0);
        let moved = refs::compare_and_swap(desk.git, &group.branch(), old, new, subject);
        if trouble.note(&group, moved.map_err(Error::from)) {
            desk.keep(&group, advance.loaded);
        }
    }
    for step in ready().filter(|step| matches!(step.plan.tree, PlannedTree::Archived)) {
        let group = &step.plan.group;
        if trouble.note(group, archive(desk, group, step.commit)) {
            desk.forget(group);
        }
    }
    for step in ready().filter(|step| !trouble.has(&step.plan.group)) {
        let Step { plan, commit, .. } = step;
        if plan.changes_anything() {
            let (event, subject) = (plan.event.kind.as_str(), plan.event.subject.as_str());
            tracing::info!(group = %plan.group, %commit, event, subject, "published");
        }
    }
    Ok(trouble)
}

impl Step {
    fn written(self, desk: &Desk<'_>) -> Result<Written, Error> {
        let Self { plan, commit, revision, .. } = self;
        let changed = plan.changes_group();
        let revision = match revision {
            Some(revision) => revision,
            // Nothing only where another process has archived the group in this very moment.
            None => desk.index.revision(&plan.group, commit)?.unwrap_or(Revision(0)),
        };
        Ok(Written {
            group: plan.group,
            commit,
            revision,
            changed,
            created: plan.created && changed,
            warnings: plan.warnings,
            services: plan.services,
            whole: plan.whole,
        })
    }
}

fn make_tag(desk: &Desk<'_>, tag: &NewTag, tagger: &Actor) -> Result<Oid, Error> {
    let name = format!("{}/{}", tag.service, tag.version);
    let text = tag.message.clone().unwrap_or_else(|| format!("{} {}", tag.service, tag.version));
    Ok(commit::make_tag(&desk.objects, tag.commit.0, &name, tagger, desk.now, &text)?)
}

/// Keeps the group's tip under another name, then takes its branch away.
fn archive(desk: &Desk<'_>, group: &GroupName, tip: CommitId) -> Result<Moved, Error> {
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
