//! The ways of versions: naming a content, bringing it to another group, putting it back.

use refgate_core::merge::OnConflict;

use super::merge::{Merged, merge};
use super::{
    Content, Done, Group, Model, NewTag, Number, Refusal, RuntimeDocument, Service, Source,
};

/// A version on its way.
struct Coming {
    service: Service,
    content: Content,
    number: Number,
    from: Option<Group>,
}

impl Model {
    pub(super) fn tag(
        &mut self,
        group: Group,
        service: Service,
        number: Number,
    ) -> Result<Done, Refusal> {
        let content = self.head(group).services.get(&service).ok_or("not_found")?.clone();
        let tags = match self.number_of(service, &content) {
            Some(known) if known == number => vec![],
            Some(_) => return Err("content_already_versioned"),
            None => vec![self.new_tag(group, service, number, content)?],
        };
        self.publish(group, self.head(group).clone(), &tags)
    }

    fn new_tag(
        &self,
        group: Group,
        service: Service,
        number: Number,
        content: Content,
    ) -> Result<NewTag, Refusal> {
        if self.versions.get(&service).is_some_and(|all| all.contains_key(&number)) {
            return Err("version_taken");
        }
        let runtime = self.head(group).runtimes.get(&service);
        let runtime = runtime.map(|file| file.document.clone());
        Ok(NewTag { service, number, content, runtime })
    }

    /// Step 1: what shall come, and by which number.
    fn coming(
        &self,
        service: Service,
        source: Source,
        tags: &mut Vec<NewTag>,
    ) -> Result<Coming, Refusal> {
        match source {
            Source::Version(number) => {
                let content = self.versions.get(&service).and_then(|all| all.get(&number));
                let content = content.ok_or("not_found")?.clone();
                Ok(Coming { service, content, number, from: None })
            }
            Source::Group(from, given) => {
                let content = self.head(from).services.get(&service).ok_or("not_found")?.clone();
                let number = match (self.number_of(service, &content), given) {
                    (Some(known), Some(given)) if known != given => return Err("version_mismatch"),
                    (Some(known), _) => known,
                    (None, None) => return Err("version_required"),
                    (None, Some(given)) => {
                        tags.push(self.new_tag(from, service, given, content.clone())?);
                        given
                    }
                };
                Ok(Coming { service, content, number, from: Some(from) })
            }
        }
    }

    pub(super) fn sync(
        &mut self,
        target: Group,
        items: &[(Service, Source)],
        runtime: Option<&RuntimeDocument>,
        on_conflict: OnConflict,
    ) -> Result<Done, Refusal> {
        let mut tags = Vec::new();
        let coming =
            items.iter().map(|(service, source)| self.coming(*service, *source, &mut tags));
        let coming = coming.collect::<Result<Vec<_>, _>>()?;
        let mut tree = self.head(target).clone();
        let feeders = tree.group.from.clone();
        let (mut clashes, mut joined) = (Vec::new(), Vec::new());
        let mut outcomes = Vec::new();
        for Coming { service, content: theirs, number, from } in coming {
            let came = feeders.iter().any(|feeder| self.has_run(*feeder, service, &theirs));
            if !feeders.is_empty() && !came {
                return Err("promotion_gate");
            }
            let ours = tree.services.get(&service).cloned();
            if ours.as_ref() == Some(&theirs) {
                outcomes.push((service, number, "already_current"));
                continue;
            }
            let based_on = self.based_on(target, service);
            let base = based_on.map(|number| &self.versions[&service][&number]);
            let result = match &ours {
                None => theirs,
                Some(ours) if base == Some(ours) => theirs,
                Some(ours) => {
                    let sides = [base, Some(ours), Some(&theirs)];
                    let Merged { content, clashes: more, joined: both } =
                        merge(service, sides, on_conflict);
                    clashes.extend(more);
                    joined.extend(both);
                    content
                }
            };
            if ours.as_ref() == Some(&result) {
                outcomes.push((service, number, "already_current"));
                self.met.count("sync: the target keeps what it has");
                continue;
            }
            tree.services.insert(service, result);
            outcomes.push((service, number, "promoted"));
            if tree.runtimes.contains_key(&service) {
                continue;
            }
            let first = runtime.cloned().or_else(|| {
                let source = match from {
                    Some(from) => &self.head(from).runtimes.get(&service)?.document,
                    None => self.runtimes.get(&(service, number))?,
                };
                let mut upstreams = source.upstreams.clone();
                upstreams.values_mut().for_each(|upstream| upstream.nodes = 0);
                Some(RuntimeDocument { enabled: true, hosts: vec![], upstreams })
            });
            tree.runtimes.extend(first.map(|first| (service, first.into())));
        }
        let clashed = !clashes.is_empty();
        self.clashes = clashes;
        if clashed && on_conflict == OnConflict::Abort {
            return Err("promotion_conflict");
        }
        let changed = *self.head(target) != tree;
        let done = self.publish(target, tree, &tags)?;
        joined.into_iter().for_each(|thing| self.met.count(format!("joined: {thing}")));
        Ok(Done { services: outcomes, changed, ..done })
    }

    pub(super) fn rollback_service(
        &mut self,
        group: Group,
        service: Service,
        number: Number,
    ) -> Result<Done, Refusal> {
        let content = self.versions.get(&service).and_then(|all| all.get(&number));
        let content = content.ok_or("not_found")?.clone();
        if !self.has_run(group, service, &content) {
            return Err("not_found");
        }
        let mut tree = self.head(group).clone();
        let before = tree.services.insert(service, content.clone());
        let word = if before == Some(content) { "already_current" } else { "rolled_back" };
        let done = self.publish(group, tree, &[])?;
        if done.changed && self.head(group).group.runtime_only {
            self.met.count("service rollback: in a runtime-only group");
        }
        Ok(Done { services: vec![(service, number, word)], ..done })
    }
}
