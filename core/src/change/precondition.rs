//! What must hold before a change: conditions about the object that it is about, and about the group.
//!
//! Headers are read by who speaks HTTP; here they are tags. The plan checks them on the very head that it
//! is made on.

use crate::error::Error;
use crate::name::CommitId;

/// What must hold before a change.
#[derive(Debug, Clone, Default)]
pub struct Precondition {
    /// The object must be one of these.
    pub if_match: Option<Tags>,
    /// The object must be none of these.
    pub if_none_match: Option<Tags>,
    /// The group must be at this commit.
    pub expect_head: Option<CommitId>,
    /// The plan must be one of these, by [`super::PlanView::id`]; any, when there is none.
    pub expect_plan: Vec<String>,
}

/// Entity tags that a condition names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tags {
    /// `*`: of whatever exists.
    Any,
    /// These.
    Of(Vec<String>),
}

impl Tags {
    /// Whether the tag of an object is one of them; nothing is the tag of what does not exist.
    fn has(&self, etag: Option<&str>) -> bool {
        match (self, etag) {
            (_, None) => false,
            (Self::Any, Some(_)) => true,
            (Self::Of(tags), Some(etag)) => tags.iter().any(|tag| tag == etag),
        }
    }
}

impl Precondition {
    /// The object is still the one with this entity tag.
    #[must_use]
    pub fn same(etag: impl Into<String>) -> Self {
        Self { if_match: Some(Tags::Of(vec![etag.into()])), ..Self::default() }
    }

    /// The object does not exist yet.
    #[must_use]
    pub fn absent() -> Self {
        Self { if_none_match: Some(Tags::Any), ..Self::default() }
    }

    /// Refuses conditions about an object where a change is about so many of `what`.
    ///
    /// # Errors
    /// When there are several, as none of them is meant by an entity tag.
    pub fn is_of_one(&self, count: usize, what: &str) -> Result<(), Error> {
        if count < 2 || (self.if_match.is_none() && self.if_none_match.is_none()) {
            return Ok(());
        }
        let reason = format!(
            "a precondition is about one object, and this is about {count} {what}: ask for one at a time, or leave it out"
        );
        Err(Error::Malformed { reason })
    }

    /// Compares the conditions about an object with its entity tag, which is nothing where the
    /// object does not exist.
    pub(crate) fn check(&self, what: &str, etag: Option<&str>) -> Result<(), Error> {
        if let Some(unwanted) = &self.if_none_match
            && unwanted.has(etag)
        {
            let reason = match unwanted {
                Tags::Any => format!("{what} exists already"),
                Tags::Of(_) => format!("{what} is still one of those that were named"),
            };
            return Err(Error::PreconditionFailed { reason });
        }
        match &self.if_match {
            Some(wanted) if !wanted.has(etag) => {
                let reason = match etag {
                    Some(_) => format!("{what} was changed since it was read: read it again"),
                    None => format!("{what} does not exist"),
                };
                Err(Error::PreconditionFailed { reason })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_about_an_object() {
        let of = |tags: &[&str]| Some(Tags::Of(tags.iter().map(ToString::to_string).collect()));
        let (any, a) = (Some(Tags::Any), Some("a"));
        let table = [
            (None, None, None, true),
            (of(&["a"]), None, a, true),
            (of(&["b", "a"]), None, a, true),
            (of(&["b", "c"]), None, a, false),
            (of(&[]), None, a, false),
            (of(&["a"]), None, None, false),
            (any.clone(), None, a, true),
            (any.clone(), None, None, false),
            (None, any.clone(), None, true),
            (None, any, a, false),
            (None, of(&["b", "a"]), a, false),
            (None, of(&["b"]), a, true),
            (None, of(&["a"]), None, true),
        ];
        for (if_match, if_none_match, etag, holds) in table {
            let condition = Precondition { if_match, if_none_match, ..Precondition::default() };
            assert_eq!(condition.check("it", etag).is_ok(), holds, "{condition:?} of {etag:?}");
        }
    }
}
