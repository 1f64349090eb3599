//! Giving the content of a service a number.

use super::draft::{Draft, NewTag};
use super::{Precondition, ServiceOutcome};
use crate::error::Error;
use crate::event::Event;
use crate::name::{CommitId, ContentId, GroupName, ServiceName};
use crate::repository::{Desk, Head};
use crate::version::Version;

pub(super) fn tag(
    desk: &Desk<'_>,
    group: &GroupName,
    head: Head,
    service: &ServiceName,
    version: &str,
    message: Option<&str>,
    condition: &Precondition,
) -> Result<Draft, Error> {
    let version: Version = version.parse()?;
    super::service::check(desk, group, head, service, condition)?;
    let Some(content) = super::service::content(desk, head.tree, service)? else {
        return Err(Error::no_service(group, service));
    };
    let mut draft = Draft::new(Event::new("version.created", format!("{service} {version}")));
    draft.services.push(ServiceOutcome {
        service: service.clone(),
        version: version.clone(),
        outcome: None,
    });
    match desk.index.version_of(service, content)? {
        Some(row) if row.version == version => {}
        Some(row) => {
            return Err(Error::ContentAlreadyVersioned {
                service: service.clone(),
                version: row.version,
            });
        }
        None => {
            draft.tags.push(new_tag(desk, service, content, version, head.commit, message)?);
            draft.created = true;
        }
    }
    Ok(draft)
}

/// A tag for content that has no number yet; the number must be free.
pub(super) fn new_tag(
    desk: &Desk<'_>,
    service: &ServiceName,
    content: ContentId,
    version: Version,
    commit: CommitId,
    message: Option<&str>,
) -> Result<NewTag, Error> {
    check_pushed(desk, service, content, &version)?;
    if desk.index.version(service, &version)?.is_some() {
        return Err(Error::VersionTaken { service: service.clone(), version });
    }
    let message = message.map(str::to_owned);
    Ok(NewTag { service: service.clone(), version, commit, message })
}

/// Refuses a number for content that a push is just giving another one: git makes the tag of a push
/// only after the push was accepted.
pub(crate) fn check_pushed(
    desk: &Desk<'_>,
    service: &ServiceName,
    content: ContentId,
    version: &Version,
) -> Result<(), Error> {
    match desk.index.about_to_be(desk.git, service, content, desk.now)? {
        Some(other) if other != *version => {
            let reason = format!(
                "a push is making this content of {service} version {other}: try again in a moment"
            );
            Err(Error::ConcurrentUpdate { reason })
        }
        _ => Ok(()),
    }
}

/// A version with its commit and content.
pub(super) fn existing(
    desk: &Desk<'_>,
    service: &ServiceName,
    version: &str,
) -> Result<(Version, CommitId, ContentId), Error> {
    let version: Version = version.parse()?;
    match desk.index.version(service, &version)? {
        Some(row) => Ok((version, row.commit, row.content)),
        None => Err(Error::no_version(service, &version)),
    }
}
