//! What is asked before a branch moves: that it goes on, and that every commit it brings may come.

use git2::Oid;

use super::{Check, Finding, Rule, Update};
use crate::change::arrival::{self, Door};
use crate::config::{self, Loaded};
use crate::diagnostic::{Code, Diagnostic};
use crate::document::GroupType;
use crate::error::Error;
use crate::event;
use crate::limits::PUSHED_COMMITS;
use crate::name::{CommitId, GroupName};
use crate::repository::Head;
use crate::store::{StoreError, commit};

/// The commits that a push brings to a branch, first to last.
struct Chain(Vec<Oid>);

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
        let is_commit = self.desk.git.find_object(new, None)?.kind();
        if is_commit != Some(git2::ObjectType::Commit) {
            self.refuse(update, Rule::NoCommit);
            return Ok(());
        }
        let chain = match self.chain(group, base, new)? {
            Ok(chain) => chain,
            Err(rule) => {
                self.refuse(update, rule);
                return Ok(());
            }
        };
        self.messages(update, &chain, new)?;
        self.arrived.extend(&chain.0);
        match base {
            Some(base) => self.goes_on(update, group, base, &chain, new),
            None => self.begins(update, group, &chain, new),
        }
    }

    /// The commits between the head and `new`; of a new branch, those that no group has.
    fn chain(
        &self,
        group: &GroupName,
        base: Option<Head>,
        new: Oid,
    ) -> Result<Result<Chain, Rule>, Error> {
        let mut commits = Vec::new();
        let mut next = Some(new);
        while let Some(id) = next.filter(|id| base.map(|head| head.commit.0) != Some(*id)) {
            let known = match base {
                // A commit that the group had before its head: the push leads back, or away.
                Some(_) => self.desk.index.revision(group, CommitId(id))?.is_some(),
                None => false,
            };
            if known {
                return self.leads_away(base, new).map(Err);
            }
            if base.is_none() && self.desk.index.knows(CommitId(id))? {
                next = Some(id);
                break;
            }
            if commits.len() == PUSHED_COMMITS {
                return Ok(Err(Rule::TooManyCommits(PUSHED_COMMITS)));
            }
            commits.push(id);
            next = commit::find(self.desk.git, id)?.parent_ids().next();
        }
        if base.is_some() && next.is_none() {
            // Every first parent was gone through and the head not met.
            return self.leads_away(base, new).map(Err);
        }
        commits.reverse();
        Ok(Ok(Chain(commits)))
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
    fn messages(&mut self, update: &Update, chain: &Chain, new: Oid) -> Result<(), Error> {
        for id in &chain.0 {
            let found = commit::find(self.desk.git, *id)?;
            let forged = event::has_trailers(&String::from_utf8_lossy(found.message_bytes()));
            // One that another group has was judged when it came there.
            if forged && !self.desk.index.knows(CommitId(*id))? {
                let finding = Finding::rule(update, Rule::ForgedTrailer);
                self.findings.push(finding.in_commit(not_newest(*id, new)));
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
        chain: &Chain,
        new: Oid,
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
        for id in &chain.0 {
            let found = commit::find(self.desk.git, *id)?;
            let tree = found.tree_id();
            // The rules are those of the group as it was, as for every change.
            let rules = &previous.config.group.promotion;
            for error in
                arrival::check(self.desk, group, rules, Some(previous_tree), tree, Door::Push)?
            {
                // Told once, however many commits go on with it.
                let text = error.to_string();
                if !refused.contains(&text) {
                    refused.push(text);
                    let finding = Finding::refused(update, error);
                    self.findings.push(finding.in_commit(not_newest(*id, new)));
                }
            }
            if !self.push.pusher.may_manage_groups
                && !told
                && self.changes_group(previous_tree, tree)?
            {
                told = true;
                let finding = Finding::rule(update, Rule::MayNotChange(group.clone()));
                self.findings.push(finding.in_commit(not_newest(*id, new)));
            }
            if *id == new {
                break;
            }
            let loaded = self.load(group, *id, tree, Some(&previous))?;
            // What is not finished in between is nobody's concern: gateways serve the newest commit.
            // But what has no place in a tree stays in the repository, and a merge is finished.
            let whole = found.parent_count() > 1;
            let counts = |finding: &&Diagnostic| whole || is_of_the_tree(finding.code);
            let errors = new_errors(&loaded, &before).filter(counts).cloned().collect();
            self.documents(update, tree, errors, not_newest(*id, new))?;
            previous = loaded;
            previous_tree = tree;
        }
        let tree = commit::find(self.desk.git, new)?.tree_id();
        let loaded = self.load(group, new, tree, Some(&before))?;
        self.newest(update, group, tree, &loaded, Some(&before))
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
        chain: &Chain,
        new: Oid,
    ) -> Result<(), Error> {
        let mut previous: Option<Loaded> = None;
        for id in chain.0.iter().filter(|id| **id != new) {
            let found = commit::find(self.desk.git, *id)?;
            let loaded = self.load(group, *id, found.tree_id(), previous.as_ref())?;
            let whole = found.parent_count() > 1;
            let errors = loaded
                .diagnostics
                .iter()
                .filter(|finding| finding.is_error() && (whole || is_of_the_tree(finding.code)));
            let errors = errors.cloned().collect();
            self.documents(update, found.tree_id(), errors, not_newest(*id, new))?;
            previous = Some(loaded);
        }
        let tree = commit::find(self.desk.git, new)?.tree_id();
        let loaded = self.load(group, new, tree, None)?;
        let rules = &loaded.config.group.promotion;
        for error in arrival::check(self.desk, group, rules, None, tree, Door::Push)? {
            self.findings.push(Finding::refused(update, error));
        }
        self.newest(update, group, tree, &loaded, None)
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
        tree: Oid,
        loaded: &Loaded,
        before: Option<&Loaded>,
    ) -> Result<(), Error> {
        let found = match before {
            Some(before) => new_errors(loaded, before).cloned().collect(),
            None => {
                loaded.diagnostics.iter().filter(|finding| finding.is_error()).cloned().collect()
            }
        };
        let mut found: Vec<Diagnostic> = found;
        found.extend(loaded.diagnostics.iter().filter(|finding| !finding.is_error()).cloned());
        let found = found.into_iter().map(|finding| finding.of_group(group)).collect();
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
fn new_errors<'l>(loaded: &'l Loaded, before: &'l Loaded) -> impl Iterator<Item = &'l Diagnostic> {
    let is_new = |finding: &&Diagnostic| !before.diagnostics.contains(finding);
    loaded.diagnostics.iter().filter(|finding| finding.is_error()).filter(is_new)
}

/// Whether a finding is about what a tree holds, and not about what a document says.
fn is_of_the_tree(code: Code) -> bool {
    matches!(code, Code::UnexpectedFile | Code::BadName | Code::TooLarge)
}

fn not_newest(id: Oid, newest: Oid) -> Option<CommitId> {
    (id != newest).then_some(CommitId(id))
}
