//! What is asked before a branch moves: that it goes on, and that every commit it brings may come.

use git2::Oid;

use super::{Check, Finding, Rule, Update};
use crate::change::arrival::{self, Door};
use crate::config::{self, Loaded};
use crate::content::warnings_of_change;
use crate::diagnostic::{Code, Diagnostic};
use crate::document::GroupType;
use crate::error::Error;
use crate::event;
use crate::limits::PUSHED_COMMITS;
use crate::name::{CommitId, GroupName};
use crate::repository::Head;
use crate::store::{StoreError, commit};

/// A commit that a push brings to a branch.
struct Link {
    id: Oid,
    tree: Oid,
    is_merge: bool,
    /// Whether its message says what only Refgate says.
    has_trailers: bool,
}

impl Link {
    /// The commit, where it is not the newest of the push, to be told with what is found in it.
    fn unless_newest(&self, newest: Oid) -> Option<CommitId> {
        (self.id != newest).then_some(CommitId(self.id))
    }
}

impl Check<'_, '_> {
    pub(super) fn branch(
        &mut self,
        update: &Update,
        group: &GroupName,
        new: Oid,
    ) -> Result<(), Error> {
        let base = self.desk.find_head(group)?;
        if base.is_none() && !self.push.pusher.may_manage_groups {
            self.refuse(update, Rule::MayNotCreate(group.clone()));
            return Ok(());
        }
        // What the client took for the head may be out of date, or made up.
        if update.old.map(|id| id.0) != base.map(|head| head.commit.0) {
            self.refuse(update, Rule::NotFastForward);
            return Ok(());
        }
        let found = commit::find_tagged(self.desk.git, new)?;
        let Some((_, tip)) = found.filter(|(_, commit)| commit.id() == new) else {
            self.refuse(update, Rule::NoCommit);
            return Ok(());
        };
        let chain = match self.chain(group, base, new)? {
            Ok(chain) => chain,
            Err(rule) => {
                self.refuse(update, rule);
                return Ok(());
            }
        };
        self.messages(update, &chain, new)?;
        self.arrived.extend(chain.iter().map(|link| link.id));
        let (id, tree) = (CommitId(new), tip.tree_id());
        match base {
            Some(base) => self.goes_on(update, group, base, &chain, Head { commit: id, tree }),
            None => self.begins(update, group, &chain, Head { commit: id, tree }),
        }
    }

    /// The commits between the head and `new`, first to last; of a new branch, those that no group has.
    fn chain(
        &self,
        group: &GroupName,
        base: Option<Head>,
        new: Oid,
    ) -> Result<Result<Vec<Link>, Rule>, Error> {
        let mut chain = Vec::new();
        let mut next = Some(new);
        while let Some(id) = next {
            if base.is_some_and(|head| head.commit.0 == id) {
                break;
            }
            match base {
                // A commit that the group had before its head: the push leads back, or away.
                Some(_) if self.desk.index.revision(group, CommitId(id))?.is_some() => {
                    return self.leads_away(base, new).map(Err);
                }
                None if self.desk.index.knows(CommitId(id))? => break,
                _ => {}
            }
            if chain.len() == PUSHED_COMMITS {
                return Ok(Err(Rule::TooManyCommits(PUSHED_COMMITS)));
            }
            let found = commit::find(self.desk.git, id)?;
            chain.push(Link {
                id,
                tree: found.tree_id(),
                is_merge: found.parent_count() > 1,
                has_trailers: event::has_trailers(&String::from_utf8_lossy(found.message_bytes())),
            });
            next = found.parent_ids().next();
        }
        if base.is_some() && next.is_none() {
            // Every first parent was gone through and the head not met.
            return self.leads_away(base, new).map(Err);
        }
        chain.reverse();
        Ok(Ok(chain))
    }

    /// What is wrong where the first parents of `new` do not lead to the head.
    fn leads_away(&self, base: Option<Head>, new: Oid) -> Result<Rule, Error> {
        let goes_on = match base {
            Some(base) => self.desk.git.graph_descendant_of(new, base.commit.0)?,
            None => false,
        };
        Ok(if goes_on { Rule::NotFirstParent } else { Rule::NotFastForward })
    }

    /// Nobody but Refgate says what Refgate did.
    fn messages(&mut self, update: &Update, chain: &[Link], new: Oid) -> Result<(), Error> {
        for link in chain.iter().filter(|link| link.has_trailers) {
            // One that another group has was judged when it came there.
            if !self.desk.index.knows(CommitId(link.id))? {
                let finding = Finding::rule(update, Rule::ForgedTrailer);
                self.findings.push(finding.in_commit(link.unless_newest(new)));
            }
        }
        Ok(())
    }

    /// A group that is there goes on.
    fn goes_on(
        &mut self,
        update: &Update,
        group: &GroupName,
        base: Head,
        chain: &[Link],
        tip: Head,
    ) -> Result<(), Error> {
        let before = self.desk.loaded(group, base)?;
        if before.config.group.r#type == GroupType::Ingress {
            let error = Error::ReadOnlyGroup { group: group.clone() };
            self.findings.push(Finding::refused(update, error));
            return Ok(());
        }
        let mut previous = (*before).clone();
        let mut previous_tree = base.tree;
        let mut refused: Vec<String> = Vec::new();
        let mut told = false;
        for link in chain {
            let commit = link.unless_newest(tip.commit.0);
            // The rules are those of the group as it was, as for every change.
            let rules = &previous.config.group.promotion;
            let before_it = Some(previous_tree);
            for error in arrival::check(self.desk, group, rules, before_it, link.tree, Door::Push)?
            {
                // Told once, however many commits go on with it.
                let text = error.to_string();
                if !refused.contains(&text) {
                    refused.push(text);
                    self.findings.push(Finding::refused(update, error).in_commit(commit));
                }
            }
            if !self.push.pusher.may_manage_groups
                && !told
                && self.changes_group(previous_tree, link.tree)?
            {
                told = true;
                let finding = Finding::rule(update, Rule::MayNotChange(group.clone()));
                self.findings.push(finding.in_commit(commit));
            }
            if commit.is_some() {
                previous = self.unfinished(update, group, link, Some(&previous), Some(&before))?;
                previous_tree = link.tree;
            }
        }
        let loaded = self.load(group, tip.commit.0, tip.tree, Some(&before))?;
        self.newest(update, group, Some(base), tip.tree, &loaded, Some(&before))
    }

    /// Whether the rules of the group itself are other ones.
    fn changes_group(&self, before: Oid, after: Oid) -> Result<bool, StoreError> {
        let file = |tree| self.desk.objects.find(tree, "group.json");
        Ok(file(before)? != file(after)?)
    }

    /// A group begins with this push.
    fn begins(
        &mut self,
        update: &Update,
        group: &GroupName,
        chain: &[Link],
        tip: Head,
    ) -> Result<(), Error> {
        let mut previous: Option<Loaded> = None;
        for link in chain.iter().filter(|link| link.id != tip.commit.0) {
            previous = Some(self.unfinished(update, group, link, previous.as_ref(), None)?);
        }
        let loaded = self.load(group, tip.commit.0, tip.tree, None)?;
        let rules = &loaded.config.group.promotion;
        for error in arrival::check(self.desk, group, rules, None, tip.tree, Door::Push)? {
            self.findings.push(Finding::refused(update, error));
        }
        self.newest(update, group, None, tip.tree, &loaded, None)
    }

    /// Looks at a commit that others follow. What is not finished in it is nobody's concern: gateways
    /// serve the newest. But what has no place in a tree stays in the repository, and a merge is
    /// finished.
    fn unfinished(
        &mut self,
        update: &Update,
        group: &GroupName,
        link: &Link,
        previous: Option<&Loaded>,
        before: Option<&Loaded>,
    ) -> Result<Loaded, Error> {
        let loaded = self.load(group, link.id, link.tree, previous)?;
        let counts = |finding: &&Diagnostic| link.is_merge || is_of_the_tree(finding.code);
        let errors = new_errors(&loaded, before).filter(counts).cloned().collect();
        self.documents(update, link.tree, errors, Some(CommitId(link.id)))?;
        Ok(loaded)
    }

    fn load(
        &self,
        group: &GroupName,
        id: Oid,
        tree: Oid,
        previous: Option<&Loaded>,
    ) -> Result<Loaded, StoreError> {
        let previous = previous.map(|loaded| &loaded.config);
        config::load(&self.desk.objects, group, CommitId(id), tree, previous)
    }

    /// What is found in the commit that gateways will serve.
    fn newest(
        &mut self,
        update: &Update,
        group: &GroupName,
        base: Option<Head>,
        tree: Oid,
        loaded: &Loaded,
        before: Option<&Loaded>,
    ) -> Result<(), Error> {
        let errors = new_errors(loaded, before);
        let objects = &self.desk.objects;
        let warnings =
            warnings_of_change(objects, base.map(|head| head.tree), tree, &loaded.diagnostics)?;
        let found = errors.chain(warnings).cloned();
        let found = found.map(|finding| finding.of_group(group)).collect();
        self.documents(update, tree, found, None)
    }

    pub(super) fn documents(
        &mut self,
        update: &Update,
        tree: Oid,
        findings: Vec<Diagnostic>,
        commit: Option<CommitId>,
    ) -> Result<(), Error> {
        for finding in findings {
            let size = match self.desk.objects.find(tree, &finding.file)? {
                Some(entry) => self.desk.objects.blob_size(entry.id).unwrap_or(usize::MAX),
                None => usize::MAX,
            };
            let text = match size <= crate::json::MAX_FILE_BYTES {
                true => self.desk.objects.file(tree, &finding.file)?,
                false => None,
            };
            self.findings.push(Finding::document(update, finding, text).in_commit(commit));
        }
        Ok(())
    }
}

/// The errors that were not there before the push: a group that is unsound must be mendable.
fn new_errors<'l>(
    loaded: &'l Loaded,
    before: Option<&'l Loaded>,
) -> impl Iterator<Item = &'l Diagnostic> {
    let known = before.map_or(&[][..], |before| &before.diagnostics);
    loaded.diagnostics.iter().filter(|finding| finding.is_error() && !known.contains(finding))
}

/// Whether a finding is about what a tree holds, and not about what a document says.
fn is_of_the_tree(code: Code) -> bool {
    matches!(code, Code::UnexpectedFile | Code::BadName | Code::TooLarge)
}
